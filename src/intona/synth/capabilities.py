"""What a kind of voice can do, as data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from intona import registry
from intona.errors import UserError
from intona.synth.options import OPTIONS, SpeakOptions, flag_of

ALWAYS = frozenset({"seed", "strict", "ssml"})  # options that every voice takes


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a voice can do; callers look here instead of probing the voice.

    Args:
        system: the name of its system, for messages.
        options: names of the `SpeakOptions` that it takes; seed, strict and ssml are always among them.
        streams: `stream` gives audio before the whole text is spoken.
        times: `speech` and `stream_speech` give the times of words.
        batches: `speak_batch` is faster for several texts than `say` for each.
        named_speakers: the option speaker selects one of `speakers`; else a name only confirms the one there
            is, and a recording selects the voice.
        needs_reference_text: a reference is of use only with the words in it.
        lexicon: it takes a lexicon. vocoder: it makes mels, and any vocoder of the same mels decodes them.
        lacking: options that other voices of the system take, and why this one does not.
    """

    system: str
    options: frozenset[str]
    streams: bool = False
    times: bool = False
    batches: bool = False
    named_speakers: bool = False
    needs_reference_text: bool = False
    lexicon: bool = False
    vocoder: bool = False
    lacking: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", frozenset(self.options) | ALWAYS)
        if unknown := sorted(self.options - OPTIONS.keys()):
            raise ValueError(f"no such option of speech: {', '.join(unknown)}")

    def takes(self, name: str) -> bool:
        """Whether the voice takes an option."""
        return name in self.options

    def without(self, options: Collection[str], reason: str) -> Capabilities:
        """Those of a voice that lacks some options of its system.

        Args:
            reason: for users, such as "this model has no variance adaptor".
        """
        lacking = {**self.lacking, **dict.fromkeys(options, reason)}
        return replace(self, options=self.options - lacking.keys(), lacking=lacking)

    def require(self, options: SpeakOptions) -> None:
        """Refuse options that the voice does not take.

        Raises:
            UserError: names the first such flag, the kind of voice, and the kinds that take it.
        """
        for name in options.changed:
            if name not in self.options:
                raise self.refused(name)

    def refused(self, name: str, *, flag: str | None = None) -> UserError:
        """The error for an option that the voice does not take. `flag`: if another than the option's own."""
        lacks = name in self.lacking
        return UserError(
            self.lacking.get(name, f"{self.system} voices have no such option"),
            where=flag or flag_of(name),
            hint=None if lacks else _named("voices that have it", systems_with(name)),
        )

    def require_times(self, *, where: str | None = None) -> None:
        """Refuse to give times for a voice that does not know them.

        Raises:
            UserError: names the kind of voice, and the kinds that know times.
        """
        if not self.times:
            raise UserError(
                f"{self.system} voices do not know the times of their words",
                where=where,
                hint=_named("voices that know them", _systems(lambda c: c.times)),
            )


Loader = TypeVar("Loader", bound=Callable[..., Any])


def voice_loader(capabilities: Capabilities) -> Callable[[Loader], Loader]:
    """Decorate a loader with the capabilities of its kind, so that they are known before a voice is opened.

    A loader without them works; its kind is then missing from hints about which voices take an option.
    """

    def decorate(loader: Loader) -> Loader:
        loader.__dict__["capabilities"] = capabilities
        return loader

    return decorate


def capabilities_of(kind: str) -> Capabilities | None:
    """The capabilities of a registered kind of voice; None if its loader does not declare them."""
    return vars(registry.get("voices", kind)).get("capabilities")


def systems_with(option: str) -> list[str]:
    """The systems whose voices take an option, sorted; those that cannot be imported here are left out."""
    return _systems(lambda capabilities: capabilities.takes(option))


def _systems(condition: Callable[[Capabilities], bool]) -> list[str]:
    systems = set()
    for kind in registry.names("voices"):
        try:
            capabilities = capabilities_of(kind)
        except (ImportError, UserError):
            continue
        if capabilities is not None and condition(capabilities):
            systems.add(capabilities.system)
    return sorted(systems)


def _named(title: str, systems: list[str]) -> str | None:
    return f"{title}: {', '.join(systems)}" if systems else None
