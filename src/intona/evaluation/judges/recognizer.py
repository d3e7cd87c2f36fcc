"""The recognizer of the judges: faster-whisper behind one small class.

The model is a hub name ("base", "large-v3", "owner/name"), a directory in CTranslate2 format, or
"offline": Whisper base from two PyPI wheels, for machines that reach a package index but no model hub.
Decoding is fixed: temperature 0 and no fallback, no text of the previous window as prompt, the language
stated and not detected, no voice-activity filter, no segment dropped as "no speech". A decoder that repeats
itself ("и и и …", compression ratio above 2.4) would cause hundreds of insertions that nobody spoke. Such an
utterance is decoded a second time, still at temperature 0, with repeated trigrams forbidden, and its record
says so. (Whisper's remedy is random sampling, which no resumed run could repeat.) Tokens with digits are
suppressed, so that "двенадцати" is written as a word and not as "12": no normalizer could restore the case.

Whisper base on ten recorded Russian sentences, one thread:

| | WER | CER | real-time factor |
|---|---|---|---|
| int8, beam 5 (default) | .182 | .040 | .19 |
| int8, beam 1 | .182 | .042 | .14 |
| float32, beam 5 | .165 | .037 | .32 |
| float32, beam 1 | .182 | .038 | .20 |
"""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import Audio, resampler_id
from intona.config import from_dict
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, rounding_of
from intona.evaluation.judges.cache import sound_key
from intona.evaluation.judges.recognizer_model import resolve_model
from intona.evaluation.judges.speech import detector_id, speech_seconds
from intona.evaluation.judges.transcript import Recognizer, Transcript
from intona.pool import ReloadsInWorker
from intona.provenance import sha256 as file_sha256

RATE = 16_000
_NUMERAL = re.compile(r"[0-9%$€£₽№]")
LOOP_RATIO = 2.4  # Whisper's threshold for text that repeats itself
LOOP_NGRAM = 3
WINDOW = 30  # seconds that Whisper reads at once
LEAST_P = 1e-6  # probability of a piece: an impossible one must not outweigh all others


@dataclass(frozen=True, kw_only=True)
class AsrConfig:
    """Which recognizer, where it runs and how it decodes.

    `compute_type` is CTranslate2's ("int8", "float32"); `device` is "cpu", "cuda" or "cuda:1".
    """

    model: str = "offline"
    language: str = "ru"
    beam_size: int = 5
    compute_type: str = "int8"
    threads: int = 0  # 0 = CTranslate2 decides
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError("beam_size must be at least 1")


class Transcriber(ReloadsInWorker):
    """`transcriber(audio) -> Transcript`. The model is loaded at the first call."""

    def __init__(self, config: AsrConfig) -> None:
        self.config = config
        self.directory = resolve_model(config.model)
        self._sha256 = file_sha256(self.directory / "model.bin")

    def describe(self) -> dict[str, Any]:
        config = self.config
        # The path on this machine is not part of what the model is; its hash is.
        name = Path(config.model).name if Path(config.model).is_dir() else config.model
        return {
            "model": name,
            "model_sha256": self._sha256,
            "language": config.language,
            "beam_size": config.beam_size,
            "compute_type": config.compute_type,
            "temperature": 0.0,
            "condition_on_previous_text": False,
            "vad_filter": False,
            "no_speech_threshold": None,
            "numerals": "suppressed",
            "max_new_tokens": "30 + 12 a second",
            "loops": f"compression ratio > {LOOP_RATIO}: again with no_repeat_ngram_size {LOOP_NGRAM}",
            "sample_rate": RATE,
            "resampler": resampler_id(),
            "faster_whisper": importlib.metadata.version("faster-whisper"),
            "ctranslate2": importlib.metadata.version("ctranslate2"),
            "no_speech": detector_id(),
            **rounding_of(config.device),
        }

    def speech_seconds(self, audio: Audio) -> float | None:
        """Seconds of speech in a recording; None where no detector of speech is installed."""
        return None if detector_id() is None else speech_seconds(audio.resample(RATE).samples)

    @cached_property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        kind, _, index = self.config.device.partition(":")
        try:
            return WhisperModel(
                str(self.directory),
                device=kind,
                device_index=int(index or 0),
                compute_type=self.config.compute_type,
                cpu_threads=self.config.threads,
                local_files_only=True,
            )
        except Exception as e:  # tokenizers raises plain ones
            raise UserError(f"the recognizer cannot be loaded ({e})", where=self.directory) from None

    @cached_property
    def _numerals(self) -> list[int]:
        """Tokens with a digit, or with a sign that is read as a word."""
        vocabulary = self._model.hf_tokenizer.get_vocab()
        return sorted(i for t, i in vocabulary.items() if not t.startswith("<|") and _NUMERAL.search(t))

    def __call__(self, audio: Audio) -> Transcript:
        samples = audio.resample(RATE).samples
        text, ratio = self._decode(samples, 0)
        if ratio <= LOOP_RATIO:
            return Transcript(text=text)
        return Transcript(text=self._decode(samples, LOOP_NGRAM)[0], looped=True)

    def surprise(self, audio: Audio, text: str) -> tuple[float, int]:
        """Negative log-likelihood of a text under the recognizer, for a recording of at most 30 s.

        The decoder is forced to the text (teacher forcing). Returns the sum of -log p of its pieces and
        their number. It distinguishes systems that are far from intelligible, where every error rate is
        near 1.

        Raises:
            UserError: a longer recording, or an empty text.
        """
        from faster_whisper.audio import pad_or_trim
        from faster_whisper.tokenizer import Tokenizer

        samples = audio.resample(RATE).samples
        if len(samples) > WINDOW * RATE:
            raise UserError(f"{len(samples) / RATE:.1f} s long; at most {WINDOW} s fit into one window")
        model = self._model
        tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language=self.config.language)
        pieces = tokenizer.encode(" " + text.strip())
        if not text.strip() or not pieces:
            raise UserError("no text to score")
        features = model.feature_extractor(samples, padding=0)
        frames = min(features.shape[1], 100 * WINDOW)
        states = model.encode(pad_or_trim(features))
        alignment = model.model.align(states, tokenizer.sot_sequence, [pieces], max(2, frames))[0]
        p = np.asarray(alignment.text_token_probs[: len(pieces)], dtype=np.float64)
        return float(-np.log(np.maximum(p, LEAST_P)).sum()), len(p)

    def _decode(self, samples: np.ndarray, no_repeat_ngram_size: int) -> tuple[str, float]:
        generated, _ = self._model.transcribe(
            samples,
            language=self.config.language,
            beam_size=self.config.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
            no_speech_threshold=None,
            max_new_tokens=token_cap(len(samples) / RATE),
            suppress_tokens=[-1, *self._numerals],
            no_repeat_ngram_size=no_repeat_ngram_size,
        )
        segments = list(generated)
        text = " ".join(" ".join(s.text for s in segments).split())
        return text, max((s.compression_ratio for s in segments), default=0.0)


class SharedTranscriber:
    """Wraps a recognizer: each recording is transcribed once, however many judges need the transcript.

    Describes itself as the wrapped recognizer.
    """

    def __init__(self, inner: Recognizer) -> None:
        self.inner = inner
        self._transcripts: dict[bytes, Transcript] = {}
        self._speech: dict[bytes, float | None] = {}

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def __call__(self, audio: Audio) -> Transcript:
        key = sound_key(audio)
        if key not in self._transcripts:
            self._transcripts[key] = self.inner(audio)
        return self._transcripts[key]

    def speech_seconds(self, audio: Audio) -> float | None:
        key = sound_key(audio)
        if key not in self._speech:
            self._speech[key] = self.inner.speech_seconds(audio)
        return self._speech[key]


def shared_recognizer(inputs: Inputs) -> SharedTranscriber:
    """The one recognizer of an evaluation; `settings["asr"]` are the fields of `AsrConfig`.

    Raises:
        UserError: it cannot be had; an unknown setting.
    """
    fields = {
        "model": inputs.recognizer,
        "language": inputs.language,
        "device": inputs.device,
        **inputs.settings.get("asr", {}),
    }
    config = from_dict(AsrConfig, fields, where='settings of the judge "asr"')
    return inputs.share("recognizer", lambda: SharedTranscriber(Transcriber(config)))


def token_cap(seconds: float) -> int:
    """Tokens allowed for a window of 30 s: speech has 3 to 8 per second, a decoder in a loop any number."""
    return 30 + round(12 * min(seconds, 30.0))
