"""Errors for people: what went wrong, where, and the command or edit that fixes it."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIMILAR = 0.6  # least similarity of a suggestion
LISTED = 30  # names at most where none is close
SHORTEST_START = 3  # letters of a name that is completed: "synth" -> "synthesize-set"


class UserError(Exception):
    """A mistake that the person at the keyboard can hint. The CLI prints it as one line and exits 1.

    Args:
        what: what is wrong, in the user's words ("the file holds no audio").
        where: the file, field or line it was found at.
        hint: what to type or change.
    """

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        parts = [f"{where}: {what}" if where is not None else what]
        if hint:
            parts.append(hint)
        # One line, whatever the pieces held: an error must survive `grep` and a log collector.
        super().__init__(" ".join("; ".join(parts).split()))


class Unspeakable(UserError):
    """A text that cannot be spoken, whatever else is asked for: the other lines of a book still can be."""


@contextmanager
def warnings_from(where: str) -> Iterator[None]:
    """Warnings raised inside name the place they are about, and none is left out as a repetition."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        show = warnings.showwarning

        def showwarning(message: Warning | str, *details: object) -> None:
            show(UserWarning(f"{where}: {message}"), *details)  # type: ignore[arg-type]

        warnings.showwarning = showwarning  # type: ignore[assignment]
        yield


def nearest(name: str, options: Iterable[str], *, cutoff: float = SIMILAR) -> str:
    """`did you mean "x"?`, or the list of options when nothing is close.

    Args:
        cutoff: the least similarity (`difflib`, 0 to 1) of what is suggested. Of two names with two letters
            that share one it is 0.5, which is no misspelling.
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
    """Refuse an unknown name and offer the nearest known one."""
    raise UserError(f'unknown {kind} "{name}"', where=where, hint=nearest(name, options))
