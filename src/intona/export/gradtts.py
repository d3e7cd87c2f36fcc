"""A Grad-TTS voice as graphs: the encoder with the durations, and one evaluation of the decoder.

Between them, a voice with a variance adaptor has one that adds pitch, voicing and energy to the states.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from intona.data.intonation import Intonation
from intona.errors import UserError
from intona.export.graph import export_graph
from intona.runtime.folder import GradTTSGraphs, VarianceGraphs
from intona.synth.variance import Values
from intona.systems.gradtts.model import GradTTS
from intona.systems.gradtts.variance import VarianceAdaptor

TOKENS, FRAMES = 12, 20  # of the examples that the exporter traces


class TracedEncoder(nn.Module):
    """tokens (1, N)[, speaker (1,)] -> states, prior, log_frames; one sentence, without padding."""

    def __init__(self, model: GradTTS) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        model = self.model
        lengths = torch.full((1,), tokens.shape[1], dtype=torch.int64)
        vector = None if model.speakers is None or speaker is None else model.speakers(speaker)
        states, mask = model.encoder(tokens, lengths, vector, None)
        return states, model.prior(states), model.duration(states, mask)


class TracedPredictor(nn.Module):
    """The encoder of a model with a variance adaptor, and the predictor of values.

    tokens, clause_types, places (1, N)[, speaker (1,)] -> states without values, log_frames, pitch, voiced,
    energy.
    """

    def __init__(self, model: GradTTS) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Tensor, clause_types: Tensor, places: Tensor, speaker: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        model, variance = self.model, adaptor_of(self.model)
        lengths = torch.full((1,), tokens.shape[1], dtype=torch.int64)
        text, mask, vector = model.read(tokens, lengths, speaker)
        intonation = Intonation(clause_types=clause_types, places=places)
        text = variance.with_intonation(text, intonation, mask)
        predicted = variance.predict(text, mask, vector)
        voiced = torch.sigmoid(predicted.voiced_logit)
        return text, model.duration(text, mask), predicted.pitch, voiced, predicted.energy


class TracedAdaptor(nn.Module):
    """states (1, N, D), pitch, voiced, energy (1, N) -> states with these values, prior."""

    def __init__(self, model: GradTTS) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: Tensor, pitch: Tensor, voiced: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.ones(states.shape[:2], dtype=torch.bool)
        values = Values(pitch=pitch, voiced=voiced, energy=energy)
        states = adaptor_of(self.model).add(states, values, mask)
        return states, self.model.prior(states)


def adaptor_of(model: GradTTS) -> VarianceAdaptor:
    assert model.variance is not None
    return model.variance


class TracedDecoder(nn.Module):
    """z, mu (1, T, n_mels), states (1, T, D), t (1,)[, speaker (1,)] -> prediction (1, T, n_mels)."""

    def __init__(self, model: GradTTS) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, z: Tensor, mu: Tensor, states: Tensor, t: Tensor, speaker: Tensor | None = None
    ) -> Tensor:
        model = self.model
        vector = None if model.speakers is None or speaker is None else model.speakers(speaker)
        mask = torch.ones(z.shape[:2], dtype=torch.bool)
        return model.score(z + mu, mu, t, mask, states, vector)


def export_gradtts(model: GradTTS, path: Path) -> GradTTSGraphs:
    """Write the graphs of a model into a folder that has its weights.

    Raises:
        UserError: an encoder or a decoder that cannot be exported.
    """
    config = model.config
    if config.encoder.reads_pieces or config.encoder.condition_dim:
        raise UserError(f"a {config.encoder.kind} text encoder cannot be exported yet", where=path)
    if config.decoder.kind != "convnext1d":
        raise UserError(
            f"a {config.decoder.kind} decoder cannot be exported",
            where=path,
            hint="train with --model.decoder.kind convnext1d",
        )
    model = model.cpu().float()
    who = {"speaker": torch.zeros(1, dtype=torch.int64)} if model.speakers is not None else {}
    tokens = {"tokens": torch.ones(1, TOKENS, dtype=torch.int64)}
    if model.variance is None:
        export_graph(
            TracedEncoder(model),
            path / "encoder.onnx",
            inputs={**tokens, **who},
            outputs=["states", "prior", "log_frames"],
            lengths={"tokens": {1: "tokens"}},
        )
    else:
        _export_adaptor(model, path, tokens, who)
    mel = torch.zeros(1, FRAMES, config.n_mels)
    states = torch.zeros(1, FRAMES, model.encoder.dim)
    frames = {name: {1: "frames"} for name in ("z", "mu", "states")}
    export_graph(
        TracedDecoder(model),
        path / "decoder.onnx",
        inputs={"z": mel, "mu": mel, "states": states, "t": torch.zeros(1), **who},
        outputs=["prediction"],
        lengths=frames,
    )
    return GradTTSGraphs(
        n_tokens=config.n_tokens,
        n_mels=config.n_mels,
        blank=config.n_tokens if config.add_blank else None,
        target=config.target,
        process=model.process,
        mel_mean=tuple(model.mel_mean.tolist()),
        mel_std=tuple(model.mel_std.tolist()),
        variance=config.variance and VarianceGraphs(question_contour=config.variance.question_contour),
    )


def _export_adaptor(model: GradTTS, path: Path, tokens: dict[str, Tensor], who: dict[str, Tensor]) -> None:
    places = {name: torch.zeros(1, TOKENS, dtype=torch.int64) for name in ("clause_types", "places")}
    values = {name: torch.zeros(1, TOKENS) for name in ("pitch", "voiced", "energy")}
    export_graph(
        TracedPredictor(model),
        path / "encoder.onnx",
        inputs={**tokens, **places, **who},
        outputs=["states", "log_frames", *values],
        lengths={name: {1: "tokens"} for name in ("tokens", *places)},
    )
    states = {"states": torch.zeros(1, TOKENS, model.encoder.dim)}
    export_graph(
        TracedAdaptor(model),
        path / "adaptor.onnx",
        inputs={**states, **values},
        outputs=["spoken_states", "prior"],
        lengths={name: {1: "tokens"} for name in (*states, *values)},
    )
