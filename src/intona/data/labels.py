"""Phone alignments made elsewhere: Festvox `.lab` and Praat / MFA `.TextGrid`, as seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intona.errors import UserError

SILENCE = frozenset({"", "pau", "sil", "sp", "spn", "#", "h#", "ssil", "<eps>", "SIL"})
MAX_LABEL_BYTES = 16 << 20
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<![\w.\[])([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w\]])'
)


class Label(NamedTuple):
    """A stretch of speech in seconds, `start <= end`."""

    start: float
    end: float
    label: str


def read_labels(path: Path) -> list[Label]:
    """Phone labels of one utterance, from a `.lab` or from the phone tier of a `.TextGrid`.

    Raises:
        UserError: unreadable, not that format, or times that run backwards.
    """
    if path.suffix.lower() == ".textgrid":
        tiers = read_textgrid(path)
        for name in tiers:
            if name.lower() in ("phones", "phone", "phonemes") or name.lower().endswith(" - phones"):
                return tiers[name]
        if len(tiers) == 1:
            return next(iter(tiers.values()))
        raise UserError(f'has no tier "phones", only {list(tiers)}', where=path)
    return read_lab(path)


def read_lab(path: Path) -> list[Label]:
    """Festvox / xwaves labels: after a line `#`, `END COLOUR LABEL`; each starts where the last ended."""
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
    """Interval tiers of a Praat TextGrid, long or short format, by name. Point tiers are left out.

    Praat's own rule makes both formats one: only quoted texts, `<exists>` flags and free-standing
    numbers count, all other words are comment.
    """
    text = _text(path)
    if "ooTextFile" not in text[:200]:
        raise UserError("not a TextGrid text file", where=path)
    tokens: list[str | float] = []
    for line in text.splitlines():
        for match in _TOKEN.finditer(line if '"' in line else line.split("!")[0]):
            quoted, flag, number = match.groups()
            tokens.append(float(number) if number else flag if flag else quoted.replace('""', '"'))
    at = 0

    def take(kind: type) -> str | float:
        nonlocal at
        if at >= len(tokens) or not isinstance(tokens[at], kind):
            raise UserError("TextGrid is cut short or damaged", where=path)
        token = tokens[at]
        if isinstance(token, float) and not math.isfinite(token):
            raise UserError("TextGrid holds a number that is not finite", where=path)
        at += 1
        return token

    while at < len(tokens) and tokens[at] != "TextGrid":
        at += 1
    take(str)
    take(float)
    take(float)
    take(str)  # <exists>
    tiers: dict[str, list[Label]] = {}
    for _ in range(int(take(float))):
        kind, name = str(take(str)), str(take(str))
        take(float)
        take(float)
        rows: list[Label] = []
        for _ in range(int(take(float))):
            if kind == "IntervalTier":
                row = Label(float(take(float)), float(take(float)), str(take(str)))
                if row.end < row.start or (rows and row.start < rows[-1].end - 1e-6):
                    raise UserError(f'tier "{name}": time runs backwards', where=path)
                rows.append(row)
            else:
                take(float)
                take(str)
        if kind == "IntervalTier":
            if name in tiers:
                raise UserError(f'has two tiers "{name}"', where=path, mend="rename or remove one")
            tiers[name] = rows
    if not tiers:
        raise UserError("holds no interval tier", where=path)
    return tiers


def shift(labels: Sequence[Label], start: float, end: float) -> list[Label]:
    """Labels of the stretch [start, end) of a recording, in its own time; what lies outside is cut off."""
    out = []
    for a, b, name in labels:
        a, b = max(a, start) - start, min(b, end) - start
        if b > a:
            out.append(Label(round(a, 6), round(b, 6), name))
    return out


def symbols(labels: Sequence[Label], *, silence: str = "pau") -> list[Label]:
    """The corpus's own phones as symbols: one name for all silences, neighbouring silences joined."""
    out: list[Label] = []
    for a, b, name in labels:
        name = silence if name in SILENCE else name
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
    try:
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", where=path) from None
