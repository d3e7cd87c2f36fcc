"""How autoregressive synthesis fails: cut off, running on, repeating, leaving out, trailing off.

Each is 0 or 1 an utterance, so a column is a rate. Text goes by what the recognizer heard, with its errors:
read the rates beside those of the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from intona.audio import Audio
from intona.evaluation.asr import Heard
from intona.evaluation.judge import Measure, Score
from intona.evaluation.kept import sound_key
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import Normalizer
from intona.evaluation.speech import LETTERS_PER_SECOND, no_speech
from intona.evaluation.timing import letters
from intona.evaluation.wavs import speech_span

RUNAWAY = 2.5
GRACE = 1.0  # seconds that even "да" may take, silence at the edges included
OMITTED = 3
CUT_OFF = 2
TRAILING_SECONDS = 1.0


class SharedTranscriber:
    """Wraps a transcriber: each recording is heard once, however many judges ask. Describes itself as the
    one inside."""

    def __init__(self, inner: Callable[[Audio], Heard]) -> None:
        self.inner = inner
        self._heard: dict[bytes, Heard] = {}
        self._speech: dict[bytes, float] = {}

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()  # type: ignore[attr-defined]

    def __call__(self, audio: Audio) -> Heard:
        key = sound_key(audio)
        if key not in self._heard:
            self._heard[key] = self.inner(audio)
        return self._heard[key]

    @property
    def speech_seconds(self) -> Callable[[Audio], float] | None:
        """That of the one inside, if it has one; each recording is measured once."""
        measure = getattr(self.inner, "speech_seconds", None)
        if measure is None:
            return None

        def once(audio: Audio) -> float:
            key = sound_key(audio)
            if key not in self._speech:
                self._speech[key] = measure(audio)
            return self._speech[key]

        return once


class FailureJudge:
    """Rates of five failures, and of any of them.

    A failed output counts as cut off, as omission and as "any": its text was not spoken. Whether it repeated
    or ran on cannot be heard, so those three are over scored outputs.

    - cut off: the last two words of the text (the only one, if it has one) were not heard;
    - runaway: longer than 2.5 times what the text should take, and by more than a second;
    - repeat: a word or word pair heard twice in a row, or three words heard again later, and not so written;
    - omission: at least three words in a row not heard;
    - trailing silence: more than one second after the last frame above -40 dB of the loudest.
    """

    name = "failures"
    needs_reference = False
    measures = (
        Measure(name="ar_failure", title="any failure", failed=1.0, better="lower", digits=3, share=True),
        Measure(name="cut_off", title="cut off", failed=1.0, better="lower", digits=3, share=True),
        Measure(name="omission", title="omission", failed=1.0, better="lower", digits=3, share=True),
        Measure(name="repeat", title="repeat", better="lower", digits=3, share=True),
        Measure(name="runaway", title="runaway", better="lower", digits=3, share=True),
        Measure(name="trailing_silence", title="trailing silence", better="lower", digits=3, share=True),
    )

    def __init__(
        self,
        transcriber: SharedTranscriber | Callable[[Audio], Heard],
        normalize: Normalizer,
        *,
        letters_per_second: float = LETTERS_PER_SECOND,
    ) -> None:
        self.transcribe = transcriber
        self.normalize = normalize
        self.letters_per_second = letters_per_second

    def describe(self) -> dict[str, Any]:
        return {
            **self.transcribe.describe(),  # type: ignore[union-attr]
            "normalizer": self.normalize.id,
            "expected_letters_per_second": self.letters_per_second,
            "runaway_above": f"{RUNAWAY} x expected + {GRACE} s",
            "omission_words": OMITTED,
            "cut_off_words": CUT_OFF,
            "trailing_above_seconds": TRAILING_SECONDS,
        }

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        heard = self.transcribe(audio)
        found, detail = text_failures(self.normalize(row.text).split(), self.normalize(heard.text).split())
        expected = letters(self.normalize.in_words(row.text)) / self.letters_per_second
        trailing = audio.duration - speech_span(audio)[1]
        found["runaway"] = audio.duration > RUNAWAY * expected + GRACE
        found["trailing_silence"] = trailing > TRAILING_SECONDS
        found["ar_failure"] = any(found.values())
        detail |= {"seconds": audio.duration, "expected_seconds": expected, "trailing_seconds": trailing}
        if heard.looped:
            detail["looped"] = True
        return {
            m.name: Score(value=float(found[m.name]), detail=detail if m.name == "ar_failure" else None)
            for m in self.measures
        }

    def unspoken(self, audio: Audio, row: Row) -> str | None:
        """See `speech.no_speech`."""
        return no_speech(self.transcribe, self.normalize, audio, row)

    def failed(self, row: Row) -> dict[str, Score]:
        return {m.name: Score(value=m.failed) for m in self.measures}


def text_failures(text: Sequence[str], heard: Sequence[str]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Normalized words -> cut_off, omission, repeat, and what was left out or said again."""
    runs = deleted_runs(text, heard)
    last = [run for run in runs if run[1] == len(text)]
    cut = bool(last) and last[0][1] - last[0][0] >= min(CUT_OFF, len(text))
    again = repeats(text, heard)
    detail: dict[str, Any] = {}
    if runs:
        detail["not_heard"] = [" ".join(text[a:b]) for a, b in runs]
    if again:
        detail["heard_again"] = again
    omitted = any(b - a >= min(OMITTED, len(text)) for a, b in runs)
    return {"cut_off": cut, "omission": omitted, "repeat": bool(again)}, detail


def deleted_runs(text: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """[a, b) ranges of `text` that a minimum-edit alignment deletes.

    Among alignments of equally few edits the one with most matches counts, as for WER; walked from the end,
    substitutions before deletions, so that a mishearing is not called an omission.
    """
    n, m = len(text), len(heard)
    cost = [[(j, 0) for j in range(m + 1)]]
    for i in range(1, n + 1):
        row = [(i, 0)]
        for j in range(1, m + 1):
            same = text[i - 1] == heard[j - 1]
            (de, dm), (ue, um), (le, lm) = cost[-1][j - 1], cost[-1][j], row[-1]
            row.append(min((de + (not same), dm - same), (ue + 1, um), (le + 1, lm)))
        cost.append(row)
    deleted, i, j = [], n, m
    while i or j:
        if i and j:
            same = text[i - 1] == heard[j - 1]
            e, k = cost[i - 1][j - 1]
            if cost[i][j] == (e + (not same), k - same):
                i, j = i - 1, j - 1
                continue
        if i and cost[i][j] == (cost[i - 1][j][0] + 1, cost[i - 1][j][1]):
            i -= 1
            deleted.append(i)
        else:
            j -= 1
    deleted.sort()
    runs: list[tuple[int, int]] = []
    for index in deleted:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def repeats(text: Sequence[str], heard: Sequence[str]) -> list[str]:
    """Words and pairs said twice in a row, triples said again anywhere, more often than the text does."""
    found = []
    for n in (1, 2):
        written, spoken = _doubled(text, n), _doubled(heard, n)
        found += [" ".join(gram) for gram in spoken if spoken[gram] > written[gram]]
    written, spoken = _apart(text, 3), _apart(heard, 3)
    found += [" ".join(gram) for gram in spoken if spoken[gram] > max(1, written[gram])]
    return list(dict.fromkeys(found))


def _doubled(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram is followed at once by itself."""
    places = range(len(words) - 2 * n + 1)
    return Counter(tuple(words[i : i + n]) for i in places if words[i : i + n] == words[i + n : i + 2 * n])


def _apart(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram occurs, without overlaps."""
    count: Counter[tuple[str, ...]] = Counter()
    free: dict[tuple[str, ...], int] = {}
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if i >= free.get(gram, 0):
            count[gram] += 1
            free[gram] = i + n
    return count
