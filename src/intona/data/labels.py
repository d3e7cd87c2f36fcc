"""Phone alignments of other tools, in seconds: Festvox `.lab` and Praat / MFA `.TextGrid`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from intona.errors import UserError

#: Labels that stand for silence, in lower case: HTK, Festival, Kaldi, MFA, MAUS, TIMIT, Praat users.
SILENCE = frozenset(
    {"", "pau", "pause", "sil", "silence", "sp", "spn", "ssil", "nsn", "_", "#", "##", "h#", "...", "…"}
    | {"<sil>", "<silence>", "<sp>", "<spn>", "<pau>", "<pause>", "<p:>", "<p>", "<eps>", "<s>", "</s>"}
    | {"[sil]", "[silence]", "[sp]", "[spn]", "[pause]", "(sil)", "(sp)", "(...)"}
)
_NUMBERED_SILENCE = re.compile(r"(?:sil|sp|pau)_?\d+")
PHONE_TIERS = ("phones", "phone", "phonemes", "phoneme", "segments", "mau")
MAX_LABEL_BYTES = 16 << 20
ROUNDING = 0.002  # seconds: a smaller gap between two intervals comes from rounded times
_TOKEN = re.compile(
    r"""![^\n]*                       # a comment, up to the end of its line
    |"((?:[^"]|"")*)"              # a text, which may have several lines
    |<(exists|absent)>             # a flag
    |([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?=[\s"=:!]|\Z)
    |[^\s"=:]+                     # any other word, which is a comment""",
    re.VERBOSE,
)


def is_silence(label: str) -> bool:
    """Whether a label stands for silence, in lower or upper case, numbered ("sp1") or not."""
    name = label.strip().lower()
    return name in SILENCE or bool(_NUMBERED_SILENCE.fullmatch(name))


class Label(NamedTuple):
    """A stretch of speech in seconds, `start <= end`."""

    start: float
    end: float
    label: str


def read_labels(path: Path) -> list[Label]:
    """Phone labels of one utterance, from a `.lab` or from the phone tier of a `.TextGrid`, without gaps.

    Raises:
        UserError: unreadable, not that format, times that run backwards, or silence only.
    """
    if path.suffix.lower() != ".textgrid":
        return read_lab(path)
    tiers = read_textgrid(path)
    names = [n for n in tiers if n.lower() in PHONE_TIERS or n.lower().endswith(" - phones")]
    if not names and len(tiers) > 1:
        raise UserError(f'has no tier "phones", only {list(tiers)}', where=path)
    labels = tiers[names[0] if names else next(iter(tiers))]
    if all(is_silence(x.label) for x in labels):
        raise UserError("holds no label of a sound", where=path)
    return labels


def read_lab(path: Path) -> list[Label]:
    """Festvox / xwaves labels: lines `END COLOUR LABEL` after a line `#`; each starts at the last END."""
    out: list[Label] = []
    start, header = 0.0, True
    text = _text(path)
    if "#" not in (line.strip() for line in text.splitlines()):
        header = False
    for number, line in enumerate(text.splitlines(), 1):
        if header:
            header = line.strip() != "#"
            continue
        fields = line.split(";")[0].split()
        if not fields:
            continue
        try:
            end = float(fields[0])
            if len(fields) < 3 or not math.isfinite(end):
                raise ValueError
        except ValueError:
            raise UserError(f"line {number} is not END COLOUR LABEL", where=path) from None
        if end < start:
            raise UserError(f"line {number}: time runs backwards", where=path)
        out.append(Label(start, end, fields[2]))
        start = end
    if not out:
        raise UserError("holds no label", where=path)
    return out


def read_textgrid(path: Path) -> dict[str, list[Label]]:
    """Interval tiers of a Praat TextGrid by name: long, short or commented text. Point tiers are left out.

    One rule of Praat covers all three ("TextGrid file formats" in its manual): quoted texts, `<exists>` flags
    and free-standing numbers count; all other words and everything after "!" are comments. Time that no
    interval of a tier covers is a pause and is returned as an interval with an empty label.

    Raises:
        UserError: not a text TextGrid, times that run backwards, or a number of tiers or intervals that
            differs from the declared one.
    """
    tokens = _Tokens(path)
    tokens.begin()
    first, last = tokens.number(), tokens.number()
    tokens.flag()
    declared = int(tokens.number())
    tiers: dict[str, list[Label]] = {}
    names: list[str] = []
    while tokens.left:
        kind, name = tokens.text(), tokens.text()
        if kind not in ("IntervalTier", "TextTier"):
            raise UserError(f'"{kind[:40]}" is no kind of tier (after {names or "the head"})', where=path)
        names.append(name)
        start, end = tokens.number(), tokens.number()
        rows = _intervals(tokens, name, width=2 if kind == "IntervalTier" else 1)
        if kind == "IntervalTier":
            if name in tiers:
                raise UserError(f'has two tiers "{name}"', where=path, hint="rename or remove one")
            tiers[name] = _without_gaps(rows, max(start, first), min(end, last))
    if len(names) != declared:
        raise UserError(f"declares {declared} tiers and holds {len(names)}", where=path)
    if not tiers:
        raise UserError("holds no interval tier", where=path)
    return tiers


class _Tokens:
    """The tokens of a TextGrid in order: texts, flags and numbers."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        self.items: list[str | float] = []
        for match in _TOKEN.finditer(_text(path)):
            if match[1] is not None:
                self.items.append(match[1].replace('""', '"'))
            elif match[2]:
                self.items.append(_Flag(match[2]))
            elif match[3]:
                self.items.append(float(match[3]))

    @property
    def left(self) -> int:
        return len(self.items) - self.at

    @property
    def is_number(self) -> bool:
        return self.left > 0 and isinstance(self.items[self.at], float)

    def begin(self) -> None:
        """Skip the header, which names the file type."""
        kind = self.items[0] if self.items else ""
        if not (isinstance(kind, str) and kind.startswith("ooTextFile")):
            raise UserError("not a TextGrid text file", where=self.path)
        while self.left and self.items[self.at] != "TextGrid":
            self.at += 1
        self.text()

    def text(self) -> str:
        value = self._take()
        if not isinstance(value, str) or isinstance(value, _Flag):
            self._damaged()
        return value

    def flag(self) -> None:
        if not isinstance(self._take(), _Flag):
            self._damaged()

    def number(self) -> float:
        value = self._take()
        if not isinstance(value, float):
            self._damaged()
        if not math.isfinite(value):
            raise UserError("TextGrid holds a number that is not finite", where=self.path)
        return value

    def _take(self) -> str | float:
        if not self.left:
            self._damaged()
        self.at += 1
        return self.items[self.at - 1]

    def _damaged(self) -> NoReturn:
        raise UserError("TextGrid is cut short or damaged", where=self.path)


class _Flag(str):
    """`<exists>` or `<absent>`."""


def _intervals(tokens: _Tokens, name: str, *, width: int) -> list[Label]:
    """The intervals (width 2) or points (width 1) of a tier; their number must be the declared one."""
    declared = int(tokens.number())
    what = "intervals" if width == 2 else "points"
    rows: list[Label] = []
    while tokens.is_number:
        times = [tokens.number() for _ in range(width)]
        if not tokens.left or tokens.is_number:
            raise UserError(f'tier "{name}": no label at {times[0]:g} s', where=tokens.path)
        rows.append(Label(times[0], times[-1], tokens.text()))
        if rows[-1].end < rows[-1].start or (len(rows) > 1 and rows[-1].start < rows[-2].end - 1e-6):
            raise UserError(f'tier "{name}": time runs backwards', where=tokens.path)
    if len(rows) != declared:
        raise UserError(
            f'tier "{name}" declares {declared} {what} and holds {len(rows)}',
            where=tokens.path,
            hint="correct its size, or export it again",
        )
    return rows


def _without_gaps(rows: Sequence[Label], start: float, end: float) -> list[Label]:
    """Add an empty interval for each part of [start, end] that no interval covers."""
    out: list[Label] = []
    at = start
    for row in [*rows, Label(end, end, "")]:
        if row.start - at > ROUNDING:
            out.append(Label(at, row.start, ""))
        elif out and row.start > at:
            out[-1] = out[-1]._replace(end=row.start)
        out.append(row)
        at = max(at, row.end)
    return out[:-1]


def shift(labels: Sequence[Label], start: float, end: float) -> list[Label]:
    """The labels within [start, end) of a recording, with times relative to `start`; the rest is cut off."""
    out = []
    for a, b, name in labels:
        a, b = max(a, start) - start, min(b, end) - start
        if b > a:
            out.append(Label(round(a, 6), round(b, 6), name))
    return out


def symbols(labels: Sequence[Label], *, silence: str = "pau") -> list[Label]:
    """The phones of the corpus as symbols: one name for all silences, and adjacent silences joined."""
    out: list[Label] = []
    for a, b, name in labels:
        name = silence if is_silence(name) else name
        if out and name == silence == out[-1].label:
            out[-1] = Label(out[-1].start, b, silence)
        else:
            out.append(Label(a, b, name))
    return out


def frames(labels: Sequence[Label], n_frames: int, frame_seconds: float) -> np.ndarray:
    """Frames of each label: int64 (N,), each >= 1, summing to `n_frames`.

    Boundaries are rounded to the frame grid, then moved as little as keeps one frame a label.

    Raises:
        ValueError: more labels than frames, or no label.
    """
    n = len(labels)
    if not 0 < n <= n_frames:
        raise ValueError(f"{n} labels do not fit {n_frames} frames")
    cuts = np.rint(np.array([x.end for x in labels[:-1]], dtype=np.float64) / frame_seconds).astype(np.int64)
    ramp = np.arange(1, n, dtype=np.int64)
    cuts = np.maximum.accumulate(cuts - ramp) + ramp if n > 1 else cuts
    cuts = np.maximum(cuts, ramp)
    cuts = np.minimum(cuts, n_frames - n + ramp)
    return np.diff(np.concatenate([[0], cuts, [n_frames]]))


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise UserError("no such label file", where=path)
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise UserError(f"more than {MAX_LABEL_BYTES} bytes", where=path)
        raw = path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    if raw.startswith(b"ooBinaryFile"):
        raise UserError("a binary TextGrid", where=path, hint='save it in Praat with "Save as text file"')
    try:
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", where=path) from None
