"""Does an encoder keep the contract of `TextEncoder`? For encoders written elsewhere, and for ours."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from intona.data.pieces import Pieces
from intona.encoders.base import TextEncoder
from intona.nn.masks import length_mask

TOLERANCE = 1e-4


def check(
    encoder: TextEncoder, *, n_tokens: int, n_pieces: int = 3, speaker_dim: int = 0, seed: int = 0
) -> list[str]:
    """What is wrong with an encoder; an empty list when it may be plugged in.

    Random texts of three lengths are encoded together, alone, and with rubbish in the padding.

    Args:
        n_tokens, n_pieces: ids from 2 up to these are fed.
        speaker_dim: width of the speaker vector; 0 feeds none.
    """
    g = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([11, 7, 1])
    piece_lengths = torch.tensor([6, 4, 1])
    tokens = torch.randint(2, n_tokens, (3, 11), generator=g) * length_mask(lengths)
    pieces = Pieces(
        ids=torch.randint(2, max(n_pieces, 3), (3, 6), generator=g) * length_mask(piece_lengths),
        lengths=piece_lengths,
        words=_words(piece_lengths, 6),
        token_words=_words(lengths, 11),
    )
    speaker = torch.randn(3, speaker_dim, generator=g) if speaker_dim else None
    found: list[str] = []
    training = encoder.training if isinstance(encoder, nn.Module) else None
    if isinstance(encoder, nn.Module):
        encoder.eval()
    try:
        with torch.inference_mode():
            states, mask = encoder(tokens, lengths, speaker, pieces)
            if not isinstance(getattr(encoder, "dim", None), int):
                found.append("`dim` is not a whole number")
            elif states.shape != (3, 11, encoder.dim):
                found.append(f"states are {tuple(states.shape)}, not {(3, 11, encoder.dim)}")
            if mask.dtype != torch.bool or not torch.equal(mask, length_mask(lengths, 11)):
                found.append("the mask is not boolean and True on the first `lengths` positions")
            if found:
                return found
            if not torch.isfinite(states).all():
                found.append("states are not finite")
            for i, (n, p) in enumerate(zip(lengths.tolist(), piece_lengths.tolist(), strict=True)):
                alone, _ = encoder(
                    tokens[i : i + 1, :n],
                    lengths[i : i + 1],
                    None if speaker is None else speaker[i : i + 1],
                    Pieces(
                        ids=pieces.ids[i : i + 1, :p],
                        lengths=piece_lengths[i : i + 1],
                        words=pieces.words[i : i + 1, :p],
                        token_words=pieces.token_words[i : i + 1, :n],
                    ),
                )
                if not _near(alone[0], states[i, :n]):
                    found.append(f"a text of {n} gives other states beside longer ones than alone")
            rubbish = torch.where(mask, tokens, torch.full_like(tokens, n_tokens - 1))
            if not _near(encoder(rubbish, lengths, speaker, pieces)[0][mask], states[mask]):
                found.append("states depend on what stands in the padding")
    finally:
        if isinstance(encoder, nn.Module) and training is not None:
            encoder.train(training)
    return found


def _words(lengths: Int[Tensor, " batch"], size: int) -> Int[Tensor, "batch {size}"]:
    """Words of up to four positions; -1 in the padding."""
    words = (torch.arange(size) // 4).expand(len(lengths), size)
    return words.masked_fill(~length_mask(lengths, size), -1)


def _near(a: Float[Tensor, "*shape"], b: Float[Tensor, "*shape"]) -> bool:
    return bool(torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE))
