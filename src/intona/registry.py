"""Parts by name, from any installed package: Python entry points, looked up when a name is first used.

A package registers a part in its own pyproject.toml, and intona's own parts are registered the same way:

    [project.entry-points."intona.encoders"]
    my_encoder = "my_package.encoder:MyEncoderConfig"

`GROUPS` lists what can be registered, and what each value must be. Nothing is imported until a part is used.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from intona import extras
from intona.errors import UserError, nearest

HOME = "intona"  # the distribution whose parts need no `pip install` hint
# Group, without "intona." -> what one of its parts is called, and what the entry point's value is.
GROUPS: dict[str, tuple[str, str]] = {
    "voices": ("kind of voice", "a function: (checkpoint directory, device=, vocoder=) -> synth.voice.Voice"),
    "onnx_voices": (
        "kind of voice without torch",
        "a function: (checkpoint directory with graphs, vocoder=) -> synth.voice.Voice",
    ),
    "stages": ("stage", "a training.stage.Stage"),
    "encoders": ("text encoder", "a subclass of encoders.base.TextEncoderConfig"),
    "latents": ("latent space", "a subclass of latents.base.LatentsConfig"),
    "vocoders": ("vocoder", "a subclass of vocoder.base.Vocoder"),
    "judges": ("judge", "a subclass of evaluation.judges.base.Judge"),
    "layouts": ("layout", "a function: data.corpora.record.Source -> iterable of Record and BadLine"),
    "languages": ("language", "a text.languages.base.Language"),
    "studies": ("study", "a studies.engine.entry.StudyEntry"),
}


def names(group: str) -> tuple[str, ...]:
    """Names that are registered in a group, sorted; nothing is imported."""
    return tuple(sorted(_entries(group)))


def get(group: str, name: str, *, where: object = None) -> Any:
    """The part that is registered under a name.

    Args:
        group: a key of `GROUPS`. where: the file or flag that names it, for the message.

    Raises:
        UserError: no such part (nearest offered), two packages that register it, a part that cannot be
            imported.
    """
    entries = _entries(group)
    if name not in entries:
        raise UserError(f'unknown {GROUPS[group][0]} "{name}"', where=where, hint=_hint(group, name))
    return _load(entries[name], group)


def distribution(group: str, name: str) -> str:
    """The distribution that registers a part, as `pip install` takes it; "" if there is none."""
    entry = _entries(group).get(name)
    return entry.dist.name if entry is not None and entry.dist is not None else ""


def third_party(parts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parts that other packages than intona register: "group/name" -> "package version".

    A checkpoint keeps this, so that whoever opens it without the package is told what to install.

    Args:
        parts: (group, name); those that are not registered are left out.
    """
    kept = {}
    for group, name in parts:
        entry = _entries(group).get(name)
        if entry is not None and entry.dist is not None and entry.dist.name != HOME:
            kept[f"{group}/{name}"] = f"{entry.dist.name} {entry.dist.version}"
    return kept


def require(parts: Mapping[str, Any], *, where: object) -> None:
    """Refuse what was made with parts that are not installed here.

    Args:
        parts: what `third_party` returned when it was made.

    Raises:
        UserError: names the first missing part and the package that has it.
    """
    for key, package in parts.items():
        group, _, name = str(key).partition("/")
        if group in GROUPS and name not in _entries(group):
            dist, _, version = str(package).partition(" ")
            raise UserError(
                f'needs the {GROUPS[group][0]} "{name}" of {dist} {version}, which is not installed',
                where=where,
                hint=f"pip install {dist}",
            )


def refresh() -> None:
    """Look for entry points again, after a package was installed into the running process."""
    _entries.cache_clear()
    _load.cache_clear()


@functools.cache
def _entries(group: str) -> dict[str, EntryPoint]:
    if group not in GROUPS:
        raise ValueError(f"no such group of parts: {group}")
    entries: dict[str, EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=f"intona.{group}"):
        other = entries.setdefault(entry.name, entry)
        if other.value != entry.value:
            packages = " and ".join(e.dist.name if e.dist else e.value for e in (other, entry))
            raise UserError(f'the {GROUPS[group][0]} "{entry.name}" is registered by {packages}')
    return entries


@functools.cache
def _load(entry: EntryPoint, group: str) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as e:
        dist = entry.dist.name if entry.dist is not None else entry.value
        if dist == HOME and isinstance(e, ModuleNotFoundError) and e.name and not e.name.startswith("intona"):
            raise extras.missing(e.name.partition(".")[0], f'the {GROUPS[group][0]} "{entry.name}"') from None
        raise UserError(f'the {GROUPS[group][0]} "{entry.name}" cannot be imported ({e})', where=dist) from e


def _hint(group: str, name: str) -> str:
    if not any(e.dist is not None and e.dist.name == HOME for e in _entries(group).values()):
        return "intona is not installed as this version: pip install -e . (or pip install intona) again"
    return nearest(name, _entries(group))
