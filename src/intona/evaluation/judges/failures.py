"""How autoregressive synthesis fails: cut off, running on, repeating, leaving out, trailing off.

Each is 0 or 1 per utterance, so a column is a rate. The first three rely on the transcript and inherit the
recognizer's errors: compare the rates with those of the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from intona.audio import Audio
from intona.evaluation.judges.asr import TranscriptJudge
from intona.evaluation.judges.base import Measure, Score
from intona.evaluation.judges.speech import LETTERS_PER_SECOND
from intona.evaluation.judges.timing import letters
from intona.evaluation.judges.transcript import Recognizer
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import Normalizer
from intona.evaluation.wavs import speech_span

RUNAWAY = 2.5
GRACE = 1.0  # seconds that even "да" may take, including silence at the edges
OMITTED = 3
CUT_OFF = 2
TRAILING_SECONDS = 1.0


class FailureJudge(TranscriptJudge):
    """Rates of five failures, and of any of them.

    A failed output counts as cut off, as an omission and as "any": its text was not spoken. Whether it
    repeated itself or ran on cannot be known, so those three are over scored outputs.

    - cut off: the last two words of the text (the only one, if it has one) are not in the transcript;
    - runaway: longer than 2.5 times what the text should take, and by more than a second;
    - repeat: the transcript has a word or word pair twice in a row, or three words again later, and the text
      does not;
    - omission: at least three words in a row are missing;
    - trailing silence: more than one second after the last frame above -40 dB of the loudest.
    """

    name = "failures"
    measures = (
        Measure(
            name="ar_failure",
            title="any failure",
            failed=1.0,
            better="lower",
            digits=3,
            share=True,
            headline=True,
        ),
        Measure(name="cut_off", title="cut off", failed=1.0, better="lower", digits=3, share=True),
        Measure(name="omission", title="omission", failed=1.0, better="lower", digits=3, share=True),
        Measure(name="repeat", title="repeat", better="lower", digits=3, share=True),
        Measure(name="runaway", title="runaway", better="lower", digits=3, share=True),
        Measure(name="trailing_silence", title="trailing silence", better="lower", digits=3, share=True),
    )

    def __init__(
        self,
        transcribe: Recognizer,
        normalize: Normalizer,
        *,
        letters_per_second: float = LETTERS_PER_SECOND,
    ) -> None:
        super().__init__(transcribe, normalize)
        self.letters_per_second = letters_per_second

    def describe(self) -> dict[str, Any]:
        return {
            **super().describe(),
            "expected_letters_per_second": self.letters_per_second,
            "runaway_above": f"{RUNAWAY} x expected + {GRACE} s",
            "omission_words": OMITTED,
            "cut_off_words": CUT_OFF,
            "trailing_above_seconds": TRAILING_SECONDS,
        }

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        transcript = self.transcribe(audio)
        text, hypothesis = self.normalize(row.text), self.normalize(transcript.text)
        failures, detail = text_failures(text.split(), hypothesis.split())
        expected = letters(self.normalize.in_words(row.text)) / self.letters_per_second
        trailing = audio.duration - speech_span(audio)[1]
        failures["runaway"] = audio.duration > RUNAWAY * expected + GRACE
        failures["trailing_silence"] = trailing > TRAILING_SECONDS
        failures["ar_failure"] = any(failures.values())
        detail |= {"seconds": audio.duration, "expected_seconds": expected, "trailing_seconds": trailing}
        if transcript.looped:
            detail["looped"] = True
        return {
            m.name: Score(value=float(failures[m.name]), detail=detail if m.name == "ar_failure" else None)
            for m in self.measures
        }


def text_failures(text: Sequence[str], hypothesis: Sequence[str]) -> tuple[dict[str, bool], dict[str, Any]]:
    """Normalized words -> cut_off, omission, repeat, and which words were left out or repeated."""
    runs = deleted_runs(text, hypothesis)
    last = [run for run in runs if run[1] == len(text)]
    cut = bool(last) and last[0][1] - last[0][0] >= min(CUT_OFF, len(text))
    again = repeats(text, hypothesis)
    detail: dict[str, Any] = {}
    if runs:
        detail["not_heard"] = [" ".join(text[a:b]) for a, b in runs]
    if again:
        detail["heard_again"] = again
    omitted = any(b - a >= min(OMITTED, len(text)) for a, b in runs)
    return {"cut_off": cut, "omission": omitted, "repeat": bool(again)}, detail


def deleted_runs(text: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """[a, b) ranges of `text` that a minimum-edit alignment deletes.

    Among alignments with equally few edits the one with most matches counts, as for WER. The path is traced
    from the end, substitutions before deletions, so that a misrecognized word is not called an omission.
    """
    n, m = len(text), len(hypothesis)
    cost = [[(j, 0) for j in range(m + 1)]]
    for i in range(1, n + 1):
        row = [(i, 0)]
        for j in range(1, m + 1):
            same = text[i - 1] == hypothesis[j - 1]
            (de, dm), (ue, um), (le, lm) = cost[-1][j - 1], cost[-1][j], row[-1]
            row.append(min((de + (not same), dm - same), (ue + 1, um), (le + 1, lm)))
        cost.append(row)
    deleted, i, j = [], n, m
    while i or j:
        if i and j:
            same = text[i - 1] == hypothesis[j - 1]
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


def repeats(text: Sequence[str], hypothesis: Sequence[str]) -> list[str]:
    """Words and pairs twice in a row, and triples anywhere, more often in the hypothesis than in the text."""
    repeated = []
    for n in (1, 2):
        written, spoken = _doubled(text, n), _doubled(hypothesis, n)
        repeated += [" ".join(gram) for gram in spoken if spoken[gram] > written[gram]]
    written, spoken = _apart(text, 3), _apart(hypothesis, 3)
    repeated += [" ".join(gram) for gram in spoken if spoken[gram] > max(1, written[gram])]
    return list(dict.fromkeys(repeated))


def _doubled(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram is directly followed by itself."""
    places = range(len(words) - 2 * n + 1)
    return Counter(tuple(words[i : i + n]) for i in places if words[i : i + n] == words[i + n : i + 2 * n])


def _apart(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram occurs, overlaps not counted."""
    count: Counter[tuple[str, ...]] = Counter()
    free: dict[tuple[str, ...], int] = {}
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if i >= free.get(gram, 0):
            count[gram] += 1
            free[gram] = i + n
    return count
