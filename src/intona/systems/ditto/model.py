"""The model: text, reference and noise to latents; losses, lengths and sampling.

A sequence is [reference | target]. The reference is another utterance of the speaker; with span masking, a
part of the target takes its place as context. The text is that of the target only. Positions of the target
start at 0, the reference ends at -1.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intona.data.pieces import Pieces
from intona.diffusion import solvers, target
from intona.diffusion.guidance import check_scale, guide, keep_condition
from intona.diffusion.shifted import Shifted
from intona.encoders.base import TextEncoder
from intona.latents.base import LatentSpace
from intona.nn.causal import single_rows
from intona.nn.embedding import TimeEmbedding
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.ditto.config import DittoConfig
from intona.systems.ditto.dit import DiT
from intona.systems.ditto.length import LengthPredictor

# So few rows are a quarter to a third faster without oneDNN's kernels, which reorder the weights each time.
FEW_ROWS = 256
SHORTEST_SPAN = 0.7  # of an utterance, masked in span masking
# Share of references whose speaker vector is dropped: where a voice continues its previous speech there is no
# recording to compute a vector of.
SPEAKER_DROPOUT = 0.1


@dataclass(frozen=True, kw_only=True)
class TextStates:
    """A text as the network reads it.

    states (B, N, D), mask (B, N), `raw` states of the encoder, and `widths` (B, N): the relative durations of
    the symbols.
    """

    states: Tensor
    mask: Tensor
    raw: Tensor
    widths: Tensor


@dataclass(frozen=True, kw_only=True)
class DittoSpeech:
    """mel (B, T, n_mels) log mel and lengths (B,) frames; latents (B, L, dim) and latent_lengths (B,)."""

    mel: Tensor
    lengths: Tensor
    latents: Tensor
    latent_lengths: Tensor


class Ditto(nn.Module):
    """Latent diffusion over any text encoder and any latent space.

    Args:
        config: sizes and choices.
        space: the latents, frozen here; part of the weights, so that a checkpoint is whole.
        encoder: a `TextEncoder`; the one of the config if None.

    Whoever trains sets what belongs to a corpus: `spread` (dim,), the deviations of the latents, and
    `widths` (n_tokens,), how long symbols are beside each other, for "stretched"; both are 1 until then.
    """

    spread: Tensor
    widths: Tensor

    def __init__(self, config: DittoConfig, space: LatentSpace, encoder: TextEncoder | None = None) -> None:
        super().__init__()
        self.config = config
        self.space = space.eval().requires_grad_(False)
        self.encoder = encoder or config.encoder.build(n_tokens=config.n_tokens)
        d = config.dim
        self.text = nn.Sequential(nn.Linear(self.encoder.dim, d), nn.LayerNorm(d))
        self.no_text = nn.Parameter(torch.randn(d) * 0.02)
        self.pooled = nn.Linear(d, d)
        self.time = TimeEmbedding(d)
        self.net = DiT(
            2 * space.dim + 2,
            space.dim,
            dim=d,
            depth=config.depth,
            heads=config.heads,
            expand=config.expand,
            dropout=config.dropout,
            long_skips=config.long_skips,
            opening=config.opening,
            base=config.rotary,
        )
        self.register_buffer("spread", torch.ones(space.dim))
        self.register_buffer("widths", torch.ones(config.n_tokens))
        self.length = LengthPredictor(config.length, states=self.encoder.dim, latent=space.dim)
        self.process = Shifted(scale=config.noise_shift)

    def train(self, mode: bool = True) -> Ditto:
        super().train(mode)
        self.space.eval()
        return self

    @property
    def speaker_dim(self) -> int:
        """Size of the speaker vectors that the text encoder is conditioned on; 0 where it takes none."""
        encoder = self.config.encoder
        return encoder.condition_dim

    def read(
        self,
        tokens: Tensor,
        lengths: Tensor,
        pieces: Pieces | None = None,
        speaker: Tensor | None = None,
    ) -> TextStates:
        """A text as the network reads it; computed once for all steps.

        Args:
            speaker: (B, speaker_dim) vectors of norm 1, zeros or None = of nobody; for an encoder that takes
                them.
        """
        raw, mask = self.encoder(tokens, lengths, speaker if self.speaker_dim else None, pieces)
        widths = self.widths[tokens] * mask
        return TextStates(states=self.text(raw), mask=mask, raw=raw, widths=widths)

    def velocity(
        self,
        noisy: Tensor,
        t: Tensor,
        *,
        context: Tensor,
        context_mask: Tensor,
        lengths: Tensor,
        reference: Tensor,
        reference_mask: Tensor,
        text: TextStates,
        keep: Tensor,
    ) -> Tensor:
        """The predicted velocity of the target, (B, L, dim).

        Args:
            noisy: (B, L, dim). t: (B,). lengths: (B,) latents of the target.
            context, context_mask: clean latents (B, L, dim) of the target, and where (B, L) they are known.
            reference: (B, R, dim) clean latents; reference_mask: (B, R).
            keep: (B,) False = without text and without reference.
        """
        b, n, r = noisy.shape[0], noisy.shape[1], reference.shape[1]
        reference_mask = reference_mask & keep[:, None]
        context_mask = context_mask & keep[:, None]
        mask = torch.cat([reference_mask, length_mask(lengths, n)], dim=1)
        clean = torch.cat([reference * reference_mask[..., None], context * context_mask[..., None]], dim=1)
        rough = torch.cat([torch.zeros_like(reference), noisy * ~context_mask[..., None]], dim=1)
        known = torch.cat([reference_mask, context_mask], dim=1).to(noisy)
        before = torch.cat([reference_mask, torch.zeros_like(context_mask)], dim=1).to(noisy)
        x = torch.cat([rough, clean, known[..., None], before[..., None]], dim=-1)

        index = torch.arange(n, device=noisy.device).expand(b, n)
        back = torch.arange(r, device=noisy.device)[None, :] - reference_mask.sum(1, keepdim=True)
        positions = torch.cat([back, index], dim=1)
        first = torch.zeros_like(text.mask)
        first[:, 0] = True
        states = torch.where(keep[:, None, None], text.states, self.no_text.to(text.states.dtype))
        text_mask = torch.where(keep[:, None], text.mask, first)
        pooled = (states * text_mask[..., None]).sum(1) / text_mask.sum(1, keepdim=True)
        condition = self.time(t) + self.pooled(pooled)
        where, attended = None, text_mask
        if self.config.text_positions == "stretched":
            where = places(text.widths, lengths)
            if self.config.text_widths:
                attended = self._near(positions, where, text_mask, r)
        output = self.net(x, mask, positions, states, attended, condition, where)[:, r:]
        return output + self._guess(t).to(output)[:, None, :] * noisy if self.config.guess else output

    def _near(self, positions: Tensor, where: Tensor, text_mask: Tensor, r: int) -> Tensor:
        """(B, heads, L, N) to add to the scores: text far from a latent's time counts less. Each head has its
        width. The first `r` rows are the reference, which has no position in this text."""
        seconds = torch.tensor(self.config.text_widths, device=where.device) * self.space.rate
        falloff = torch.where(seconds > 0, 0.5 / seconds.clamp(min=1e-6).square(), 0.0)
        falloff = falloff[torch.arange(self.config.heads, device=where.device) % len(falloff)]
        apart = (positions[:, :, None].float() - where[:, None, :]).square()
        apart[:, :r] = 0
        score = -falloff[None, :, None, None] * apart[:, None]
        return score.masked_fill(~text_mask[:, None, None, :], -torch.inf)

    def _guess(self, t: Tensor) -> Tensor:
        """(B, dim): times the noisy latent, the velocity's best linear guess from each dimension alone.

        With v = alpha eps - sigma x and z = alpha x + sigma eps, x of deviation s: E[vz] / E[z^2].
        """
        alpha, sigma = (f(t.float())[:, None] for f in (self.process.alpha, self.process.sigma))
        power = self.spread.square()
        return alpha * sigma * (1 - power) / (alpha.square() * power + sigma.square())

    def losses(
        self,
        *,
        tokens: Tensor,
        token_lengths: Tensor,
        latents: Tensor,
        latent_lengths: Tensor,
        references: Tensor,
        reference_lengths: Tensor,
        random: ItemRandom,
        pieces: Pieces | None = None,
        speakers: Tensor | None = None,
    ) -> Losses:
        """Squared error of the velocity outside the context, and the cross-entropy of the length.

        Args:
            latents: (B, L, dim), latent_lengths (B,).
            references: (B, R, dim), reference_lengths (B,), 0 = none.
            speakers: (B, speaker_dim), the vectors of the references; the text encoder is conditioned on
                those of the references that the network sees.
            random: noise, times, what is dropped and masked, of each item.
        """
        u = [random.uniform().to(latents) for _ in range(6)]
        noise = random.normal(latent_lengths.tolist(), self.space.dim).to(latents)
        valid = length_mask(latent_lengths, latents.shape[1])
        if self.config.together and self.training:
            u[1:3] = [draw.expand(len(tokens)).to(latents) for draw in (random.shared(), random.shared())]
        spans = u[1] < self.config.spans
        with_reference = ~spans & keep_condition(u[2], self.config.drop_reference)
        if not with_reference.any():  # rows that no item may attend to
            references = references[:, :0]
        reference_mask = length_mask(reference_lengths, references.shape[1]) & with_reference[:, None]
        context_mask = _outside(u[3], u[4], latent_lengths, valid) & spans[:, None]
        keep = keep_condition(u[5], self.config.drop)
        if speakers is not None:
            known = with_reference & keep_condition(random.uniform().to(latents), SPEAKER_DROPOUT)
            speakers = speakers * known[:, None]
        text = self.read(tokens, token_lengths, pieces, speakers)
        # Without text and context, all of the target is predicted.
        target_mask = valid & ~(context_mask & keep[:, None])

        t = u[0]
        noisy = self.process.perturb(latents, t, noise)
        predicted = self.velocity(
            noisy,
            t,
            context=latents,
            context_mask=context_mask,
            lengths=latent_lengths,
            reference=references,
            reference_mask=reference_mask,
            text=text,
            keep=keep,
        )
        velocity_target = target.make("velocity", self.process, latents, noise, t)
        error = (predicted.float() - velocity_target).square() * target_mask[..., None]
        # The length must not pull the states towards itself, as durations must not in Grad-TTS.
        logits = self.length(text.raw.detach(), text.mask, references, reference_mask)
        return Losses(
            parts={
                "diffusion": Part(total=error.sum(), count=target_mask.sum() * self.space.dim),
                "length": self.length.part(logits, token_lengths, latent_lengths),
            }
        )

    @torch.no_grad()
    def predict_lengths(
        self, text: TextStates, references: Tensor, reference_mask: Tensor, *, scale: float = 1.0
    ) -> Tensor:
        """Latents that a text will take, (B,) at least 1."""
        logits = self.length(text.raw, text.mask, references, reference_mask)
        prediction = self.length.lengths(logits, text.mask.sum(1)) * scale
        return prediction.round().long().clamp(min=1)

    @torch.inference_mode()
    def synthesize(
        self,
        tokens: Tensor,
        lengths: Tensor,
        *,
        pieces: Pieces | None = None,
        speaker: Tensor | None = None,
        references: Tensor | None = None,
        reference_lengths: Tensor | None = None,
        latent_lengths: Tensor | None = None,
        length_scale: float = 1.0,
        source: Tensor | None = None,
        start: float = 1.0,
        steps: int = 25,
        guidance: float = 3.0,
        temperature: float = 1.0,
        solver: str = "ddim",
        random: ItemRandom,
    ) -> DittoSpeech:
        """Sample latents and decode them.

        Args:
            speaker: (B, speaker_dim) as `read` takes it, the vector of the reference.
            references, reference_lengths: latents (B, R, dim) of the voice, (B,); none if None.
            latent_lengths: (B,) instead of the predicted ones.
            length_scale: > 1 is slower.
            source, start: latents (B, L, dim) of `latent_lengths` to begin from instead of noise alone, as
                noisy as the process has it at the time `start`, in (0, 1] (Meng et al. 2022, SDEdit).
            guidance: 1 is the plain conditional model, which runs the network once per step instead of twice.
            temperature: the deviation of noise that is drawn: at the start, and by "ancestral" at each step.
            solver: "ddim" or "ancestral".
        """
        check_scale(guidance)
        text = self.read(tokens, lengths, pieces, speaker)
        if references is None or reference_lengths is None:
            references = text.states.new_zeros(len(tokens), 0, self.space.dim, dtype=torch.float32)
            reference_lengths = lengths.new_zeros(len(tokens))
        reference_mask = length_mask(reference_lengths, references.shape[1])
        if latent_lengths is None:
            latent_lengths = self.predict_lengths(text, references, reference_mask, scale=length_scale)

        def noise() -> Tensor:
            return temperature * random.normal(latent_lengths.tolist(), self.space.dim).to(references)

        z = noise()
        if source is not None:
            z = self.process.perturb(source, torch.full((len(z),), start, device=z.device), z)
        nothing = torch.zeros(z.shape[:2], dtype=torch.bool, device=z.device)

        def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            t = t.to(z.device)

            def predict(keep: Tensor) -> Tensor:
                return self.velocity(
                    z,
                    t,
                    context=z,
                    context_mask=nothing,
                    lengths=latent_lengths,
                    reference=references,
                    reference_mask=reference_mask,
                    text=text,
                    keep=keep.to(z.device),
                ).float()

            return target.split("velocity", self.process, guide(predict, guidance, len(z)), z, t)

        with single_rows() if z.shape[0] * z.shape[1] <= FEW_ROWS else nullcontext():
            z = solvers.solve(solver, self.process, denoise, z, steps, start=start, noise=noise)
        z = z * length_mask(latent_lengths, z.shape[1])[..., None]
        return DittoSpeech(
            mel=self.space.decode(z, latent_lengths),
            lengths=latent_lengths * self.space.compression,
            latents=z,
            latent_lengths=latent_lengths,
        )


def places(widths: Tensor, lengths: Tensor) -> Tensor:
    """Where the middle of each symbol stands: widths (B, N) laid out over lengths (B,), (B, N) latents."""
    ends = widths.cumsum(1)
    scale = lengths[:, None] / ends[:, -1:].clamp(min=1e-6)
    return (ends - widths / 2) * scale - 0.5


def _outside(size: Tensor, place: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
    """True outside one span of each row, 70 to 100 % of its length long, drawn by two uniforms (B,)."""
    span = ((SHORTEST_SPAN + (1 - SHORTEST_SPAN) * size) * lengths).ceil().clamp(min=1)
    start = (place * (lengths - span + 1)).floor()
    index = torch.arange(valid.shape[1], device=valid.device)[None, :]
    return valid & ~((index >= start[:, None]) & (index < (start + span)[:, None]))
