"""Grad-TTS voices without torch: the same voice over the graphs of `intona export`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.runtime import acoustic, folder, vocoder
from intona.runtime.noise import SentenceRandom
from intona.synth.options import SpeakOptions
from intona.systems.gradtts.voice import CAPABILITIES, GradTTSVoice, speakers_and_languages
from intona.text import PhonemeTokenizer, Utterance, load_tokenizer


def load(path: Path, *, vocoder: str | None = None) -> OnnxVoice:
    """Open a checkpoint directory that has graphs.

    Raises:
        UserError: no graphs, damaged files.
    """
    graphs = folder.read(path)
    if graphs.kind != "gradtts":
        raise UserError(f"the graphs of {graphs.kind}, not of a gradtts voice", where=path)
    checkpoint.verify(path, state=False)
    tokenizer = load_tokenizer(path / "tokenizer.json")
    if not isinstance(tokenizer, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=path / "tokenizer.json")
    if len(tokenizer) > graphs.n_tokens:
        raise UserError(
            f"{len(tokenizer)} symbols, the graphs have {graphs.n_tokens}", where=path / "tokenizer.json"
        )
    speakers, languages = speakers_and_languages(path)
    return OnnxVoice(
        acoustic.GradTTS(path, graphs),
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=speakers,
        languages=languages,
        card=models.card_fields(path),
        path=path,
        vocoder=vocoder,
    )


class OnnxVoice(GradTTSVoice):
    """A Grad-TTS voice whose networks run in onnxruntime, one sentence at a time."""

    # Sentences are not computed side by side: on a CPU that is no faster.
    capabilities = dataclasses.replace(CAPABILITIES, batches=False)
    model: acoustic.GradTTS  # type: ignore[assignment]

    def prepare(self) -> None:
        return None

    @property
    def parameters(self) -> int:
        """Number of weights in the file, and of the constants beside them."""
        assert self.path is not None
        return tensors_in(self.path / "model.safetensors")

    def weights_hash(self) -> str:
        """Of the file of the weights."""
        assert self.path is not None
        return configs.read_json(self.path / checkpoint.INDEX)["model.safetensors"]["sha256"][:16]

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "backend": "onnx"}

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "backend": "onnx"}

    def open_vocoder(self, name: str) -> Any:
        return vocoder.load_vocoder(name)

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def wave(self, mel: Any) -> np.ndarray:
        return self.vocoder.decode(mel)  # type: ignore[arg-type, return-value]

    def random(self, sentences: Sequence[tuple[int, int]]) -> Any:
        return [SentenceRandom(seed, place) for seed, place in sentences]

    def mels(  # type: ignore[override]
        self,
        sentences: Sequence[Utterance],
        speakers: Sequence[int],
        options: SpeakOptions | None = None,
        *,
        random: Sequence[SentenceRandom],
        **changes: Any,
    ) -> list[np.ndarray]:
        """Mels (T_i, n_mels) of sentences, each with its own noise."""
        settled: Any = self.settled(options, **changes)  # no option of the sampler is None in it
        return [
            self.model.synthesize(
                np.array(self.ids(sentence), np.int64),
                speaker=speaker,
                steps=settled.steps,
                solver=settled.solver,
                temperature=settled.temperature,
                length_scale=self.manner.length_scale / settled.rate,
                random=noise,
            ).mel
            for sentence, speaker, noise in zip(sentences, speakers, random, strict=True)
        ]

    def speak_batch(self, readings: Any) -> Any:
        for reading in readings:
            with self.computing():
                mels = self._mels_of([reading])[0]
                result = self._joined_audio(mels)
            yield result


def tensors_in(weights: Path) -> int:
    """Numbers in a safetensors file, from its header."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as f:
        return sum(int(np.prod(f.get_slice(name).get_shape())) for name in f.keys())  # noqa: SIM118
