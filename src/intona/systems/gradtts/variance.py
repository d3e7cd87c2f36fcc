"""The variance adaptor: pitch, voicing and energy of each symbol, added to the text states.

In training the values are those of the recordings, in synthesis the predicted ones, which can be changed
before they are added. Values are standardised by speaker; the means and deviations are part of the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from intona.data.batch import Contours
from intona.data.contours import SpeakerStatistics
from intona.data.intonation import Intonation
from intona.nn.conv import Conv
from intona.nn.losses import Part
from intona.synth.controls import Controls
from intona.synth.variance import VOICED, Values, interpolated, spoken_values, values_of
from intona.systems.gradtts.config import VarianceConfig
from intona.text.intonation import CLAUSE_TYPES, PLACES
from intona.text.question import QuestionPlan

MAX_ENERGY = 3.0  # deviations from the mean; pauses lie far below


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Outputs of the predictor, each (B, N): standardised pitch and energy, logit of the voiced share."""

    pitch: Tensor
    voiced_logit: Tensor
    energy: Tensor


class VarianceAdaptor(nn.Module):
    """Predictor and embedding of the values.

    The tables and the embedding start at zero: a model that starts from one without an adaptor begins with
    its outputs.

    Args:
        dim: width of the text states. speaker_dim: of the speaker embedding, 0 for one voice.
    """

    pitch_mean: Tensor
    pitch_std: Tensor
    energy_mean: Tensor
    energy_std: Tensor

    def __init__(self, config: VarianceConfig, dim: int, *, n_speakers: int, speaker_dim: int) -> None:
        super().__init__()
        self.config = config
        # One row per clause type and place: the nucleus of a question is no sum of the two.
        self.intonation = nn.Embedding(len(CLAUSE_TYPES) * PLACES, dim)
        nn.init.zeros_(self.intonation.weight)
        self.speaker = nn.Linear(speaker_dim, dim) if speaker_dim else None
        widths = [dim] + [config.hidden] * config.layers
        self.convs = nn.ModuleList(Conv(i, o, config.kernel) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in self.convs)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.hidden, 3)
        self.embedding = Conv(3, dim, 3)
        nn.init.zeros_(self.embedding.weight)
        assert self.embedding.bias is not None
        nn.init.zeros_(self.embedding.bias)
        for name in ("pitch", "energy"):
            self.register_buffer(f"{name}_mean", torch.zeros(n_speakers))
            self.register_buffer(f"{name}_std", torch.ones(n_speakers))

    def set_statistics(self, statistics: SpeakerStatistics) -> None:
        for name, values in vars(statistics).items():
            getattr(self, name).copy_(torch.from_numpy(np.asarray(values)))

    def with_intonation(self, states: Tensor, intonation: Intonation, mask: Tensor) -> Tensor:
        """States (B, N, D) that know the type of their clause and the place of its nucleus."""
        row = intonation.clause_types * PLACES + intonation.places
        return states + self.intonation(row) * mask[..., None]

    def predict(self, states: Tensor, mask: Tensor, speaker: Tensor | None) -> Prediction:
        """From states (B, N, D) with their intonation.

        They are not detached (as in FastSpeech 2 and FastPitch): in training the true values are added to the
        states, so that nothing else would make the encoder learn what intonation depends on.
        """
        x = states
        if self.speaker is not None and speaker is not None:
            x = x + self.speaker(speaker)[:, None, :]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.dropout(norm(torch.relu(conv(x, mask))))
        pitch, voiced, energy = self.out(x).float().unbind(-1)
        return Prediction(pitch=pitch, voiced_logit=voiced, energy=energy)

    def truth(self, contours: Contours, speakers: Tensor | None) -> Values:
        """The values of recordings, standardised."""
        row = self._rows(speakers, contours.pitch)
        pitch = (contours.pitch - self.pitch_mean[row, None]) / self.pitch_std[row, None]
        energy = (contours.energy - self.energy_mean[row, None]) / self.energy_std[row, None]
        return Values(
            pitch=interpolated(pitch, contours.voiced >= VOICED),
            voiced=contours.voiced,
            energy=interpolated(energy.clamp(-MAX_ENERGY, MAX_ENERGY), contours.present),
        )

    def plan(
        self,
        states: Tensor,
        intonation: Intonation,
        mask: Tensor,
        *,
        speaker: Tensor | None,
        speakers: Tensor | None,
        questions: Sequence[QuestionPlan | None] | None = None,
        controls: Controls | None = None,
    ) -> Values:
        """The values that are spoken: the predicted ones, with the contour of questions, then steered.

        Args:
            states: (B, N, D) of the encoder. speaker: (B, S) vectors. speakers: (B,) ids.
            questions: the default contour of each item, None for none.
            controls: pitch, range and energy are obeyed. The range is that of the whole contour around the
                speaker's mean, questions included.
        """
        predicted = self.predict(self.with_intonation(states, intonation, mask), mask, speaker)
        statement = None
        if questions is not None and any(questions):
            as_statement = dataclasses.replace(
                intonation, clause_types=torch.zeros_like(intonation.clause_types)
            )
            other = self.predict(self.with_intonation(states, as_statement, mask), mask, speaker)
            statement = self.values(other, mask)
        row = self._rows(speakers, mask)
        return spoken_values(
            self.values(predicted, mask),
            mask,
            pitch_std=self.pitch_std[row, None],
            energy_std=self.energy_std[row, None],
            statement=statement,
            questions=questions or (),
            controls=controls,
        )

    def semitones(self, values: Values, speakers: Tensor | None) -> Tensor:
        """The pitch of values, in semitones above 100 Hz, (B, N)."""
        row = self._rows(speakers, values.pitch)
        return values.pitch * self.pitch_std[row, None] + self.pitch_mean[row, None]

    def values(self, predicted: Prediction, mask: Tensor) -> Values:
        """The values that a prediction stands for."""
        voiced = torch.sigmoid(predicted.voiced_logit)
        return values_of(predicted.pitch, voiced, predicted.energy, mask)

    def _rows(self, speakers: Tensor | None, like: Tensor) -> Tensor:
        return torch.zeros(len(like), dtype=torch.long, device=like.device) if speakers is None else speakers

    def add(self, states: Tensor, values: Values, mask: Tensor) -> Tensor:
        """States (B, N, D) with the embedding of the values."""
        stacked = torch.stack([values.pitch, values.voiced, values.energy], dim=-1)
        return states + self.embedding(stacked.to(states.dtype), mask) * mask[..., None]

    def losses(
        self, predicted: Prediction, truth: Values, contours: Contours, mask: Tensor
    ) -> dict[str, Part]:
        """Squared errors of pitch and energy, cross-entropy of the voiced share.

        Pitch counts where a symbol has one, the others where it has frames.
        """
        present = contours.present & mask
        with_pitch = (contours.voiced >= VOICED) & mask
        voiced = nn.functional.binary_cross_entropy_with_logits(
            predicted.voiced_logit, truth.voiced, reduction="none"
        )
        errors = {
            "pitch": ((predicted.pitch - truth.pitch).square(), with_pitch),
            "voiced": (voiced, present),
            "energy": ((predicted.energy - truth.energy).square(), present),
        }
        return {
            name: Part(total=(error * where).sum(), count=where.sum(), weight=self.config.weight)
            for name, (error, where) in errors.items()
        }
