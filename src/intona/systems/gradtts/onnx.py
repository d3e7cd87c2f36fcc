"""Grad-TTS voices without torch: the same voice over the graphs of `intona export`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.diffusion.process import MeanReverting, OptimalTransport
from intona.errors import UserError
from intona.runtime import acoustic, folder, vocoder
from intona.runtime.noise import SentenceRandom
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.speech import without_blanks
from intona.systems.gradtts.voice import GradTTSVoice, SpokenMel, speakers_and_languages, steered
from intona.text import PhonemeTokenizer, Utterance, load_tokenizer
from intona.text.intonation import symbols_of


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
        acoustic.AcousticModel(path, graphs),  # type: ignore[arg-type]
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=speakers,
        languages=languages,
        card=models.card_fields(path),
        path=path,
        vocoder=vocoder,
    )


STATISTICS = {f"variance.{name}_{part}" for name in ("pitch", "energy") for part in ("mean", "std")}
BUFFERS = {"mel_mean", "mel_std", "voices", *STATISTICS}


class OnnxVoice(GradTTSVoice):
    """A Grad-TTS voice whose networks run in onnxruntime, one sentence at a time."""

    model: acoustic.AcousticModel  # type: ignore[assignment]

    @property
    def capabilities(self) -> Capabilities:
        # Sentences are not computed side by side: on a CPU that is no faster.
        return dataclasses.replace(super().capabilities, batches=False)

    def prepare(self) -> None:
        return None

    @property
    def steerable(self) -> bool:
        return self.model.graphs.variance is not None

    @property
    def process(self) -> MeanReverting | OptimalTransport:
        return self.model.graphs.process

    @property
    def question_contour(self) -> bool:
        variance = self.model.graphs.variance
        return variance is not None and variance.question_contour

    @property
    def parameters(self) -> int:
        return sum(v.size for k, v in self._weights() if k not in BUFFERS)

    def weights_hash(self) -> str:
        """The same as with torch: both backends give the same audio, up to rounding."""
        whole = hashlib.sha256()
        for name, values in self._weights():
            whole.update(name.encode())
            whole.update(values.tobytes())
        return whole.hexdigest()[:16]

    def _weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values, in order of the names, in float32."""
        from safetensors import safe_open

        assert self.path is not None
        with safe_open(self.path / "model.safetensors", framework="np") as file:
            for name in sorted(file.keys()):
                values = file.get_tensor(name)
                floats = np.issubdtype(values.dtype, np.floating)
                yield name.removeprefix("model."), values.astype(np.float32) if floats else values

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "backend": "onnx"}

    def open_vocoder(self, name: str) -> Any:
        return vocoder.load_vocoder(name)

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def wave(self, mel: Any) -> np.ndarray:
        return self.vocoder.decode(mel)  # type: ignore[arg-type, return-value]

    def random(self, sentences: Sequence[tuple[int, int]]) -> Any:
        return [SentenceRandom(seed, place) for seed, place in sentences]

    def tensor(self, values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)

    def spoken(
        self,
        sentences: Sequence[Utterance],
        speakers: Sequence[int],
        options: SpeakOptions | None = None,
        *,
        random: Any,
        **changes: Any,
    ) -> list[SpokenMel]:
        settled: Any = self.settled(options, **changes)  # no option of the sampler is None in it
        out = []
        for sentence, speaker, noise in zip(sentences, speakers, random, strict=True):
            tokens = np.array(self.ids(sentence), np.int64)
            controls = self.controls([sentence])
            more: dict[str, Any] = {}
            if self.steerable:
                controls = steered(controls, settled, tokens[None])
                more["intonation"] = symbols_of(sentence, self.language_of(sentence))
                more["question"] = self.question_plan(sentence)
            speech = self.model.synthesize(
                tokens,
                speaker=speaker,
                controls=controls,
                random=noise,
                **self.sampling(settled),
                **more,
            )
            blanks = self.model.graphs.blank is not None
            durations = without_blanks(speech.durations) if blanks else speech.durations
            out.append(SpokenMel(mel=speech.mel, durations=durations))
        return out
