"""The acoustic model of a Grad-TTS voice without torch: graphs for the networks, NumPy for what is between.

The steps are those of `systems.gradtts.model.GradTTS.synthesize`, for one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intona.diffusion import solvers, target
from intona.errors import UserError
from intona.runtime.folder import GradTTSGraphs
from intona.runtime.session import GraphSession
from intona.synth.controls import Controls
from intona.synth.variance import Values, spoken_values, values_of
from intona.text.question import QuestionPlan

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
        self.adaptor = None if graphs.variance is None else Adaptor(path, self.encoder)
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
        controls: Controls | None = None,
        intonation: tuple[Sequence[int], Sequence[int]] | None = None,
        question: QuestionPlan | None = None,
        random: Any,
    ) -> SentenceMel:
        """Sample a mel.

        Args:
            tokens: (N,) ids. speaker: id.
            steps, solver: see `diffusion.solvers`. temperature: the deviation of the noise.
            length_scale: > 1 is slower.
            controls: (1, N) of the symbols; without a variance adaptor only the duration is obeyed.
            intonation, question: of the same text, for a variance adaptor; see `text.intonation.symbols_of`
                and `text.question.plan_of`.
            random: supplies the noise by `normal([T], n_mels)`, (1, T, n_mels).
        """
        who = np.array([speaker], np.int64)
        if self.adaptor is None:
            states, mu, log_frames = self.encoder(tokens=self._with_blanks(tokens)[None], speaker=who)
        else:
            if intonation is None:
                raise ValueError("the model has a variance adaptor and needs the intonation of its texts")
            states, mu, log_frames = self.adaptor(tokens[None], who, intonation, question, controls)
        frames = np.maximum(np.expm1(log_frames[0]), 0) * np.float32(length_scale)
        if controls is not None and controls.duration is not None:
            frames = frames * self._per_token(controls.duration[0])
        durations = frames_of(frames)
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


class Adaptor:
    """The encoder and the variance adaptor of a voice whose pitch and energy can be steered.

    Raises:
        UserError: missing or damaged files.
    """

    def __init__(self, path: Path, encoder: GraphSession) -> None:
        self._encoder, self._add = encoder, GraphSession(path / "adaptor.onnx")
        self._pitch_std, self._energy_std = (
            deviations(path / "model.safetensors", f"model.variance.{name}_std")
            for name in ("pitch", "energy")
        )

    def __call__(
        self,
        tokens: np.ndarray,
        speaker: np.ndarray,
        intonation: tuple[Sequence[int], Sequence[int]],
        question: QuestionPlan | None,
        controls: Controls | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States with the values that are spoken (1, N, D), prior, log(1 + frames); see `synthesize`."""
        types, places = (np.array([row], np.int64) for row in intonation)
        mask = np.ones(tokens.shape, bool)

        def predict(clause_types: np.ndarray) -> tuple[np.ndarray, np.ndarray, Values]:
            states, log_frames, pitch, voiced, energy = self._encoder(
                tokens=tokens, clause_types=clause_types, places=places, speaker=speaker
            )
            return states, log_frames, values_of(pitch, voiced, energy, mask)

        states, log_frames, predicted = predict(types)
        values = spoken_values(
            predicted,
            mask,
            pitch_std=self._pitch_std[speaker, None],
            energy_std=self._energy_std[speaker, None],
            statement=None if question is None else predict(np.zeros_like(types))[2],
            questions=[question],
            controls=controls,
        )
        states, prior = self._add(states=states, **vars(values))
        return states, prior, log_frames


def deviations(weights: Path, name: str) -> np.ndarray:
    """A vector of the weights, in float32. Raises: UserError: there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            return file.get_tensor(name).astype(np.float32)
    except (OSError, SafetensorError) as e:
        raise UserError(f"damaged, or of another model ({e})", where=weights) from None


def frames_of(predicted: np.ndarray) -> np.ndarray:
    """Predicted frames (N,), none below 0, as whole numbers.

    Rounding the running sum, not each token, keeps the tempo: rounding errors do not add up.
    """
    ends = np.round(predicted.astype(np.float64).cumsum()).astype(np.int64)
    durations = np.diff(np.minimum(ends, MAX_FRAMES), prepend=0)
    durations[0] += ends[-1] == 0  # never an empty mel
    return durations
