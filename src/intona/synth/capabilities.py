"""What a kind of voice can do, as data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from intona import registry
from intona.errors import UserError
from intona.synth.options import OPTIONS, SpeakOptions, flag_of

ALWAYS = frozenset({"seed", "strict"})  # options that every voice takes


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a voice can do; callers look here instead of probing the voice.

    Args:
        system: the name of its system, for messages.
        options: names of the `SpeakOptions` that it takes; seed and strict are always among them.
        streams: `stream` gives audio before the whole text is spoken.
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
        others = ", ".join(systems_with(name))
        hint = f"voices that have it: {others}" if others else None
        reason = self.lacking.get(name, f"{self.system} voices have no such option")
        hint = None if name in self.lacking else hint
        return UserError(reason, where=flag or flag_of(name), hint=hint)


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
    systems = set()
    for kind in registry.names("voices"):
        try:
            capabilities = capabilities_of(kind)
        except (ImportError, UserError):
            continue
        if capabilities is not None and capabilities.takes(option):
            systems.add(capabilities.system)
    return sorted(systems)
