"""Loud files without a word: real speech is never one of them, noise, hum and music are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from intona.audio import Audio, read_audio
from intona.data.corpora import Record, read_corpus
from intona.errors import UserError
from intona.evaluation import Manifest, Row, evaluate
from intona.evaluation.compare import compare
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.base import Judge, Score
from intona.evaluation.judges.distillmos import MEASURES
from intona.evaluation.judges.failures import FailureJudge
from intona.evaluation.judges.recognizer import AsrConfig, SharedTranscriber, Transcriber
from intona.evaluation.judges.recognizer_model import offline_installed
from intona.evaluation.judges.speech import LEAST_SECONDS, no_speech, speech_seconds
from intona.evaluation.judges.transcript import Transcript
from intona.evaluation.normalize import normalizer

RATE = 16_000
ASSETS = Path(__file__).parents[1] / "assets" / "festvox-ru-small"
RNG = np.random.default_rng(5)
CLOCK = np.arange(4 * RATE) / RATE
TEXT = "на берегу реки стоял старый деревянный дом"


class Listener:
    """Hears what it is told to hear; its detector of speech is the real one."""

    def __init__(self, transcript: str | Callable[[Audio], str], model: str = "listener") -> None:
        self.transcript, self.model = transcript, model

    def describe(self) -> dict[str, Any]:
        return {"model": self.model, "no_speech": "rule"}

    def __call__(self, audio: Audio) -> Transcript:
        return Transcript(
            text=self.transcript if isinstance(self.transcript, str) else self.transcript(audio)
        )

    def speech_seconds(self, audio: Audio) -> float:
        return speech_seconds(audio.resample(RATE).samples)


def coloured(power: float) -> np.ndarray:
    spectrum = np.fft.rfft(RNG.normal(size=len(CLOCK)))
    return np.fft.irfft(spectrum / (1 + np.arange(len(spectrum))) ** (power / 2))


def melody(seed: int) -> np.ndarray:
    rng, note = np.random.default_rng(seed), CLOCK[: RATE // 2]
    tones = [
        sum(np.sin(2 * np.pi * f * k * note) * np.exp(-4 * note) / k for k in range(1, 8))
        for f in rng.choice([110, 147, 165, 196, 220, 262, 330, 392, 440, 523], 8)
    ]
    return np.concatenate(tones)


NOISES: dict[str, np.ndarray] = {
    "white": coloured(0),
    "pink": coloured(1),
    "brown": coloured(2),
    "pulsing": coloured(0) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * CLOCK)),
    "bursts": coloured(0) * (np.sin(2 * np.pi * 3 * CLOCK) > 0),
    "tone": np.sin(2 * np.pi * 220 * CLOCK),
    "hum": np.sign(np.sin(2 * np.pi * 50 * CLOCK)),
    "chord": sum(np.sin(2 * np.pi * f * k * CLOCK) / k for f in (220, 277, 330) for k in range(1, 6)),
    "clicks": (np.arange(len(CLOCK)) % 4000 == 0).astype(float),
    "melody 1": melody(1),
    "melody 2": melody(2),
    "melody 3": melody(3),
}


def loud(samples: np.ndarray) -> Audio:
    return Audio((0.3 * samples / np.abs(samples).max()).astype(np.float32), RATE)


@pytest.mark.parametrize(
    "transcript", ["", "Субтитры сделал Дима", "Продолжение следует... Спасибо за внимание!"]
)
@pytest.mark.parametrize("name", NOISES)
def test_noise_is_no_speech_whatever_is_made_up_for_it(name: str, transcript: str) -> None:
    why = no_speech(Listener(transcript), normalizer("ru"), loud(NOISES[name]), Row(id="a", text=TEXT))
    assert why is not None and f'transcript "{transcript}"' in why


def real_speech() -> list[tuple[str, Audio]]:
    records = [r for r in read_corpus("festvox", ASSETS) if isinstance(r, Record)]
    return [(r.text, read_audio(r.audio)) for r in records]


@pytest.mark.parametrize(
    "change",
    [
        "as it is",
        "in white noise, 0 dB",
        "quiet, -50 dB",
        "telephone, 2 kHz",
        "higher and faster",
        "one second of it",
        "backwards",
    ],
)
def test_speech_is_never_marked(change: str) -> None:
    """Even where the recognizer hears nothing: the detector alone is enough to spare it."""
    for text, audio in real_speech():
        x = np.asarray(audio.resample(RATE).samples, np.float64)
        noise = RNG.normal(size=len(x)) * np.sqrt(np.mean(x**2))
        x = {
            "as it is": x,
            "in white noise, 0 dB": x + noise,
            "quiet, -50 dB": x * 10 ** (-50 / 20),
            "telephone, 2 kHz": soxr.resample(soxr.resample(x, RATE, 4000), 4000, RATE),
            "higher and faster": soxr.resample(x, RATE, 12000),
            "one second of it": x[RATE : 2 * RATE],
            "backwards": x[::-1],
        }[change]
        row = Row(id="a", text=text)
        assert no_speech(Listener(""), normalizer("ru"), Audio(x.astype(np.float32), RATE), row) is None


@pytest.mark.slow
@pytest.mark.skipif(not offline_installed(), reason="the offline recognizer is not installed")
def test_the_real_recognizer_makes_up_words_for_noise_and_is_not_believed() -> None:
    hears, words = SharedTranscriber(Transcriber(AsrConfig(threads=1))), normalizer("ru")
    for samples in NOISES.values():
        assert no_speech(hears, words, loud(samples), Row(id="a", text=TEXT)) is not None
    assert sum(bool(hears(loud(samples)).text) for samples in NOISES.values()) > 6
    for text, audio in real_speech():
        assert no_speech(hears, words, audio, Row(id="a", text=text)) is None


def test_what_was_understood_was_spoken() -> None:
    """A whisper, say: the detector finds nothing, and the words were heard."""
    row, noise = Row(id="a", text=TEXT), loud(NOISES["white"])
    assert no_speech(Listener(TEXT), normalizer("ru"), noise, row) is None
    assert no_speech(Listener("на берегу реки стоял дом"), normalizer("ru"), noise, row) is None
    assert no_speech(Listener("и"), normalizer("ru"), noise, row) is not None


def test_short_words_are_speech() -> None:
    """Vowels with what is around them, .3 s in a second of silence."""
    _, audio = real_speech()[0]
    x = audio.resample(RATE).samples
    loudest = int(np.argmax(np.convolve(x**2, np.ones(4800), "same")))
    piece = np.zeros(RATE, np.float32)
    piece[5000:9800] = x[loudest - 2400 : loudest + 2400]
    assert speech_seconds(piece) >= LEAST_SECONDS
    assert no_speech(Listener(""), normalizer("ru"), Audio(piece, RATE), Row(id="a", text="да")) is None


def test_a_recognizer_without_a_detector_marks_nothing(ears: Any) -> None:
    row, noise = Row(id="a", text=TEXT), loud(NOISES["white"])
    assert no_speech(ears(lambda audio: ""), normalizer("ru"), noise, row) is None
    assert no_speech(SharedTranscriber(ears(lambda audio: "")), normalizer("ru"), noise, row) is None


class Guess(Judge):
    """A predictor that gives all sounds four."""

    name, measures = "guess", MEASURES

    def describe(self) -> dict[str, Any]:
        return {"always": 4}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {m.name: Score(value=4.0) for m in self.measures}


def judges(made_up: str, texts: dict[int, str], model: str = "listener") -> list[Any]:
    shared = SharedTranscriber(Listener(lambda a: texts.get(len(a.samples), made_up), model))
    return [AsrJudge(shared, normalizer("ru")), FailureJudge(shared, normalizer("ru")), Guess()]


def test_noise_counts_as_a_failure_for_every_judge(tmp_path: Path) -> None:
    rows, texts = [], {}
    (tmp_path / "wavs").mkdir()
    for i, (text, audio) in enumerate(real_speech()[:3]):
        rows.append(Row(id=f"u{i}", text=text))
        texts[len(audio.samples)] = text
        soundfile.write(tmp_path / "wavs" / f"u{i}.wav", audio.samples, audio.sample_rate)
    noise = loud(NOISES["white"])
    soundfile.write(tmp_path / "wavs" / "u3.wav", noise.samples, RATE)
    manifest = Manifest(rows=(*rows, Row(id="u3", text=TEXT)))
    made_up = "Субтитры сделал Дима " * 8
    report = evaluate(
        {"ours": tmp_path / "wavs"}, manifest, out=tmp_path / "report", judges=judges(made_up, texts)
    )
    row = report.row("ours")
    assert row.failures == {"no speech": 1} and row.scored == 3
    words = len(TEXT.split())
    wer = row.cells["wer"].counted
    total = sum(len(normalizer("ru")(r.text).split()) for r in manifest.rows)
    assert wer is not None and wer.estimate == pytest.approx(words / total)  # deleted, and nothing inserted
    assert row.cells["distillmos"].counted.estimate == pytest.approx((3 * 4 + 1) / 4)  # type: ignore[union-attr]
    assert row.cells["ar_failure"].counted.estimate == 0.25  # type: ignore[union-attr]
    page = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert "1 no speech" in page
    records = (tmp_path / "report" / "records.jsonl").read_text(encoding="utf-8")
    assert 's of speech, transcript \\"Субтитры сделал Дима' in records


def test_another_recognizer_judges_all_anew(tmp_path: Path) -> None:
    """Whether there is speech depends on it, and what every judge says depends on that."""
    (tmp_path / "wavs").mkdir()
    noise = loud(NOISES["white"])
    soundfile.write(tmp_path / "wavs" / "a.wav", noise.samples, RATE)
    manifest = Manifest(rows=(Row(id="a", text=TEXT),))
    run = {"systems": {"ours": tmp_path / "wavs"}, "manifest": manifest}
    first = evaluate(**run, out=tmp_path / "one", judges=judges("", {}))  # type: ignore[arg-type]
    again = evaluate(**run, out=tmp_path / "one", judges=judges(TEXT, {}, "better"))  # type: ignore[arg-type]
    assert first.row("ours").cells["distillmos"].counted.estimate == 1.0  # type: ignore[union-attr]
    assert again.row("ours").cells["distillmos"].counted.estimate == 4.0  # type: ignore[union-attr]
    evaluate(**run, out=tmp_path / "two", judges=judges("", {}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the rule for outputs without speech"):
        compare([tmp_path / "one", tmp_path / "two"], measures=["distillmos"])
