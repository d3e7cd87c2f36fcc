"""Do questions sound like questions? F0 of questions against statements, measured with Praat.

    python benchmarks/questions.py ru --language ru --data data/festvox-ru --output figures/questions

A voice speaks each yes-no question and the statement of the same words, wh-questions, exclamations and lists
(`question_texts.py`). Praat (parselmouth) measures F0. The table has mean differences in semitones with 95 %
bootstrap intervals over the pairs, and DistillMOS of questions and statements. Where the voice knows the
times of its words, the peak is that of the word with the nucleus, else that of the sentence. With --data the
texts are looked up in the training corpus, and none may be in it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from question_texts import EXCLAMATION, LIST, WH, YES_NO

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.stats import ratio_interval

STEP = 0.01
FLOOR, CEILING = 60.0, 600.0  # Hz
END_SECONDS = 0.1  # of voiced frames that are the end of a stretch
REFERENCE_HZ = 100.0


@dataclass(frozen=True)
class Contour:
    """Voiced frames of a recording: their times in seconds, and semitones above 100 Hz."""

    times: np.ndarray
    semitones: np.ndarray

    def between(self, start: float, end: float) -> Contour:
        inside = (self.times >= start) & (self.times <= end)
        return Contour(self.times[inside], self.semitones[inside])

    def beginning(self, seconds: float) -> Contour:
        """From the first voiced frame."""
        start = float(self.times[0]) if len(self.times) else 0.0
        return self.between(start, start + seconds)

    @property
    def peak(self) -> float:
        """The highest pitch, but for the highest frame; NaN without three voiced frames."""
        return float(np.sort(self.semitones)[-2]) if len(self.semitones) > 2 else float("nan")

    @property
    def end(self) -> float:
        """Median over the last voiced tenth of a second."""
        last = self.semitones[-round(END_SECONDS / STEP) :]
        return float(np.median(last)) if len(last) else float("nan")

    @property
    def level(self) -> float:
        return float(np.median(self.semitones)) if len(self.semitones) else float("nan")


@dataclass(frozen=True)
class Spoken:
    """A sentence, its contour, the (text, start, end) of its words if known, and its DistillMOS."""

    audio: Audio
    contour: Contour
    words: tuple[tuple[str, float, float], ...]
    mos: float | None

    def part(self, word: str) -> Contour:
        """The contour of a word; of the whole sentence if times are not known."""
        for text, start, end in self.words:
            if text.lower() == word.lower():
                return self.contour.between(start, end)
        if self.words:
            raise UserError(f'no word "{word}"', where=" ".join(w for w, _, _ in self.words))
        return self.contour

    def before_commas(self, text: str) -> list[Contour]:
        """The contours of the words before commas; empty if times are not known."""
        last = [re.sub(r"\W", "", item.split()[-1]) for item in text.split(",")[:-1]]
        return [self.part(word) for word in last] if self.words else []


def contour_of(audio: Audio) -> Contour:
    """Praat's autocorrelation method, within limits that fit the recording.

    A first pass finds the quartiles of F0; the limits of the second are .75 times the first quartile and 2.5
    times the third (De Looze & Hirst 2008; 2.5 leaves room for the rise of a question).
    """
    import parselmouth

    sound = parselmouth.Sound(audio.samples.astype(np.float64), audio.sample_rate)
    pitch = sound.to_pitch_ac(time_step=STEP, pitch_floor=FLOOR, pitch_ceiling=CEILING)
    f0 = pitch.selected_array["frequency"]
    if (f0 > 0).any():
        low, high = np.quantile(f0[f0 > 0], (0.25, 0.75))
        floor, ceiling = max(FLOOR, 0.75 * low), min(CEILING, 2.5 * high)
        pitch = sound.to_pitch_ac(time_step=STEP, pitch_floor=floor, pitch_ceiling=ceiling)
        f0 = pitch.selected_array["frequency"]
    times, voiced = pitch.xs(), f0 > 0
    return Contour(times[voiced], 12 * np.log2(f0[voiced] / REFERENCE_HZ))


class Speaker:
    """A voice with fixed options, which speaks each text once."""

    def __init__(self, voice: Any, options: dict[str, Any], *, judge: Any, folder: Path | None) -> None:
        self.voice, self.options, self.judge, self.folder = voice, options, judge, folder
        self._known: dict[str, Spoken] = {}

    def __call__(self, text: str) -> Spoken:
        if text not in self._known:
            self._known[text] = self._speak(text)
        return self._known[text]

    def _speak(self, text: str) -> Spoken:
        if getattr(self.voice.capabilities, "times", False):
            speech = self.voice.speech(text, **self.options)
            audio, words = speech.audio, tuple((w.text, w.start, w.end) for w in speech.words)
        else:
            audio, words = self.voice.say(text, **self.options), ()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            audio.write(self.folder / f"{len(self._known):03d}.wav")
        mos = None if self.judge is None else self.judge.predict(audio)
        return Spoken(audio, contour_of(audio), words, mos)


def measures(speak: Speaker, language: str) -> dict[str, list[float]]:
    """Name of a measure -> one value in semitones (or DistillMOS) per pair or sentence; NaN: no F0 there."""
    out: dict[str, list[float]] = {}

    def add(name: str, value: float | None) -> None:
        if value is not None:
            out.setdefault(name, []).append(value)

    for question, statement, nucleus in YES_NO[language]:
        q, s = speak(question), speak(statement)
        add("yes-no: peak of the nucleus, question - statement", q.part(nucleus).peak - s.part(nucleus).peak)
        add("yes-no: end, question - statement", q.contour.end - s.contour.end)
        add("yes-no: DistillMOS of questions", q.mos)
        add("yes-no: DistillMOS of statements", s.mos)
        if q.mos is not None and s.mos is not None:
            add("yes-no: DistillMOS, question - statement", q.mos - s.mos)
    for text in WH[language]:
        spoken = speak(text)
        add(
            "wh: peak of the first .6 s above the end",
            spoken.contour.beginning(0.6).peak - spoken.contour.end,
        )
        add("wh: DistillMOS", spoken.mos)
    for words in EXCLAMATION[language]:
        loud, plain = speak(f"{words}!"), speak(f"{words}.")
        add("exclamation: peak, exclamation - statement", loud.contour.peak - plain.contour.peak)
        add("exclamation: level, exclamation - statement", loud.contour.level - plain.contour.level)
    for text in LIST[language]:
        spoken = speak(text)
        items = [item.end for item in spoken.before_commas(text)]
        if items:
            add(
                "list: end of the items above the end of the last", float(np.mean(items)) - spoken.contour.end
            )
    return out


def summary(values: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Mean and 95 % interval of each measure; pairs without F0 are left out and counted."""
    out: dict[str, dict[str, Any]] = {}
    for name, column in values.items():
        known = [v for v in column if np.isfinite(v)]
        if not known:
            continue
        interval = ratio_interval(known)
        out[name] = {
            "mean": interval.estimate,
            "low": interval.low,
            "high": interval.high,
            "n": len(known),
            "without_f0": len(column) - len(known),
        }
    return out


def table(rows: dict[str, dict[str, Any]], title: str) -> str:
    lines = [f"## {title}", "", "| measure (semitones, or DistillMOS) | mean [95 %] | N |", "|---|---|---|"]
    for name, row in rows.items():
        low, high = (f"{row[k]:+.2f}" if row[k] is not None else "?" for k in ("low", "high"))
        lines.append(f"| {name} | {row['mean']:+.2f} [{low}, {high}] | {row['n']} |")
    return "\n".join(lines) + "\n"


def texts_of(language: str) -> list[str]:
    """All sentences of a language."""
    pairs = [text for question, statement, _ in YES_NO[language] for text in (question, statement)]
    marked = [f"{words}{end}" for words in EXCLAMATION[language] for end in ".!"]
    return [*pairs, *WH[language], *marked, *LIST[language]]


def require_unseen(texts: Iterable[str], data: Path) -> None:
    """Refuse sentences that stand in a prepared corpus, whatever their punctuation.

    Raises:
        UserError: names the first one.
    """
    from intona.data.prepared import Prepared

    corpus = " " + " ".join(f"| {plain_words(item.text)} |" for item in Prepared.open(data)) + " "
    for text in texts:
        if f" {plain_words(text)} " in corpus:
            raise UserError(f'the corpus holds "{text}"', where=data)


def plain_words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a shipped voice or a run directory")
    parser.add_argument("--language", required=True, choices=sorted(YES_NO))
    parser.add_argument("--speaker")
    parser.add_argument("--vocoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="the prepared corpus that the voice was trained on")
    parser.add_argument("--output", type=Path, help="folder for questions.json, questions.md and the wavs")
    parser.add_argument("--no-judge", action="store_true", help="without DistillMOS")
    request = parser.parse_args(arguments)
    try:
        if request.data is not None:
            require_unseen(texts_of(request.language), request.data)
        rows = run(request)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    text = table(rows, f"{request.model}, {request.language}, {request.speaker or 'first speaker'}")
    print(text)
    if request.output is not None:
        facts = {k: str(v) if isinstance(v, Path) else v for k, v in vars(request).items()}
        report = {"request": facts, "measures": rows}
        (request.output / "questions.json").write_text(
            json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        (request.output / "questions.md").write_text(text, encoding="utf-8")
    return 0


def run(request: argparse.Namespace) -> dict[str, dict[str, Any]]:
    import intona

    judge = None
    if not request.no_judge:
        from intona.evaluation.judges.distillmos import DistillMosJudge

        judge = DistillMosJudge()
    voice = intona.load(request.model, vocoder=request.vocoder)
    options: dict[str, Any] = {"seed": request.seed}
    if request.speaker is not None:
        options["speaker"] = request.speaker
    if len(voice.languages) > 1:
        options["language"] = request.language
    folder = None if request.output is None else request.output / "wavs"
    if request.output is not None:
        request.output.mkdir(parents=True, exist_ok=True)
    return summary(measures(Speaker(voice, options, judge=judge, folder=folder), request.language))


if __name__ == "__main__":
    sys.exit(main())
