"""What the verbs that speak share: flags for the options of speech, and a line on how fast it was."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import tyro

from intona.cli.aliases import renamed
from intona.synth.options import FLAG_TYPES, OPTIONS, SpeakOptions

Command = TypeVar("Command")

# Old flag -> new flag of the verbs that speak, accepted for one version.
REFERENCE = {"--voice": "--reference", "--voice-text": "--reference-text"}


def with_options(
    *, only: Collection[str] = tuple(OPTIONS), omit: Collection[str] = ()
) -> Callable[[type[Command]], type[Command]]:
    """A decorator that adds the options of `SpeakOptions` to the dataclass of a verb's flags.

    Args:
        only, omit: names of the options that become flags.
    """
    names = [n for n, option in OPTIONS.items() if option.flag and n in only and n not in omit]
    defaults = {f.name: f.default for f in dataclasses.fields(SpeakOptions)}

    def decorate(command: type[Command]) -> type[Command]:
        fields = [
            (n, _flag(n), dataclasses.field(default=defaults[n], metadata={"option": True})) for n in names
        ]
        namespace = {"__doc__": command.__doc__, "__module__": command.__module__}
        return dataclasses.make_dataclass(
            command.__name__, fields, bases=(command,), namespace=namespace, frozen=True, kw_only=True
        )

    return decorate


def parse(
    command: type[Command], arguments: Sequence[str], *, prog: str, old: Mapping[str, str] | None = None
) -> tuple[Command, SpeakOptions]:
    """Parse the command line of a verb whose flags were extended by `with_options`.

    Args:
        old: earlier flag -> flag.

    Raises:
        UserError: a number outside its limits.
    """
    request: Any = tyro.cli(command, prog=prog, args=renamed(arguments, old or {}))
    names = [f.name for f in dataclasses.fields(request) if "option" in f.metadata]
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
