"""What the verbs that speak share: flags for the options of speech, and a line on how fast it was."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import tyro

from intona.cli.aliases import renamed
from intona.synth.options import FLAG_TYPES, OPTIONS, SpeakOptions

Command = TypeVar("Command")

# Old flag -> new flag of the verbs that speak, accepted for one version.
REFERENCE = {"--voice": "--reference", "--voice-text": "--reference-text"}


def parse(
    command: type[Command],
    arguments: Sequence[str],
    *,
    prog: str,
    only: Collection[str] = tuple(OPTIONS),
    omit: Collection[str] = (),
    old: Mapping[str, str] | None = None,
) -> tuple[Command, SpeakOptions]:
    """Parse a command line of a verb's flags and of those of `SpeakOptions`.

    Args:
        command: a dataclass with the verb's flags.
        only, omit: names of the options that become flags.
        old: earlier flag -> flag.

    Raises:
        UserError: a number outside its limits.
    """
    names = [n for n, info in OPTIONS.items() if info.flag and n in only and n not in omit]
    fields = [(n, _flag(n), dataclasses.field(default=_default(n))) for n in names]
    verb = dataclasses.make_dataclass(
        command.__name__,
        fields,
        bases=(command,),
        namespace={"__doc__": command.__doc__},
        frozen=True,
        kw_only=True,
    )
    verb.__module__ = command.__module__
    request = tyro.cli(verb, prog=prog, args=renamed(arguments, old or {}))
    return request, SpeakOptions(**{n: getattr(request, n) for n in names})


def report(where: object, seconds: float, elapsed: float, more: str = "") -> None:
    """Print the length of the speech and the real-time factor on stderr."""
    rtf = elapsed / seconds if seconds else float("inf")
    print(f"{where}: {seconds:.2f} s of speech in {elapsed:.2f} s (RTF {rtf:.2f}){more}", file=sys.stderr)


def _flag(name: str) -> Any:
    """The type of an option's flag, as tyro reads it."""
    option, type_ = OPTIONS[name], FLAG_TYPES[name]
    argument = tyro.conf.arg(help=option.help, metavar=option.metavar)
    if type_ is bool:
        return Annotated[bool, tyro.conf.FlagCreatePairsOff, argument]
    return Annotated[type_, argument]


def _default(name: str) -> Any:
    return next(f.default for f in dataclasses.fields(SpeakOptions) if f.name == name)
