"""The model: prior, durations, alignment, the three losses, and sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from intona.data.batch import Contours
from intona.data.intonation import Intonation
from intona.data.pieces import Pieces
from intona.diffusion import solvers, target
from intona.encoders.base import TextEncoder
from intona.nn.align import monotonic_search
from intona.nn.conv import Conv
from intona.nn.losses import Losses, Part
from intona.nn.masks import expand_by_durations, length_mask
from intona.nn.random import ItemRandom, drawn_apart
from intona.synth.controls import Controls
from intona.systems.gradtts.config import DurationConfig, GradTTSConfig
from intona.systems.gradtts.score import build_score
from intona.systems.gradtts.variance import VarianceAdaptor
from intona.text.question import QuestionPlan

USUAL_FRAMES = 7.0  # of a phone in fluent speech at 86 frames per second
T_MIN = 1e-5  # the score diverges at t = 0 (Grad-TTS, code)


@dataclass(frozen=True, kw_only=True)
class GradTTSSpeech:
    """What `GradTTS.synthesize` returns.

    mel (B, T, n_mels) log mel; lengths (B,) frames; durations (B, N) frames per token. Of a model with a
    variance adaptor: pitch (B, N), what was requested in semitones above 100 Hz, between voiced tokens
    interpolated; voiced (B, N), the share of voiced frames.
    """

    mel: Tensor
    lengths: Tensor
    durations: Tensor
    pitch: Tensor | None = None
    voiced: Tensor | None = None


class DurationPredictor(nn.Module):
    """(conv -> ReLU -> LN -> dropout) x 2 -> linear: log(1 + frames) per token.

    The paper takes log(frames); 1 + lets word boundaries without a pause have none (ours).
    """

    def __init__(self, config: DurationConfig, dim: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(i, config.hidden, config.kernel) for i in (dim, config.hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.hidden, 1)
        if config.loss == "gamma":
            # From no frames at all its gradient would be that of all other losses many times over.
            nn.init.constant_(self.out.bias, math.log1p(USUAL_FRAMES))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) -> (B, N)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.dropout(norm(torch.relu(conv(x, mask))))
        return self.out(x)[..., 0] * mask


class GradTTS(nn.Module):
    """Grad-TTS over any text encoder.

    Args:
        config: sizes and choices.
        encoder: a `TextEncoder`; the plain one of the config if None.
    """

    mel_mean: Tensor
    mel_std: Tensor
    voices: Tensor | None

    def __init__(self, config: GradTTSConfig, encoder: TextEncoder | None = None) -> None:
        super().__init__()
        self.config = config
        speaker_dim = config.speaker_dim if config.n_speakers > 1 else 0
        self.speakers = nn.Embedding(config.n_speakers, speaker_dim) if speaker_dim else None
        # One more id for the blank between tokens.
        n_tokens = config.n_tokens + config.add_blank
        with drawn_apart("encoder"):
            self.encoder = encoder or config.encoder.build(n_tokens=n_tokens, speaker_dim=speaker_dim)
        dim = self.encoder.dim
        self.prior = nn.Linear(dim, config.n_mels)
        self.duration = DurationPredictor(config.duration, dim)
        self.score = build_score(config.decoder, n_mels=config.n_mels, states=dim, speaker_dim=speaker_dim)
        self.variance = None
        if config.variance is not None:
            with drawn_apart("variance"):
                self.variance = VarianceAdaptor(
                    config.variance, dim, n_speakers=config.n_speakers, speaker_dim=speaker_dim
                )
        self.process = config.process
        self.register_buffer("mel_mean", torch.zeros(config.n_mels))
        self.register_buffer("mel_std", torch.ones(config.n_mels))

        # The speaker vector of each voice, for encoders that take one. Part of the weights: a loaded voice
        # must be conditioned on the same vectors.
        width = config.encoder.condition_dim
        self.register_buffer("voices", torch.zeros(config.n_speakers, width) if width else None)

    def set_voices(self, vectors: Tensor) -> None:
        """One pretrained speaker vector per voice, (n_speakers, S); unused where the encoder takes none."""
        if self.voices is not None:
            self.voices.copy_(vectors)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Corpus mean and deviation per bin; used only with normalize."""
        if self.config.normalize:
            self.mel_mean.copy_(mean)
            self.mel_std.copy_(std)

    def read(
        self, tokens: Tensor, lengths: Tensor, speakers: Tensor | None, pieces: Pieces | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """-> text states (B, N', D), mask, speaker vector. N' = 2 N + 1 with blanks, else N."""
        if self.config.add_blank:
            tokens, lengths = intersperse(tokens, lengths, blank=self.config.n_tokens)
        speaker = self.speakers(speakers) if self.speakers is not None and speakers is not None else None
        if self.voices is not None:
            row = speakers if speakers is not None else tokens.new_zeros(len(tokens))
            states, mask = self.encoder(tokens, lengths, self.voices[row], pieces)
        else:
            states, mask = self.encoder(tokens, lengths, speaker, pieces)
        return states, mask, speaker

    def encode(
        self,
        tokens: Tensor,
        lengths: Tensor,
        speakers: Tensor | None,
        pieces: Pieces | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """-> states (B, N', D), mask, prior mean (B, N', n_mels), log(1 + frames) (B, N'), speaker vector.

        Of a model without a variance adaptor.
        """
        states, mask, speaker = self.read(tokens, lengths, speakers, pieces)
        return (states, mask, *self._project(states, states, mask), speaker)

    def _project(self, states: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Prior mean, log(1 + frames). `text` is the states without pitch and energy, on which durations do
        not depend: pitch can be changed and the tempo stays."""
        # Durations must not pull the states towards themselves (Glow-TTS): detached.
        return self.prior(states) * mask[..., None], self.duration(text.detach(), mask)

    def losses(
        self,
        *,
        tokens: Tensor,
        token_lengths: Tensor,
        mels: Tensor,
        mel_lengths: Tensor,
        speakers: Tensor | None,
        durations: Tensor | None,
        random: ItemRandom,
        pieces: Pieces | None = None,
        contours: Contours | None = None,
        intonation: Intonation | None = None,
    ) -> Losses:
        """The paper's three losses (eq. 10-12): duration, prior, diffusion; and a variance adaptor's.

        Args:
            tokens: (B, N). token_lengths: (B,). mels: (B, T, n_mels) log mel. mel_lengths: (B,).
            speakers: (B,) ids or None. durations: (B, N) frames, needed with durations="data".
            random: noise, diffusion times and windows of each item.
            pieces: BPE of the same texts, for an encoder that reads both.
            contours, intonation: for a variance adaptor.
        """
        text, token_mask, speaker = self.read(tokens, token_lengths, speakers, pieces)
        states, variance = text, {}
        if self.variance is not None:
            if contours is None:
                raise ValueError("the model has a variance adaptor but the batch has no contours")
            text = self.variance.with_intonation(text, _required(intonation), token_mask)
            predicted_values = self.variance.predict(text, token_mask, speaker)
            truth_values = self.variance.truth(contours, speakers)
            variance = self.variance.losses(predicted_values, truth_values, contours, token_mask)
            states = self.variance.add(text, truth_values, token_mask)
        mu, log_durations = self._project(states, text, token_mask)
        y = (mels - self.mel_mean) / self.mel_std
        mask = length_mask(mel_lengths, mels.shape[1])
        if self.config.durations == "mas":
            durations = self._search(mu.detach(), y, token_mask, mel_lengths)
        if durations is None:
            raise ValueError('durations="data" but the batch has none')

        error = duration_error(log_durations.float(), durations, self.config.duration.loss) * token_mask
        mu_frames = expand_by_durations(mu.float(), durations, y.shape[1])
        prior = 0.5 * ((y - mu_frames).square() + math.log(2 * math.pi)) * mask[..., None]
        elements = mask.sum() * y.shape[2]

        state_frames = expand_by_durations(states, durations, y.shape[1])
        t = random.uniform().to(y).clamp(T_MIN, 1 - T_MIN)
        noise = random.normal(mel_lengths.tolist(), y.shape[2]).to(y)
        if self.config.segment:
            start = (random.uniform() * (mel_lengths.cpu() - self.config.segment + 1).clamp(min=1)).long()
            window = start[:, None] + torch.arange(min(self.config.segment, y.shape[1]))
            window = window.to(y.device)
            mask_w = window < mel_lengths[:, None]
            index = window.clamp(max=y.shape[1] - 1)[..., None]
            y, mu_w, noise, state_frames = (
                x.gather(1, index.expand(-1, -1, x.shape[2])) for x in (y, mu_frames, noise, state_frames)
            )
        else:
            mask_w, mu_w = mask, mu_frames
        x = self.process.perturb(y, mu_w, t, noise)
        truth = target.make(self.config.target, self.process, y - mu_w, noise, t)
        predicted = self.score(x * mask_w[..., None], mu_w, t, mask_w, state_frames, speaker)
        diffusion = (predicted.float() - truth).square() * mask_w[..., None]
        return Losses(
            parts={
                "duration": Part(total=error.sum(), count=token_mask.sum()),
                "prior": Part(total=prior.sum(), count=elements),
                "diffusion": Part(total=diffusion.sum(), count=mask_w.sum() * y.shape[2]),
                **variance,
            }
        )

    def _per_token(self, values: Tensor, *, neutral: float) -> Tensor:
        """Values of symbols (B, N), with those of the blanks between them where the model has blanks."""
        if not self.config.add_blank:
            return values
        out = values.new_full((len(values), 2 * values.shape[1] + 1), neutral)
        out[:, 1::2] = out[:, 2::2] = values
        return out

    @torch.no_grad()
    def _search(self, mu: Tensor, y: Tensor, token_mask: Tensor, mel_lengths: Tensor) -> Tensor:
        """Monotonic alignment search under N(mu, I); what does not depend on the token is left out."""
        mu, y = mu.float(), y.float()
        log_p = mu @ y.transpose(1, 2) - 0.5 * mu.square().sum(-1)[..., None]
        return monotonic_search(log_p, token_mask.sum(1), mel_lengths)

    @torch.inference_mode()
    def synthesize(
        self,
        tokens: Tensor,
        lengths: Tensor,
        *,
        speakers: Tensor | None = None,
        steps: int = 10,
        solver: str = "dpm2m",
        temperature: float = 1.0,
        length_scale: float = 1.0,
        random: ItemRandom,
        durations: Tensor | None = None,
        max_frames: int = 20_000,
        pieces: Pieces | None = None,
        controls: Controls | None = None,
        intonation: Intonation | None = None,
        questions: Sequence[QuestionPlan | None] | None = None,
    ) -> GradTTSSpeech:
        """Sample mels.

        Args:
            tokens: (B, N) ids. lengths: (B,). speakers: (B,) ids.
            steps, solver: see `diffusion.solvers`.
            temperature: the deviation of the noise (the paper divides by tau: its 1.5 is our 1/1.5).
            length_scale: > 1 is slower.
            durations: (B, N) frames per token instead of the predicted ones (without blanks).
            max_frames: at most so many frames per item.
            pieces: BPE of the same texts, for an encoder that reads both.
            controls: of the symbols; without a variance adaptor only the duration is obeyed.
            intonation, questions: of the same texts, for a variance adaptor; see `VarianceAdaptor.plan`.
        """
        text, mask, speaker = self.read(tokens, lengths, speakers, pieces)
        states, values = text, None
        if self.variance is not None:
            intonation = _required(intonation)
            values = self.variance.plan(
                text,
                intonation,
                mask,
                speaker=speaker,
                speakers=speakers,
                questions=questions,
                controls=controls,
            )
            text = self.variance.with_intonation(text, intonation, mask)
            states = self.variance.add(text, values, mask)
        mu, log_durations = self._project(states, text, mask)
        predicted = torch.expm1(log_durations.float()) if durations is None else durations.float()
        frames = predicted.clamp(min=0) * length_scale * mask
        if controls is not None and controls.duration is not None:
            frames = frames * self._per_token(controls.duration, neutral=1.0)
        # Rounding the running sum, not each token, keeps the tempo: rounding errors do not add up.
        ends = frames.double().cumsum(1).round().long().clamp(max=max_frames)
        durations = torch.diff(ends, dim=1, prepend=torch.zeros_like(ends[:, :1]))
        durations[:, 0] += (ends[:, -1] == 0).long()  # never an empty mel
        mel_lengths = durations.sum(1)
        mu_frames = expand_by_durations(mu.float(), durations)
        state_frames = expand_by_durations(states, durations)
        frame_mask = length_mask(mel_lengths, mu_frames.shape[1])

        def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            out = self.score(
                (z + mu_frames) * frame_mask[..., None],
                mu_frames,
                t.to(z.device),
                frame_mask,
                state_frames,
                speaker,
            )
            return target.split(self.config.target, self.process, out.float(), z, t.to(z.device))

        def noise() -> Tensor:
            return temperature * random.normal(mel_lengths.tolist(), mu.shape[2]).to(mu_frames)

        z = solvers.solve(solver, self.process, denoise, noise(), steps, noise=noise)
        mel = (z + mu_frames) * self.mel_std + self.mel_mean
        return GradTTSSpeech(
            mel=mel * frame_mask[..., None],
            lengths=mel_lengths,
            durations=durations,
            pitch=None
            if self.variance is None or values is None
            else self.variance.semitones(values, speakers),
            voiced=None if values is None else values.voiced,
        )


def _required(intonation: Intonation | None) -> Intonation:
    if intonation is None:
        raise ValueError("the model has a variance adaptor and needs the intonation of its texts")
    return intonation


def duration_error(log_predicted: Tensor, frames: Tensor, loss: Literal["log", "gamma"]) -> Tensor:
    """What a token costs; see `DurationConfig.loss`.

    Args:
        log_predicted: log(1 + frames), any shape. frames: the true ones, same shape.
    """
    ratio = torch.log1p(frames.float()) - log_predicted
    return ratio.square() if loss == "log" else ratio.exp() - ratio - 1


def intersperse(tokens: Tensor, lengths: Tensor, *, blank: int) -> tuple[Tensor, Tensor]:
    """a b c -> _ a _ b _ c _ ; (B, N) -> (B, 2N + 1); padding stays 0."""
    b, n = tokens.shape
    out = tokens.new_full((b, 2 * n + 1), blank)
    out[:, 1::2] = tokens
    lengths = 2 * lengths + 1
    return out * length_mask(lengths, 2 * n + 1), lengths
