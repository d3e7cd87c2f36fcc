"""The acoustic model of a Grad-TTS voice without torch: graphs for the networks, NumPy for what is between.

The steps are those of `systems.gradtts.model.GradTTS.synthesize`, for one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intona.diffusion import solvers, target
from intona.runtime.folder import GradTTSGraphs
from intona.runtime.session import GraphSession

MAX_FRAMES = 20_000


@dataclass(frozen=True, kw_only=True)
class SentenceMel:
    """One sentence: mel (T, n_mels) log mel; durations (N,) frames per token."""

    mel: np.ndarray
    durations: np.ndarray


class AcousticModel:
    """The graphs of a folder.

    Raises:
        UserError: missing or damaged files.
    """

    def __init__(self, path: Path, graphs: GradTTSGraphs) -> None:
        self.graphs = graphs
        self.encoder, self.decoder = (GraphSession(path / f"{name}.onnx") for name in graphs.graphs)
        self._mean, self._std = (np.array(v, np.float32) for v in (graphs.mel_mean, graphs.mel_std))

    def synthesize(
        self,
        tokens: np.ndarray,
        *,
        speaker: int = 0,
        steps: int,
        solver: str,
        temperature: float,
        length_scale: float,
        stretch: np.ndarray | None = None,
        random: Any,
    ) -> SentenceMel:
        """Sample a mel.

        Args:
            tokens: (N,) ids. speaker: id.
            steps, solver: see `diffusion.solvers`. temperature: the deviation of the noise.
            length_scale: > 1 is slower. stretch: (N,) factor on the frames of each token.
            random: supplies the noise by `normal([T], n_mels)`, (1, T, n_mels).
        """
        who = np.array([speaker], np.int64)
        states, mu, log_frames = self.encoder(tokens=self._with_blanks(tokens)[None], speaker=who)
        frames = np.maximum(np.expm1(log_frames[0]), 0) * np.float32(length_scale)
        durations = frames_of(frames if stretch is None else frames * self._per_token(stretch))
        mu = np.repeat(mu[0], durations, axis=0)[None]
        states = np.repeat(states[0], durations, axis=0)[None]

        def denoise(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            (out,) = self.decoder(z=z, mu=mu, states=states, t=t, speaker=who)
            return target.split(self.graphs.target, self.graphs.process, out, z, t)

        def noise() -> np.ndarray:
            return np.float32(temperature) * random.normal([mu.shape[1]], mu.shape[2])

        z = solvers.solve(solver, self.graphs.process, denoise, noise(), steps, noise=noise)
        return SentenceMel(mel=(z + mu)[0] * self._std + self._mean, durations=durations)

    def _with_blanks(self, tokens: np.ndarray) -> np.ndarray:
        """a b c -> _ a _ b _ c _, where the model has blanks."""
        if self.graphs.blank is None:
            return tokens
        out = np.full(2 * len(tokens) + 1, self.graphs.blank, tokens.dtype)
        out[1::2] = tokens
        return out

    def _per_token(self, factors: np.ndarray) -> np.ndarray:
        """Factors of symbols (N,), with those of the blanks: each has that of the symbol before it."""
        if self.graphs.blank is None:
            return factors
        return np.concatenate([np.ones(1, factors.dtype), np.repeat(factors, 2)])


def frames_of(predicted: np.ndarray) -> np.ndarray:
    """Predicted frames (N,), none below 0, as whole numbers.

    Rounding the running sum, not each token, keeps the tempo: rounding errors do not add up.
    """
    ends = np.round(predicted.astype(np.float64).cumsum()).astype(np.int64)
    durations = np.diff(np.minimum(ends, MAX_FRAMES), prepend=0)
    durations[0] += ends[-1] == 0  # never an empty mel
    return durations
