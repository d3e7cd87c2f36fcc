"""Vocoders without torch: graphs for the networks, NumPy for pulses, noise and Fourier transforms."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intona import checkpoint, models, registry
from intona.audio import MelSpec
from intona.errors import UserError
from intona.runtime import folder
from intona.runtime.noise import NormalGenerator
from intona.runtime.session import GraphSession
from intona.runtime.stft import ArrayStft
from intona.vocoder.load import find
from intona.vocoder.running import waves
from intona.vocoder.source import NOISE_SAMPLES, noise, pulses

WITHOUT_WEIGHTS = "griffin-lim"


class OnnxVocoder(ABC):
    """Turns log mels of one `spec` into sound; any thread may call it.

    Attributes:
        spec: of the mels.
    """

    spec: MelSpec

    @abstractmethod
    def decode(self, mel: np.ndarray) -> np.ndarray:
        """A log mel (T, n_mels) to samples (T * hop,) float32 within ±1.

        Raises:
            UserError: another shape, or values that are not finite.
        """

    def check(self, mel: np.ndarray) -> np.ndarray:
        """The mel in float32. Refuses what no vocoder can decode."""
        if mel.ndim != 2 or mel.shape[1] != self.spec.n_mels:
            needed = f"(T, {self.spec.n_mels})"
            raise UserError(f"a mel of shape {needed} is needed, this one is {mel.shape}", where="vocoder")
        if not np.isfinite(mel).all():
            raise UserError("the mel holds NaN or infinite values", where="vocoder")
        return mel.astype(np.float32, copy=False)


class GraphVocoder(OnnxVocoder):
    """A vocoder of a folder with graphs.

    Args:
        chunk_frames: frames decoded at once, so that memory does not grow with the length.
    """

    def __init__(self, path: Path, graphs: Any, *, chunk_frames: int = 512) -> None:
        self.graphs, self.chunk_frames = graphs, chunk_frames
        self.spec = MelSpec.load(path / "features.json")
        self.networks = {name: GraphSession(path / f"{name}.onnx") for name in graphs.graphs}


class ChunkVocoder(GraphVocoder):
    """One whose samples depend on the frames within `reach` alone: chunks overlap by as much."""

    @abstractmethod
    def wave(self, mel: np.ndarray) -> np.ndarray:
        """(T, n_mels) to (T * hop,)."""

    def decode(self, mel: np.ndarray) -> np.ndarray:
        mel = self.check(mel)
        frames, hop, reach = len(mel), self.spec.hop_length, self.graphs.reach
        pieces = [np.zeros(0, np.float32)]
        for start in range(0, frames, self.chunk_frames):
            end = min(start + self.chunk_frames, frames)
            left, right = max(0, start - reach), min(frames, end + reach)
            wave = self.wave(mel[left:right])
            pieces.append(wave[(start - left) * hop : (end - left) * hop])
        return np.clip(np.concatenate(pieces), -1, 1)


class OnnxHifiGan(ChunkVocoder):
    """`vocoder.hifigan`."""

    def wave(self, mel: np.ndarray) -> np.ndarray:
        return self.networks["decoder"](mel=mel[None])[0][0]


class OnnxVocos(ChunkVocoder):
    """`vocoder.vocos`."""

    @cached_property
    def stft(self) -> ArrayStft:
        return ArrayStft(self.spec)

    def wave(self, mel: np.ndarray) -> np.ndarray:
        real, imag, amplitude = (x[0] for x in self.networks["decoder"](mel=mel[None]))
        spectrum = real + 1j * imag
        return self.stft.inverse(self.stft.refined(spectrum, amplitude, self.graphs.refinements))


class OnnxSourceFilter(GraphVocoder):
    """`vocoder.source_filter`, with the same noise."""

    @cached_property
    def stft(self) -> ArrayStft:
        return ArrayStft(self.spec)

    @cached_property
    def table(self) -> np.ndarray:
        """What `vocoder.source.noise_table` draws."""
        power = 3 / 8 * self.spec.win_length
        return NormalGenerator(0).normal(NOISE_SAMPLES)[:, 0] / np.float32(math.sqrt(power))

    def decode(self, mel: np.ndarray) -> np.ndarray:
        mel = self.check(mel)
        size = self.chunk_frames
        chunks = (mel[start : start + size] for start in range(0, len(mel), size))
        return np.concatenate([np.zeros(0, np.float32), *self.stream(chunks)])

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Waves of mel chunks (T, n_mels) that come in turn, the same as those of the whole."""
        graphs = self.graphs
        pieces = waves(
            (m[None] for m in mels if len(m)),
            self.spec,
            reach=graphs.reach,
            pitch_reach=graphs.pitch_reach,
            pitch=self.pitch,
            sound=self.sound,
        )
        return (wave[0] for wave in pieces)

    def pitch(self, mel: np.ndarray) -> np.ndarray:
        """(1, T) Hz, 0 where unvoiced."""
        octaves, voicing = self.networks["pitch"](mel=mel)
        return np.where(voicing > 0, np.exp2(octaves), np.float32(0))

    def sound(self, mel: np.ndarray, f0: np.ndarray, phase: np.ndarray, first: int) -> np.ndarray:
        """Samples (1, T * hop) of a mel, its pitch and phase; `first` is the number of its first frame."""
        spec = self.spec
        real, imag, quiet = (x[0] for x in self.networks["filters"](mel=mel))
        harmonic = (real + 1j * imag) * self.stft(pulses(phase, f0, spec, spec.pad)[0])
        size = len(real) * spec.hop_length + 2 * spec.pad
        drawn = noise(self.table, np.array([first * spec.hop_length]), size)[0]
        spectrum = harmonic + quiet * self.stft(drawn)
        expected = np.sqrt(np.square(harmonic.real) + np.square(harmonic.imag) + np.square(quiet))
        amplitude = np.where((f0[0] > 0)[:, None], expected, np.abs(spectrum))
        wave = self.stft.inverse(self.stft.refined(spectrum, amplitude, self.graphs.refinements))
        return np.clip(wave, -1, 1)[None]


class OnnxGriffinLim(OnnxVocoder):
    """`vocoder.griffin_lim`, which computes with NumPy on every backend."""

    def __init__(self, spec: MelSpec | None = None) -> None:
        from intona.vocoder import griffin_lim

        self._vocoder = griffin_lim.GriffinLim(spec or MelSpec())
        self.spec = self._vocoder.spec

    def decode(self, mel: np.ndarray) -> np.ndarray:
        return np.clip(self._vocoder.waveform(self._vocoder.magnitudes(self.check(mel))), -1, 1)


KINDS = {"hifigan": OnnxHifiGan, "vocos": OnnxVocos, "source-filter": OnnxSourceFilter}


def available(name: str | os.PathLike[str]) -> bool:
    """Whether a vocoder, by its name or directory, can decode without torch, or does not exist at all."""
    if str(name) == WITHOUT_WEIGHTS:
        return True
    try:
        return folder.has_graphs(find(name))
    except UserError:
        return str(name) not in registry.names("vocoders")


def load_vocoder(name: str | os.PathLike[str]) -> OnnxVocoder:
    """A vocoder by its name or directory, as `vocoder.load_vocoder` takes them.

    Raises:
        UserError: unknown name, no graphs, missing or damaged files.
    """
    try:
        models.find(name, kind="vocoder")
    except UserError:
        if str(name) != WITHOUT_WEIGHTS:
            raise
        return OnnxGriffinLim()
    path = find(name)
    graphs = folder.read(path)
    if graphs.kind not in KINDS:
        raise UserError("the graphs of a voice, not of a vocoder", where=path)
    if (path / checkpoint.INDEX).is_file():
        checkpoint.verify(path, state=False)
    return KINDS[graphs.kind](path, graphs)
