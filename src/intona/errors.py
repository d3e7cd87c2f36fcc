"""Errors for people: what went wrong, where, and the command or edit that fixes it."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIMILAR = 0.6  # minimum similarity of a suggestion
LISTED = 30  # maximum number of names that are listed when none is similar
SHORTEST_START = 3  # minimum length of the start of a name: "synth" -> "synthesize-set"


class UserError(Exception):
    """An error that the user can fix. The command line prints it as one line and exits with code 1.

    Args:
        what: what is wrong, in the user's words ("the file holds no audio").
        where: the file, field or line of the error.
        hint: what to type or change.
    """

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        parts = [f"{where}: {what}" if where is not None else what]
        if hint:
            parts.append(hint)
        # Always one line, so that `grep` and log collectors keep it together.
        super().__init__(" ".join("; ".join(parts).split()))


class Unspeakable(UserError):
    """A text that cannot be spoken with any options; other lines of the same input may be fine."""


@contextmanager
def warnings_from(where: str) -> Iterator[None]:
    """Add `where` to warnings inside the block, and show repeated warnings too."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        show = warnings.showwarning

        def showwarning(message: Warning | str, *details: object) -> None:
            show(UserWarning(f"{where}: {message}"), *details)  # type: ignore[arg-type]

        warnings.showwarning = showwarning  # type: ignore[assignment]
        yield


def nearest(name: str, options: Iterable[str], *, cutoff: float = SIMILAR) -> str:
    """`did you mean "x"?`, or the list of options if none is similar.

    Args:
        cutoff: minimum similarity (`difflib`, 0 to 1) of a suggestion. Two names of two letters that share
            one letter have 0.5, and neither is a misspelling of the other.
    """
    choices = sorted(options)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=cutoff)
    if not close and len(name) >= SHORTEST_START:
        close = [choice for choice in choices if choice.startswith(name)][:1]
    if close:
        return f'did you mean "{close[0]}"?'
    shown = ", ".join(choices[:LISTED]) + (", …" if len(choices) > LISTED else "")
    return f"known: {shown}" if choices else "none is known"


def unknown(kind: str, name: str, options: Iterable[str], *, where: object = None) -> NoReturn:
    """Raise a UserError about an unknown name that suggests the nearest known one."""
    raise UserError(f'unknown {kind} "{name}"', where=where, hint=nearest(name, options))
