"""Masked language modelling of each stream by itself (BERT, Devlin et al. 2019, arXiv 1810.04805).

15 % are chosen; of those 80 % become the mask symbol, 10 % another symbol, 10 % stay. Pieces are chosen one
by one. Phonemes are chosen by whole words, as in PL-BERT: a lone phoneme follows from its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from intona.data.pieces import Text
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder, Stream
from intona.nn.losses import Part
from intona.nn.masks import length_mask

FIRST_SYMBOL = 2  # 0 pads, 1 is unknown: neither stands in for a masked symbol


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Share chosen, and what becomes of them; the rest of the chosen stay as they are."""

    share: float = 0.15
    masked: float = 0.8
    replaced: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not 0 <= self.masked <= self.masked + self.replaced <= 1:
            raise ValueError("0 < share < 1 and masked + replaced <= 1 must hold")


def mask_spans(
    ids: Sequence[int],
    spans: Sequence[tuple[int, int]],
    config: MaskConfig,
    *,
    vocabulary: int,
    generator: torch.Generator,
) -> tuple[list[int], list[bool]]:
    """Choose each half-open span with probability `share`; one fate for all of it.

    Args:
        vocabulary: its size; the mask symbol has this id.

    Returns:
        ids with the chosen changed, and which positions were chosen.
    """
    out, chosen = list(ids), [False] * len(ids)
    draws = torch.rand(len(spans), 2, generator=generator).tolist()
    for (start, end), (pick, fate) in zip(spans, draws, strict=True):
        if pick >= config.share:
            continue
        chosen[start:end] = [True] * (end - start)
        if fate < config.masked:
            out[start:end] = [vocabulary] * (end - start)
        elif fate < config.masked + config.replaced:
            drawn = torch.randint(FIRST_SYMBOL, vocabulary, (end - start,), generator=generator)
            out[start:end] = drawn.tolist()
    return out, chosen


def mask_text(
    text: Text, config: MaskConfig, *, n_tokens: int, n_pieces: int, generator: torch.Generator
) -> tuple[tuple[list[int], list[bool]], tuple[list[int], list[bool]]]:
    """(phonemes, chosen) by whole words, and (pieces, chosen) one by one."""
    phonemes = mask_spans(text.tokens, text.spans, config, vocabulary=n_tokens, generator=generator)
    single = [(i, i + 1) for i in range(len(text.pieces))]
    return phonemes, mask_spans(text.pieces, single, config, vocabulary=n_pieces, generator=generator)


class Head(nn.Module):
    """Guesses symbols from the states of a stream; thrown away after stage 1."""

    def __init__(self, dim: int, vocabulary: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, vocabulary)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocabulary"]:
        return self.out(self.norm(x))


class MaskedModel(nn.Module):
    """The encoder's two streams with a head each. What joins the streams is not trained and stays frozen."""

    def __init__(self, config: DualStreamConfig) -> None:
        super().__init__()
        self.encoder = DualStreamEncoder(config)
        self.phoneme_head = Head(config.dim, config.n_tokens)
        self.piece_head = Head(config.dim, config.n_pieces)
        for part in (self.encoder.shared, self.encoder.norm, self.encoder.project):
            part.requires_grad_(False)

    def parts(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        target: Int[Tensor, "batch length"],
        chosen: Bool[Tensor, "batch length"],
        stream: str,
    ) -> dict[str, Part]:
        """Cross-entropy at the chosen positions of "phonemes" or "pieces", and how many are right.

        Args:
            ids, target: after and before masking.
        """
        net: Stream = getattr(self.encoder, stream)
        head = self.phoneme_head if stream == "phonemes" else self.piece_head
        mask = length_mask(lengths, ids.shape[1])
        states = net(ids, mask, self.encoder.condition(None, ids.shape[0]))
        at = chosen & mask
        logits = head(states[at]).float()
        count = at.sum()
        right = (logits.argmax(-1) == target[at]).sum()
        return {
            stream: Part(total=cross_entropy(logits, target[at], reduction="sum"), count=count),
            f"{stream}_right": Part(total=right.float(), count=count, weight=0.0),
        }
