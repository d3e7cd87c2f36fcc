"""The text that a command reads, from its arguments, a file or stdin, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from intona.errors import Unspeakable, UserError, warnings_from

MAX_CHARS = 20_000  # per line: about 25 minutes of speech
MAX_LINES = 10_000
MAX_BYTES = 4 * MAX_CHARS * 64


@dataclass(frozen=True)
class Line:
    """A line and its number in the file, counting blank lines."""

    number: int
    text: str


class InputLines:
    """The lines of a text that are not blank, and a count of those that cannot be spoken.

    Args:
        where: the source of the text, for messages.
    """

    def __init__(self, lines: Sequence[Line], where: str) -> None:
        self.lines, self.where = list(lines), where
        self.n_left_out = 0

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    @property
    def n_spoken(self) -> int:
        return len(self.lines) - self.n_left_out

    @contextmanager
    def keep_going(self, line: Line) -> Iterator[None]:
        """Turn the error of a line that cannot be spoken into a warning, unless it is the only line.

        If there are several lines, other warnings name their line, too.
        """
        if len(self.lines) == 1:
            yield
            return
        where = f"{self.where}: line {line.number}"
        with warnings_from(where):
            try:
                yield
            except Unspeakable as e:
                self.n_left_out += 1
                print(f"intona: warning: {where}: not spoken: {e}", file=sys.stderr)

    def check_all_spoken(self) -> None:
        """Call this at the end.

        Raises:
            UserError: some lines could not be spoken.
        """
        if self.n_left_out:
            raise UserError(
                f"{self.n_left_out} of {len(self.lines)} lines could not be spoken", where=self.where
            )


def read_lines(text: Sequence[str], file: Path | None, *, example: str, whole: bool = False) -> InputLines:
    """The lines to speak, at least one: from the file, else the arguments, else stdin. "-" is stdin, too.

    Args:
        example: a command to suggest if there is no text at all.
        whole: all lines are one text.

    Raises:
        UserError: no text, not UTF-8, too long, too many lines.
    """
    if file is not None and str(file) != "-":
        where = str(file)
        try:
            with open(file, "rb") as f:
                raw = f.read(MAX_BYTES + 1)
        except OSError as e:
            raise UserError(f"cannot be read ({e.strerror})", where=where) from None
    elif file is None and text and tuple(text) != ("-",):
        where = "text"
        raw = " ".join(text).encode("utf-8", "surrogateescape")
    else:
        where = "stdin"
        if sys.stdin is None or sys.stdin.isatty():
            raise UserError("no text", hint=f"try: {example}")
        raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise UserError(f"more than {MAX_BYTES >> 20} MB of text", where=where, hint="split it")
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise UserError(f"not UTF-8 text (byte {e.start})", where=where) from None
    rows = [content] if whole else content.splitlines()
    lines = [Line(i, line.strip()) for i, line in enumerate(rows, start=1)]
    lines = [line for line in lines if line.text]
    if not lines:
        raise UserError("no text to speak", where=where)
    if len(lines) > MAX_LINES:
        raise UserError(
            f"{len(lines)} lines, more than the {MAX_LINES} allowed", where=where, hint="split it"
        )
    for line in lines:
        if len(line.text) > MAX_CHARS and not whole:
            raise UserError(
                f"{len(line.text)} characters, more than the {MAX_CHARS} that one line may have",
                where=where if len(lines) == 1 else f"{where}: line {line.number}",
                hint="put each paragraph on a separate line and use --file",
            )
    return InputLines(lines, where)
