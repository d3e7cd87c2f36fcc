"""How far graphs are from the torch model that they were exported from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona.audio import Audio, MelSpec, log_mel
from intona.data.intonation import Intonation
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.runtime import acoustic, folder
from intona.runtime import vocoder as vocoders
from intona.runtime.noise import SentenceRandom
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import Utterance
from intona.text.intonation import symbols_of

LARGEST = 1e-3  # accepted: of a log mel, of samples of ±1
SENTENCES = {
    "ru": (
        "Добрый день!",
        "В тысяча восемьсот двенадцатом году зима была ранней и холодной.",
        "А вы уже слышали, что вчера вечером приехал мой брат?",
    ),
    "en": (
        "Good morning!",
        "The boy was there when the sun rose over the quiet harbour.",
        "Have you heard that my brother arrived late last night?",
    ),
}
STEPS = 8


def voice_difference(voice: GradTTSVoice, path: Path) -> dict[str, Any]:
    """The largest difference of the mels of real sentences, with the same noise.

    Args:
        voice: in float32, of the same weights. path: the folder with the graphs.

    Raises:
        UserError: more than `LARGEST`.
    """
    graphs = folder.read(path)
    assert isinstance(graphs, folder.GradTTSGraphs)
    model = acoustic.AcousticModel(path, graphs)
    largest, compared, frames = 0.0, 0, 0
    for i, sentence in enumerate(texts := _sentences(voice)):
        ids = voice.tokenizer.encode(sentence.phonemes).ids
        types, places = symbols_of(sentence, voice.language_of(sentence))
        intonation = Intonation(clause_types=torch.tensor([types]), places=torch.tensor([places]))
        question = voice.question_plan(sentence)
        settings: Any = {
            "steps": STEPS,
            "solver": voice.default_solver,
            "temperature": 1.0,
            "length_scale": 1.0,
        }
        speaker = i % len(voice.speakers)
        speech = voice.model.synthesize(
            torch.tensor([ids]),
            torch.tensor([len(ids)]),
            speakers=torch.tensor([speaker]),
            random=ItemRandom(0, 0, [str(i)]),
            intonation=intonation,
            questions=[question],
            **settings,
        )
        other = model.synthesize(
            np.array(ids),
            speaker=speaker,
            random=SentenceRandom(0, i),
            intonation=(types, places),
            question=question,
            **settings,
        )
        if speech.durations[0].tolist() != other.durations.tolist():
            continue  # a sum of durations just at a half was rounded to the other side
        compared, frames = compared + 1, frames + len(other.mel)
        largest = max(largest, float(np.abs(speech.mel[0].numpy() - other.mel).max()))
    if not compared:
        raise UserError("the graphs give other durations than the model", where=path)
    return _accepted({"sentences": compared, "of": len(texts), "frames": frames, "log_mel": largest}, path)


def vocoder_difference(vocoder: Any, path: Path) -> dict[str, Any]:
    """The largest difference of the samples of a mel with a gliding voice and a hiss.

    Raises:
        UserError: more than `LARGEST`.
    """
    mel = log_mel(_glide(vocoder.spec), vocoder.spec)
    samples = vocoder.decode(torch.from_numpy(mel)[None])[0].numpy()
    other = vocoders.load_vocoder(path).decode(mel)
    largest = float(np.abs(samples - other).max())
    return _accepted(
        {"frames": len(mel), "samples": largest, "rms": float(np.sqrt(np.mean(samples**2)))}, path
    )


def _accepted(report: dict[str, Any], path: Path) -> dict[str, Any]:
    largest = report.get("log_mel", report.get("samples", 0.0))
    if not largest <= LARGEST:
        raise UserError(
            f"the graphs differ from the model by {largest:.2g}, more than {LARGEST:g}", where=path
        )
    return {k: float(f"{v:.2g}") if isinstance(v, float) else v for k, v in report.items()}


def _sentences(voice: GradTTSVoice) -> list[Utterance]:
    """Sentences in the voice's languages; without any here, one of its symbols in their order."""
    out = []
    for language in voice.languages:
        for text in SENTENCES.get(language, ()):
            out += voice.frontend_of(language).speakable(text)
    symbols = tuple(voice.tokenizer.decode(range(2, len(voice.tokenizer))))
    return out or [Utterance(text="", normalized="", phonemes=symbols, words=())]


def _glide(spec: MelSpec, seconds: float = 2.0) -> Audio:
    """A second of a voice that glides from 110 to 220 Hz, then a hiss that fades."""
    rate = spec.sample_rate
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * math.pi * np.cumsum(110 * 2 ** (t / seconds)) / rate
    voice = sum(np.cos(k * phase) / k for k in range(1, 24)) * (t < seconds / 2)
    hiss = np.random.default_rng(0).normal(size=len(t)) * (t >= seconds / 2) * (seconds - t)
    return Audio((0.1 * voice + 0.03 * hiss).astype(np.float32), rate)
