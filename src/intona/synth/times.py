"""Times of words as JSON, and as subtitles: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

from intona.errors import UserError
from intona.synth.speech import Timed, TimedWord

Format = Literal["json", "srt", "vtt"]
FORMATS: tuple[str, ...] = get_args(Format)

# As television subtitles are set: two lines of 42 characters, at least a second, at most seven.
LINE, LINES = 42, 2
SHORTEST, LONGEST = 1.0, 7.0  # seconds
_CLAUSE_ENDS = frozenset(",;:.!?…—–-")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One subtitle: its lines and its times in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def render(speech: Timed, format: str) -> str:
    """The times of a speech, or a `Timeline`, as the text of a file.

    JSON has the words with their phones, and the marks; subtitles have a cue per sentence or clause.

    Raises:
        UserError: an unknown format.
    """
    if format not in _WRITERS:
        raise UserError(f'unknown format of times "{format}"', hint=f"one of {', '.join(FORMATS)}")
    return _WRITERS[format](speech)


def cues(words: Sequence[TimedWord], duration: float) -> list[Cue]:
    """Subtitles of at most two lines, in order, without overlap.

    A cue never holds words of two sentences. A longer sentence is cut after punctuation where there is any
    in the second half of what fits, else between words.

    Args:
        duration: seconds of the audio, where the last cue may end.
    """
    groups = [part for _, s in groupby(words, lambda w: w.sentence) for part in _parts(list(s))]
    out: list[Cue] = []
    for i, group in enumerate(groups):
        limit = groups[i + 1][0].start if i + 1 < len(groups) else duration
        start, end = group[0].start, group[-1].end
        end = max(end, min(start + SHORTEST, limit))
        out.append(Cue(start=start, end=end, lines=_lines([w.text + w.after for w in group])))
    return out


def _parts(words: list[TimedWord]) -> Iterator[list[TimedWord]]:
    """One sentence in parts that fit into a cue each."""
    while words:
        n = _most(words)
        if n < len(words):
            clauses = [i for i in range((n + 1) // 2, n + 1) if _CLAUSE_ENDS & set(words[i - 1].after)]
            if clauses:
                n = clauses[-1]
            elif len(words) - n == 1 and n > 2:
                n -= 1  # no cue of a single word
        yield words[:n]
        words = words[n:]


def _most(words: Sequence[TimedWord]) -> int:
    """How many words fit into one cue, at least one."""
    n = 1
    while n < len(words):
        longer = words[: n + 1]
        if len(_wrapped([w.text + w.after for w in longer])) > LINES:
            break
        if longer[-1].end - longer[0].start > LONGEST:
            break
        n += 1
    return n


def _wrapped(words: Sequence[str]) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= LINE:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _lines(words: Sequence[str]) -> tuple[str, ...]:
    """One line, or two: cut after punctuation if both fit, else of nearly equal length."""
    whole = " ".join(words)
    if len(whole) <= LINE or len(words) == 1:
        return (whole,)
    pairs = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]

    def cost(pair: tuple[str, str]) -> tuple[bool, bool, int]:
        longest = max(map(len, pair))
        return longest > LINE, pair[0][-1] not in _CLAUSE_ENDS, longest

    return min(pairs, key=cost)


def _json(speech: Timed) -> str:
    return json.dumps(as_json(speech), ensure_ascii=False, indent=1) + "\n"


def as_json(speech: Timed) -> dict[str, Any]:
    """The times as JSON types, in seconds with four digits."""
    return {
        "duration": round(speech.duration, 4),
        "words": [
            {
                "text": w.text,
                "start": round(w.start, 4),
                "end": round(w.end, 4),
                "after": w.after,
                "sentence": w.sentence,
                "phones": [
                    {"symbol": p.symbol, "start": round(p.start, 4), "end": round(p.end, 4)} for p in w.phones
                ],
            }
            for w in speech.words
        ],
        "marks": [{"name": m.name, "time": round(m.time, 4)} for m in speech.marks],
    }


def _srt(speech: Timed) -> str:
    return "\n".join(
        f"{i}\n{_clock(c.start, ',')} --> {_clock(c.end, ',')}\n{_text(c)}\n"
        for i, c in enumerate(cues(speech.words, speech.duration), start=1)
    )


def _vtt(speech: Timed) -> str:
    blocks = [
        f"{_clock(c.start, '.')} --> {_clock(c.end, '.')}\n{html.escape(_text(c), quote=False)}\n"
        for c in cues(speech.words, speech.duration)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _text(cue: Cue) -> str:
    return "\n".join(cue.lines).replace("-->", "→")


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{milliseconds:03d}"


_WRITERS: dict[str, Callable[[Timed], str]] = {"json": _json, "srt": _srt, "vtt": _vtt}
