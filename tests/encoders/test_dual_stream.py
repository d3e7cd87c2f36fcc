"""The dual-stream encoder: its join against loops, its start, its speaker, and the contract of encoders."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intona.data.pieces import Pieces, Text, collate_pieces
from intona.encoders.conformance import check
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder, words_to_phonemes
from intona.encoders.plain import PlainEncoder, PlainEncoderConfig
from intona.nn.conv import Conv
from intona.nn.masks import length_mask

TOY = DualStreamConfig(
    n_tokens=20, n_pieces=30, dim=16, heads=2, hidden=32, kernel=3, out=12, stream_layers=2, shared_layers=2
)


def _text(words: list[tuple[int, int]]) -> Text:
    """A text of words given as (phonemes, pieces), numbered upwards from 2."""
    tokens = [2 + i % 18 for i in range(sum(n for n, _ in words))]
    pieces = [2 + i % 28 for i in range(sum(p for _, p in words))]
    ends = [sum(n for n, _ in words[: k + 1]) for k in range(len(words))]
    return Text(
        tokens=tuple(tokens),
        pieces=tuple(pieces),
        piece_words=tuple(k for k, (_, p) in enumerate(words) for _ in range(p)),
        token_words=tuple(k for k, (n, _) in enumerate(words) for _ in range(n)),
        spans=tuple((e - n, e) for e, (n, _) in zip(ends, words, strict=True)),
    )


def _inputs() -> tuple[torch.Tensor, torch.Tensor, Pieces]:
    texts = [_text([(3, 2), (5, 1), (1, 1)]), _text([(2, 1), (2, 3)])]
    tokens = torch.zeros(2, 9, dtype=torch.long)
    for row, t in zip(tokens, texts, strict=True):
        row[: len(t.tokens)] = torch.tensor(t.tokens)
    return tokens, torch.tensor([9, 4]), collate_pieces(texts)


def _stirred(encoder: DualStreamEncoder) -> DualStreamEncoder:
    """Gates away from zero, as after training."""
    for name, p in encoder.named_parameters():
        if "modulation" in name or name == "nobody":
            torch.nn.init.normal_(p, std=0.3)
    return encoder.eval()


words = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=5)


@given(st.lists(words, min_size=1, max_size=3))
def test_pooling_and_expansion_are_the_loops(batch: list[list[tuple[int, int]]]) -> None:
    texts = [_text(w) for w in batch]
    pieces = collate_pieces(texts)
    states = torch.randn(len(texts), pieces.ids.shape[1], 3)
    got = words_to_phonemes(states, pieces)
    for b, t in enumerate(texts):
        for n, word in enumerate(t.token_words):
            own = [states[b, i] for i, w in enumerate(t.piece_words) if w == word]
            torch.testing.assert_close(got[b, n], torch.stack(own).mean(0))
        assert (got[b, len(t.tokens) :] == 0).all()


def test_at_the_start_every_block_is_the_identity() -> None:
    torch.manual_seed(0)
    encoder = DualStreamEncoder(TOY).eval()
    tokens, lengths, pieces = _inputs()
    x = encoder.phonemes.embedding(tokens) * 4 + words_to_phonemes(
        encoder.pieces.embedding(pieces.ids) * 4, pieces
    )
    mask = length_mask(lengths)
    want = encoder.project(encoder.norm(x), mask) * mask[..., None]
    got, got_mask = encoder(tokens, lengths, torch.randn(2, 256), pieces)
    assert torch.equal(got, want)
    assert torch.equal(got_mask, mask)


@pytest.mark.parametrize("adaln", [True, False])
def test_contract(adaln: bool) -> None:
    torch.manual_seed(0)
    encoder = _stirred(DualStreamEncoder(dataclasses.replace(TOY, adaln=adaln)))
    assert check(encoder, n_tokens=20, n_pieces=30, speaker_dim=256) == []
    plain = PlainEncoder(PlainEncoderConfig(dim=16, layers=1, hidden=16), n_tokens=20)
    assert check(plain, n_tokens=20) == []


def test_the_contract_finds_what_is_broken() -> None:
    class Leaks(PlainEncoder):
        def forward(self, tokens, lengths, speaker=None, pieces=None):
            states, mask = super().forward(tokens, lengths, speaker)
            return states + tokens.float().mean(1)[:, None, None], mask

    class WrongMask(PlainEncoder):
        def forward(self, tokens, lengths, speaker=None, pieces=None):
            states, mask = super().forward(tokens, lengths, speaker)
            return states, mask.float()

    config = PlainEncoderConfig(dim=16, layers=1, hidden=16)
    assert any("padding" in x for x in check(Leaks(config, n_tokens=20), n_tokens=20))
    assert any("mask" in x for x in check(WrongMask(config, n_tokens=20), n_tokens=20))


def test_the_speaker_is_heard_and_nobody_stands_in() -> None:
    torch.manual_seed(0)
    encoder = _stirred(DualStreamEncoder(TOY))
    tokens, lengths, pieces = _inputs()
    a, b = torch.nn.functional.normalize(torch.randn(2, 2, 256), dim=-1)
    with_a = encoder(tokens, lengths, a, pieces)[0]
    assert not torch.allclose(with_a, encoder(tokens, lengths, b, pieces)[0], atol=1e-3)
    nobody = encoder(tokens, lengths, None, pieces)[0]
    dropped = encoder(tokens, lengths, a, pieces, known=torch.tensor([True, False]))[0]
    torch.testing.assert_close(dropped[0], with_a[0])
    torch.testing.assert_close(dropped[1], nobody[1])
    zeros = encoder(tokens, lengths, torch.zeros(2, 256), pieces)[0]  # no other utterance of the speaker
    torch.testing.assert_close(zeros, nobody)
    deaf = DualStreamEncoder(dataclasses.replace(TOY, adaln=False)).eval()
    torch.testing.assert_close(deaf(tokens, lengths, a, pieces)[0], deaf(tokens, lengths, b, pieces)[0])


def test_the_pieces_reach_their_word() -> None:
    torch.manual_seed(0)
    encoder = _stirred(DualStreamEncoder(TOY))
    tokens, lengths, pieces = _inputs()
    changed = dataclasses.replace(pieces, ids=pieces.ids.clone())
    changed.ids[0, 3] = 29  # the one piece of the last word, the last phoneme
    moved = (encoder(tokens, lengths, None, changed)[0] - encoder(tokens, lengths, None, pieces)[0]).abs()
    assert moved[0, 8].max() > 1e-3
    assert moved[1].max() == 0
    with pytest.raises(ValueError, match="pieces"):
        encoder(tokens, lengths)


def test_names_and_size_are_kept() -> None:
    encoder = DualStreamEncoder(DualStreamConfig(n_tokens=60, n_pieces=20_000))
    names = encoder.state_dict().keys()
    assert {
        "nobody",
        "phonemes.embedding.weight",
        "phonemes.stack.blocks.3.modulation.weight",
        "pieces.stack.blocks.0.attention.qkv.weight",
        "shared.blocks.3.feed_forward.up.weight",
        "norm.weight",
        "project.weight",
    } <= names
    assert sum(p.numel() for p in encoder.parameters()) == 27_011_392
    assert isinstance(encoder.project, Conv)
