"""A frozen VITS as a latent space (Kim et al. 2021, arXiv 2106.06103): text and audio to z, z to audio.

    text ─► prior (durations, m, log s) ─► flow⁻¹ ─► Z_text ─┐
    audio ─► posterior ─────────────────────────► Z_audio ─┴─► decoder ─► audio

Latents are (B, T, C), 192 channels at the frame rate of the voice. The voice is never trained; stages compare
`weights_hash` before and after to prove it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from intona.audio import Audio
from intona.errors import UserError
from intona.nn.align import monotonic_search
from intona.nn.masks import expand_by_durations, length_mask
from intona.nn.random import ItemRandom
from intona.systems.restyle.vits.text import Symbols


@dataclass(frozen=True, kw_only=True)
class Prior:
    """The prior of the latents of a text: m, log_s (B, N, C), durations (B, N) in frames, lengths (B,)."""

    m: Tensor
    log_s: Tensor
    durations: Tensor
    lengths: Tensor


@dataclass(frozen=True, kw_only=True)
class VoiceFacts:
    """What the files of a voice declare, besides the weights."""

    name: str
    sample_rate: int
    symbols: Symbols
    speakers: dict[str, int]
    has_posterior: bool
    noise_scale: float = 0.667
    noise_scale_duration: float = 0.8


class VitsSpace(nn.Module):
    """A frozen voice.

    Args:
        model: `transformers.VitsModel`, weight norm fused; its decoder may be a `SingleBlockDecoder`.
        facts: what its files declare.
    """

    def __init__(self, model: Any, facts: VoiceFacts) -> None:
        super().__init__()
        self.model, self.facts = model, facts
        self.channels = int(model.config.flow_size)
        self.hop = math.prod(model.config.upsample_rates)
        self.sample_rate = facts.sample_rate
        self.n_fft = 2 * (int(model.config.spectrogram_bins) - 1)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> VitsSpace:
        """Stay in evaluation mode: the voice is frozen."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop

    def weights_hash(self) -> str:
        """SHA-256 over the names and values of all weights that are used.

        Parts that only training needs do not count: many published voices lack them, and they are random
        here.
        """
        digest = hashlib.sha256()
        unused = ("duration_predictor.post_", "duration_predictor.flows.1.")
        unused += () if self.facts.has_posterior else ("posterior_encoder.",)
        for name, value in sorted(self.model.state_dict().items()):
            if name.startswith(unused):
                continue
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def speaker(self, name: str | int | None) -> int | None:
        """The row of a speaker by name or number; None for a voice with one speaker.

        Raises:
            UserError: no such speaker.
        """
        count = int(self.model.config.num_speakers)
        if count <= 1:
            if name not in (None, "", 0, "0"):
                raise UserError(f'"{name}": this voice has one speaker', where="speaker")
            return None
        known = self.facts.speakers
        row = known.get(str(name), name if isinstance(name, int) else 0 if name is None else None)
        if row is None and str(name).isdecimal():
            row = int(str(name))
        if row is None or not 0 <= row < count:
            raise UserError(f'no speaker "{name}"', hint=f"0 to {count - 1}, or {', '.join(list(known)[:8])}")
        return row

    def _speaker(self, rows: Tensor | None) -> Tensor | None:
        if rows is None or int(self.model.config.num_speakers) <= 1:
            return None
        return self.model.embed_speaker(rows)[..., None]

    # ------------------------------------------------------------------ text

    def tokens(self, text: str) -> Tensor:
        """(N,) ids of a text."""
        return torch.tensor(self.facts.symbols.ids(text), dtype=torch.long, device=self.device)

    @torch.no_grad()
    def prior(
        self,
        tokens: Tensor,
        lengths: Tensor,
        noise: Tensor,
        *,
        speakers: Tensor | None = None,
        rate: float = 1.0,
    ) -> Prior:
        """Means, deviations and durations of the tokens.

        Args:
            tokens, lengths: (B, N) ids, (B,).
            noise: (B, 2, N) standard normal, already scaled: the duration predictor's.
            rate: of speech; 2 halves all durations.
        """
        mask = length_mask(lengths, tokens.shape[1])
        valid = mask[..., None].float()
        out = self.model.text_encoder(
            input_ids=tokens, padding_mask=valid, attention_mask=mask.long(), return_dict=True
        )
        states, flat = out.last_hidden_state.transpose(1, 2), valid.transpose(1, 2)
        g = self._speaker(speakers)
        predictor = self.model.duration_predictor
        if self.model.config.use_stochastic_duration_prediction:
            log_frames = _sampled_durations(predictor, states, flat, g, noise)
        else:
            log_frames = predictor(states, flat, g)
        frames = torch.ceil(torch.exp(log_frames) * flat / rate)[:, 0].long()
        # A text whose every duration is 0 still needs a frame.
        frames[:, 0] += (frames.sum(1) == 0).long()
        return Prior(m=out.prior_means, log_s=out.prior_log_variances, durations=frames, lengths=lengths)

    def prior_of(
        self, ids: Tensor, random: ItemRandom, *, speakers: Tensor | None = None, rate: float = 1.0
    ) -> Prior:
        """`prior` of one text (N,), with durations drawn from `random` at the noise scale of the voice."""
        noise = random.normal([len(ids)], 2).transpose(1, 2).to(ids.device) * self.facts.noise_scale_duration
        lengths = torch.tensor([len(ids)], device=ids.device)
        return self.prior(ids[None], lengths, noise, speakers=speakers, rate=rate)

    def latents(
        self,
        prior: Prior,
        noise: Tensor,
        *,
        durations: Tensor | None = None,
        scale: float | None = None,
        speakers: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Z_text.

        Args:
            noise: (B, T, C) standard normal.
            durations: (B, N) frames per token; None = those of the prior (for a recording, see `align`).
            scale: of the noise; None = the voice's.

        Returns:
            (B, T, C), zero after the end of each item, and (B,) frames.
        """
        durations = prior.durations if durations is None else durations
        frames = durations.sum(1)
        m = expand_by_durations(prior.m, durations)
        log_s = expand_by_durations(prior.log_s, durations)
        scale = self.facts.noise_scale if scale is None else scale
        z_p = m + noise[:, : m.shape[1]] * torch.exp(log_s) * scale
        return self.from_prior(z_p, frames, speakers=speakers), frames

    def from_prior(self, z_p: Tensor, frames: Tensor, *, speakers: Tensor | None = None) -> Tensor:
        """flow⁻¹: (B, T, C) in the space of the prior -> latents."""
        mask = length_mask(frames, z_p.shape[1])[:, None].float()
        z = self.model.flow(z_p.transpose(1, 2), mask, self._speaker(speakers), reverse=True)
        return (z * mask).transpose(1, 2)

    def to_prior(self, z: Tensor, frames: Tensor, *, speakers: Tensor | None = None) -> Tensor:
        """flow: latents (B, T, C) -> the space of the prior, where `align` compares them."""
        mask = length_mask(frames, z.shape[1])[:, None].float()
        z_p = self.model.flow(z.transpose(1, 2) * mask, mask, self._speaker(speakers))
        return (z_p * mask).transpose(1, 2)

    @torch.no_grad()
    def align(self, prior: Prior, z: Tensor, frames: Tensor, *, speakers: Tensor | None = None) -> Tensor:
        """Durations (B, N) of a text over the latents of a recording: the alignment of VITS (section 2.2.2).

        The path that maximises sum_t log N(flow(z)_t; m_n, s_n); row b sums to frames[b].

        Raises:
            ValueError: more tokens than frames.
        """
        z_p = self.to_prior(z, frames, speakers=speakers)
        weight = torch.exp(-2 * prior.log_s)
        constant = (-0.5 * math.log(2 * math.pi) - prior.log_s - 0.5 * prior.m.square() * weight).sum(2)
        scores = (
            constant[..., None]
            - 0.5 * weight @ z_p.square().transpose(1, 2)
            + (prior.m * weight) @ z_p.transpose(1, 2)
        )
        return monotonic_search(scores, prior.lengths, frames)

    # ----------------------------------------------------------------- sound

    def spectrogram(self, audio: Audio) -> Tensor:
        """(T, n_fft / 2 + 1) magnitudes as in the training of VITS, with T = S // hop whole frames."""
        return magnitudes(torch.from_numpy(audio.resample(self.sample_rate).samples), self.n_fft, self.hop)

    @torch.no_grad()
    def posterior(
        self, spectrograms: Tensor, frames: Tensor, *, speakers: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """q(z | x) of the voice: mean and log standard deviation, each (B, T, C).

        Raises:
            UserError: the voice was published without a posterior encoder.
        """
        if not self.facts.has_posterior:
            raise UserError(
                f"{self.facts.name} has no posterior encoder",
                hint="train one: intona train restyle.posterior",
            )
        q = self.model.posterior_encoder
        mask = length_mask(frames, spectrograms.shape[1])[:, None].float()
        h = q.conv_pre(spectrograms.transpose(1, 2)) * mask
        stats = q.conv_proj(q.wavenet(h, mask, self._speaker(speakers))) * mask
        m, log_s = stats.transpose(1, 2).split(self.channels, dim=2)
        return m, log_s

    def decode(
        self, z: Tensor, *, speakers: Tensor | None = None, decoder: nn.Module | None = None
    ) -> Tensor:
        """(B, T, C) -> samples (B, T * hop); differentiable in z. `decoder`: a tuned copy of the voice's."""
        net = cast(nn.Module, self.model.decoder) if decoder is None else decoder
        return net(z.transpose(1, 2), self._speaker(speakers))[:, 0]

    @torch.inference_mode()
    def audio(
        self,
        z: Tensor,
        frames: Tensor,
        *,
        speakers: Tensor | None = None,
        decoder: nn.Module | None = None,
    ) -> list[Audio]:
        """Latents (B, T, C) as audio; `decoder` as in `decode`.

        Items are decoded one by one without padding, which the decoder would mix into the last frames.
        """
        waves = []
        for i, n in enumerate(frames.tolist()):
            row = None if speakers is None else speakers[i : i + 1]
            wave = self.decode(z[i : i + 1, :n], speakers=row, decoder=decoder)[0]
            waves.append(Audio(wave.float().cpu().numpy(), self.sample_rate))
        return waves

    def sound(self, z: Tensor, *, speaker: int | None = None, decoder: nn.Module | None = None) -> Audio:
        """Latents (T, C) of one sentence as audio, clipped to full scale."""
        rows = None if speaker is None else torch.tensor([speaker], device=z.device)
        audio = self.audio(z[None], torch.tensor([len(z)]), speakers=rows, decoder=decoder)[0]
        return Audio(np.clip(audio.samples, -1, 1), audio.sample_rate)


def _sampled_durations(
    predictor: Any, states: Tensor, mask: Tensor, g: Tensor | None, noise: Tensor
) -> Tensor:
    """`VitsStochasticDurationPredictor` in reverse with given noise: (B, 1, N) log frames."""
    h = predictor.conv_pre(states)
    if g is not None:
        h = h + predictor.cond(g)
    h = predictor.conv_proj(predictor.conv_dds(h, mask)) * mask
    flows = list(predictor.flows)[::-1]
    z = noise
    for flow in [*flows[:-2], flows[-1]]:  # as in VITS, the second flow is not used in reverse
        z, _ = flow(z.flip(1), mask, global_conditioning=h, reverse=True)
    return z[:, :1]


def magnitudes(samples: Tensor, n_fft: int, hop: int) -> Tensor:
    """(S,) or (B, S) -> (..., T, n_fft / 2 + 1): VITS's linear spectrogram, sqrt(|X|^2 + 1e-6).

    Raises:
        UserError: fewer samples than a frame needs.
    """
    pad = (n_fft - hop) // 2
    if samples.shape[-1] <= pad or samples.shape[-1] < hop:
        raise UserError(
            f"{samples.shape[-1]} samples are too short for a frame; at least {pad + 1} are needed"
        )
    flat = samples.reshape(-1, samples.shape[-1])
    padded = nn.functional.pad(flat[:, None], (pad, pad), mode="reflect")[:, 0]
    window = torch.hann_window(n_fft, device=samples.device)
    x = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    out = torch.sqrt(x.real.square() + x.imag.square() + 1e-6).transpose(-1, -2)
    return out.reshape(*samples.shape[:-1], *out.shape[-2:])
