"""The judges by name. A judge is a class; `get` imports it when it is needed.

The judges of `DEFAULT`, in the order of their columns, run wherever the inputs allow it. Any other judge
runs only if it is named, so that installing a package does not change reports.
"""

from __future__ import annotations

from collections.abc import Collection

from intona import registry
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, Judge, Need, Unavailable

DEFAULT = (
    "asr",
    "failures",
    "speaker",
    "distillmos",
    "dnsmos",
    "utmos",
    "f0",
    "contour",
    "timing",
    "against_reference",
    "pitch_errors",
    "intonation",
    "mcd",
)
_MISSING: dict[Need, tuple[str, str]] = {
    "reference": ("compares with recordings", "give the folder of recordings (--reference)"),
    "prompts": ("compares with prompts", "give the folder of prompts (--prompts)"),
}


def names() -> tuple[str, ...]:
    """All registered judges: those of `DEFAULT` in the order of their columns, then others."""
    return (*DEFAULT, *(name for name in registry.names("judges") if name not in DEFAULT))


def get(name: str) -> type[Judge]:
    """The class of a judge.

    Raises:
        UserError: no judge has this name; suggests the nearest one.
    """
    return registry.get("judges", name)


def build_judges(inputs: Inputs, only: Collection[str] | None = None) -> list[Judge | Unavailable]:
    """Judges in the order of their columns; one that is not installed remains and states so.

    Args:
        only: names of judges; "default" stands for all built-in ones that the inputs allow. None = those.

    Raises:
        UserError: an unknown judge; a named one that these inputs do not allow; a model that was requested
            by name cannot be had; a prompt is missing.
    """
    requested = ["default"] if only is None else list(only)
    classes = {name: get(name) for name in requested if name != "default"}
    for name, judge in classes.items():
        if need := _missing(judge, inputs):
            what, hint = _MISSING[need]
            raise UserError(f'the judge "{name}" {what}', hint=hint)
    if "default" in requested:
        allowed = {name: get(name) for name in DEFAULT}
        classes |= {name: judge for name, judge in allowed.items() if not _missing(judge, inputs)}
    ordered = [name for name in DEFAULT if name in classes]
    ordered += [name for name in classes if name not in DEFAULT]
    return [_build(classes[name], inputs) for name in ordered]


def _missing(judge: type[Judge], inputs: Inputs) -> Need | None:
    return next((need for need in judge.needs if need in _MISSING and not inputs.has(need)), None)


def _build(judge: type[Judge], inputs: Inputs) -> Judge | Unavailable:
    if "recognizer" in judge.needs and not inputs.has("recognizer"):
        return judge.unavailable("not run", "name a recognizer")
    if not judge.installed():
        return judge.unavailable()
    return judge.build(inputs)
