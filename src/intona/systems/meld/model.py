"""The speech language model and its bound.

One stream an utterance: `text <TTS> frames` to speak, `frames <STT> text` to listen. What stands after the
task token is predicted, and after its last element <EOS>: there is no stop head and no known length.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intona.nn.causal import CausalTransformer
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.nn.quantize import Codebook, draw, entropy, probabilities
from intona.nn.random import ItemRandom
from intona.systems.meld.config import SpeechLMConfig
from intona.systems.meld.parts import MelPrenet, PostNet, Reconstruction, gaussian_nats, uniforms

DROPPED_RUN = 3  # steps that are dropped together: one alone is guessed from its neighbours
MASKED_TIME, MASKED_BINS = 0.1, 0.2  # most of an utterance, and of the mel bins, that one mask hides


class SpeechLM(nn.Module):
    """p(x_t, z_t | x_<t, y) = p(x_t | z_t, x_<t, y) p(z_t | x_<t, y) (MELD, section 2.1).

    Mels are natural-log mels of the corpus; inside they have zero mean and unit variance a bin.
    """

    mean: Tensor
    std: Tensor
    spans: Tensor

    def __init__(self, config: SpeechLMConfig) -> None:
        super().__init__()
        c = self.config = config
        self.vocabulary = c.vocabulary
        self.codebook = Codebook(c.codes, c.step_dim)
        # Text pieces and task tokens; codes are no input: the past is read from frames.
        self.embedding = nn.Embedding(c.n_text + 3, c.dim)
        nn.init.normal_(self.embedding.weight, std=0.2)
        self.prenet = MelPrenet(c.step_dim, c.prenet, c.dim, c.prenet_dropout)
        self.prenet.requires_grad_(c.train_prenet)
        self.trunk = CausalTransformer(
            dim=c.dim, heads=c.heads, layers=c.layers, hidden=c.hidden, dropout=c.dropout
        )
        self.head = nn.Linear(c.dim, len(self.vocabulary), bias=False)
        nn.init.normal_(self.head.weight, std=0.02)
        self.ctc = nn.Linear(c.dim, c.n_text + 1) if c.ctc else None  # the last entry is the blank
        self.reconstruction = Reconstruction(c)
        self.postnet = PostNet(c.n_mels, c.postnet_channels, c.postnet_layers, c.postnet_kernel)
        self.register_buffer("mean", torch.zeros(c.n_mels))
        self.register_buffer("std", torch.ones(c.n_mels))
        # Expected steps of each text piece, for `positions` "time".
        self.register_buffer("spans", torch.ones(c.n_text))

    # --- streams -------------------------------------------------------------------------------------

    def normalized(self, mels: Tensor) -> Tensor:
        """Log mels (B, T, n_mels) -> steps (B, T // group, step_dim); an unfinished step is dropped."""
        x = (mels.float() - self.mean) / self.std
        g, steps = self.config.group, mels.shape[1] // self.config.group
        return x[:, : steps * g].reshape(len(x), steps, self.config.step_dim)

    def frames(self, steps: Tensor) -> Tensor:
        """Steps (B, S, step_dim) -> normalized frames (B, S * group, n_mels)."""
        return steps.reshape(len(steps), -1, self.config.n_mels)

    def denormalized(self, frames: Tensor) -> Tensor:
        return frames * self.std + self.mean

    def embed_steps(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """Steps (B, S, step_dim) -> (B, S, D), as the transformer reads them."""
        if self.config.see == "codes":
            x = self.codebook.centroids[self.codebook.nearest(x)]
        return self.prenet(x, noise)

    def embed_task(self, batch: int, *, speak: bool) -> Tensor:
        """(B, 1, D): <TTS> or <STT>."""
        index = self.config.n_text + (1 if speak else 2)
        return self.embedding(torch.full((batch, 1), index, device=self.mean.device))

    def text_positions(self, text: Tensor, *, at: str, spans: Tensor | None = None) -> Tensor:
        """Times of pieces (B, N), in steps: their "middle" (text is read) or "end" (text is predicted)."""
        spans = self.spans[text] if spans is None else spans
        ends = spans.cumsum(1)
        return ends if at == "end" else ends - 0.5 * spans

    def speaking_positions(
        self, text: Tensor, text_lengths: Tensor, steps: int, *, spans: Tensor | None = None
    ) -> Tensor:
        """Positions (B, N + 1 + S) of `text <TTS> steps`, for rows stored as text (padded), task, steps.

        `spans` (B, N): the steps that each piece lasts; None = what is expected of it.
        """
        b, n = text.shape
        if self.config.positions == "time":
            spoken = torch.arange(-1, steps, device=text.device).expand(b, -1).float()
            return torch.cat([self.text_positions(text, at="middle", spans=spans), spoken], dim=1)
        start = text_lengths[:, None] + torch.arange(steps + 1, device=text.device)
        return torch.cat([torch.arange(n, device=text.device).expand(b, -1), start], dim=1).float()

    def listening_positions(self, step_lengths: Tensor, steps: int, text: Tensor) -> Tensor:
        """Positions (B, S + 1 + N) of `steps <STT> text`, for rows stored as steps (padded), task, text."""
        b, n = text.shape
        frames_at = torch.arange(steps, device=text.device).expand(b, -1).float()
        if self.config.positions == "time":
            begin = torch.zeros(b, 1, device=text.device)
            return torch.cat([frames_at, begin, self.text_positions(text, at="end")], dim=1)
        start = step_lengths[:, None] + torch.arange(n + 1, device=text.device)
        return torch.cat([frames_at, start.float()], dim=1)

    # --- losses --------------------------------------------------------------------------------------

    def speaking_losses(
        self,
        *,
        text: Tensor,
        text_lengths: Tensor,
        mels: Tensor,
        mel_lengths: Tensor,
        random: ItemRandom,
        spans: Tensor | None = None,
    ) -> Losses:
        """The bound of eq. 3 and the slowness penalty of eq. 9.

        Args:
            text: (B, N) piece ids. mels: (B, T, n_mels) natural log.
            random: dropout of the prenet, the draw z ~ q and what is read coarsely, one generator per item.
            spans: (B, N) steps that each piece lasts, for `positions` "time"; None = as expected.

        Returns:
            parts `kl` in nats a step (<EOS> is the last step, with a one-hot q), `reconstruction` in nats a
            step without the Gaussian's constant (before and after the PostNet), `slowness`; and for the log
            alone, with weight 0, `eos` in nats an utterance and `entropy` of q in nats a step.
        """
        steps = mel_lengths // self.config.group
        x = self.normalized(mels)
        size = x.shape[1]
        noise = self._noise(random, steps, size)
        log_q = self.codebook.posterior(x)
        z = draw(log_q, noise[..., 0].to(x.device))
        seen = self._coarse(x, z, steps, random) if self.training else x
        states = self._speaking_states(text, text_lengths, seen, steps, noise, spans)
        log_p = torch.log_softmax(self.head(states).float(), dim=-1)

        mask = length_mask(steps, size)
        first = self.vocabulary.first_code
        kl = kl_nats(log_q, log_p[:, :-1, first : first + self.config.codes])
        eos = -log_p[..., self.vocabulary.eos].gather(1, steps[:, None])[:, 0]
        rough, final = self.reconstruct(z, states[:, :-1], mask)
        nats = gaussian_nats(x, rough) + gaussian_nats(x, final)

        frame_mask = mask.repeat_interleave(self.config.group, dim=1)
        change = self.frames(final).float().diff(dim=1).square().sum(-1)
        moving = (frame_mask[:, 1:] & frame_mask[:, :-1]).float()
        speed = (change + 1e-12).sqrt() * moving  # 1e-12: the root has a slope at 0
        n = mask.sum().float()
        utterances = torch.tensor(float(len(text)), device=x.device)
        return Losses(
            parts={
                "kl": Part(total=(kl * mask).sum() + eos.sum(), count=n + utterances),
                "reconstruction": Part(
                    total=(nats * mask).sum(), count=n, weight=self.config.reconstruction_weight
                ),
                "slowness": Part(
                    total=-speed.sum(),
                    count=moving.sum(),
                    weight=self.config.reconstruction_weight * self.config.slowness,
                ),
                "eos": Part(total=eos.sum().detach(), count=utterances, weight=0.0),
                "entropy": Part(total=(entropy(log_q) * mask).sum(), count=n, weight=0.0),
            }
        )

    def listening_losses(
        self, *, text: Tensor, text_lengths: Tensor, mels: Tensor, mel_lengths: Tensor, random: ItemRandom
    ) -> Losses:
        """Cross-entropy of text and <EOS> after the frames: part `text`, nats a piece.

        With `ctc` also the text that the states at the frames themselves spell (Graves et al. 2006): part
        `ctc`, nats a piece. A recording of fewer steps than its text needs counts 0 there.
        """
        steps = mel_lengths // self.config.group
        x = self.normalized(mels)
        noise = self._noise(random, steps, x.shape[1])
        if self.training and self.config.heard_masks:
            x = self._masked(x, steps, random)
        stream = torch.cat(
            [
                self.embed_steps(x, noise[..., 1:]),
                self.embed_task(len(text), speak=False),
                self.embedding(text),
            ],
            dim=1,
        )
        positions = self.listening_positions(steps, x.shape[1], text)
        whole = self._read(stream, positions, steps, x.shape[1], text_lengths)
        log_p = torch.log_softmax(self.head(_after(whole, steps, text.shape[1])).float(), dim=-1)
        mask = length_mask(text_lengths, text.shape[1])
        target = F.pad(text.masked_fill(~mask, 0), (0, 1))
        target = target.scatter(1, text_lengths[:, None], self.vocabulary.eos)
        nats = -log_p.gather(2, target[..., None])[..., 0] * length_mask(text_lengths + 1, target.shape[1])
        parts = {"text": Part(total=nats.sum(), count=(text_lengths + 1).sum().float())}
        if self.ctc is not None:
            spelt = torch.log_softmax(self.ctc(whole[:, : x.shape[1]]).float(), dim=-1).transpose(0, 1)
            nats = F.ctc_loss(
                spelt,
                text,
                steps,
                text_lengths,
                blank=self.config.n_text,
                reduction="none",
                zero_infinity=True,
            )
            parts["ctc"] = Part(total=nats.sum(), count=text_lengths.sum().float(), weight=self.config.ctc)
        return Losses(parts=parts)

    def resynthesized(
        self, text: Tensor, mel: Tensor, random: ItemRandom, spans: Tensor | None = None
    ) -> Tensor:
        """(T, n_mels) as the model renders it with the true past and codes drawn from q: teacher forcing.

        The upper bound of what the codes and the reconstruction network can give. `spans` (N,) as in
        `speaking_losses`.
        """
        x = self.normalized(mel[None])
        steps = torch.tensor([x.shape[1]], device=x.device)
        noise = self._noise(random, steps, x.shape[1])
        lengths = torch.tensor([len(text)], device=x.device)
        spans = None if spans is None else spans[None]
        states = self._speaking_states(text[None], lengths, x, steps, noise, spans)
        z = draw(self.codebook.posterior(x), noise[..., 0].to(x.device))
        final = self.reconstruct(z, states[:, :-1], length_mask(steps))[1]
        return self.denormalized(self.frames(final))[0]

    def reconstruct(self, z: Tensor, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and states -> steps (B, S, step_dim) before and after the PostNet."""
        rough = self.reconstruction(z, states, self.codebook.centroids)
        frame_mask = mask.repeat_interleave(self.config.group, dim=1)
        final = self.postnet(self.frames(rough), frame_mask)
        return rough, final.reshape(rough.shape)

    def _noise(self, random: ItemRandom, steps: Tensor, size: int) -> Tensor:
        """Uniform numbers (B, size, 1 + prenet's): the first draws z, the others are dropout."""
        noise = uniforms(random, steps.tolist(), self.prenet.noise_dim + 1)
        return F.pad(noise, (0, 0, 0, size - noise.shape[1]))

    def _coarse(self, x: Tensor, z: Tensor, steps: Tensor, random: ItemRandom) -> Tensor:
        """The past as training reads it: some steps as their code's centroid, some runs as the mean frame."""
        c = self.config
        if not c.centroid_inputs and not c.dropped_inputs:
            return x
        u = uniforms(random, steps.tolist(), 2)
        u = F.pad(u, (0, 0, 0, x.shape[1] - u.shape[1])).to(x.device)
        x = torch.where(u[..., :1] < c.centroid_inputs, self.codebook.centroids[z], x)
        begins = (u[..., 1] < 1 - (1 - c.dropped_inputs) ** (1 / DROPPED_RUN)).float()
        dropped = F.max_pool1d(F.pad(begins, (DROPPED_RUN - 1, 0))[:, None], DROPPED_RUN, stride=1)[:, 0]
        return x.masked_fill(dropped[..., None] > 0, 0.0)

    def _masked(self, x: Tensor, steps: Tensor, random: ItemRandom) -> Tensor:
        """Steps (B, S, step_dim) with stretches of time and of frequency at the mean."""
        c = self.config
        u = uniforms(random, [1] * len(x), 4 * c.heard_masks)[:, 0].reshape(len(x), c.heard_masks, 4, 1)
        u = u.to(x.device)
        time, bins = torch.arange(x.shape[1], device=x.device), torch.arange(c.n_mels, device=x.device)
        hidden = []
        for place, size, most, (width, begin) in (
            (time, steps[:, None, None].float(), MASKED_TIME, (u[:, :, 0], u[:, :, 1])),
            (bins, torch.full_like(u[:, :, 0], c.n_mels), MASKED_BINS, (u[:, :, 2], u[:, :, 3])),
        ):
            wide = width * most * size
            first = begin * (size - wide)
            hidden.append(((place >= first) & (place < first + wide)).any(1))
        frames = x.reshape(len(x), x.shape[1], c.group, c.n_mels)
        gone = hidden[0][:, :, None, None] | hidden[1][:, None, None, :]
        return frames.masked_fill(gone, 0.0).reshape(x.shape)

    def _speaking_states(
        self,
        text: Tensor,
        text_lengths: Tensor,
        x: Tensor,
        steps: Tensor,
        noise: Tensor,
        spans: Tensor | None = None,
    ) -> Tensor:
        """States (B, S + 1, D) that predict each step and, after the last, <EOS>."""
        task = self.embed_task(len(text), speak=True)
        stream = torch.cat([self.embedding(text), task, self.embed_steps(x, noise[..., 1:])], dim=1)
        positions = self.speaking_positions(text, text_lengths, x.shape[1], spans=spans)
        whole = self._read(stream, positions, text_lengths, text.shape[1], steps)
        return _after(whole, text_lengths, x.shape[1])

    def _read(
        self, stream: Tensor, positions: Tensor, first_lengths: Tensor, first: int, second: Tensor
    ) -> Tensor:
        """States (B, longest row, D) of [first part, task, second part, padding].

        Rows come as [first part padded to `first`, task, second part padded]. They are moved together so that
        padding stands at the end only, where a causal mask hides it from all that counts.
        """
        place = torch.arange(stream.shape[1], device=stream.device)[None, :]
        gap = (first - first_lengths)[:, None]
        index = torch.where(place < first_lengths[:, None], place, place + gap).clamp(max=stream.shape[1] - 1)
        stream = stream.gather(1, index[..., None].expand(-1, -1, stream.shape[2]))
        longest = int((first_lengths + 1 + second).max())
        return self.trunk(stream[:, :longest], positions.gather(1, index)[:, :longest])


def _after(states: Tensor, first_lengths: Tensor, size: int) -> Tensor:
    """The states from the task token on, (B, size + 1, D)."""
    index = first_lengths[:, None] + torch.arange(size + 1, device=states.device)
    index = index.clamp(max=states.shape[1] - 1)
    return states.gather(1, index[..., None].expand(-1, -1, states.shape[2]))


def kl_nats(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q || p), (..., K) -> (...), for p over more entries than these K; 0 log 0 = 0."""
    return (probabilities(log_q) * (log_q.clamp(min=-1e9) - log_p)).sum(-1)


def merge_losses(parts: Sequence[Losses]) -> Losses:
    """Several tasks' losses as one."""
    return Losses(parts={k: v for losses in parts for k, v in losses.parts.items()})
