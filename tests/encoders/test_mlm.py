"""Masking: how much, what becomes of it, whole words; and streams that train apart."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.mlm import MaskConfig, MaskedModel, mask_spans

TOY = DualStreamConfig(n_tokens=20, n_pieces=30, dim=16, heads=2, hidden=16, stream_layers=1, shared_layers=1)


def test_shares_are_those_of_bert() -> None:
    ids = [2 + i % 18 for i in range(60_000)]
    spans = [(3 * i, 3 * i + 3) for i in range(20_000)]
    got, chosen = mask_spans(
        ids, spans, MaskConfig(), vocabulary=20, generator=torch.Generator().manual_seed(0)
    )
    picked = [i for i, (a, _) in enumerate(spans) if chosen[a]]
    n = len(picked)
    assert n / 20_000 == pytest.approx(0.15, abs=4 * math.sqrt(0.15 * 0.85 / 20_000))
    masked = sum(got[3 * i] == 20 for i in picked)
    kept = sum(got[3 * i : 3 * i + 3] == ids[3 * i : 3 * i + 3] for i in picked)
    assert masked / n == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / n))
    assert kept / n == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / n) + 0.001)
    replaced = [got[3 * i + k] for i in picked for k in range(3) if got[3 * i] != 20]
    assert set(replaced) == set(range(2, 20))  # never padding, unknown or mask


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(0, 1000))
def test_whole_words_and_nothing_else(lengths: list[int], seed: int) -> None:
    spans, at = [], 0
    for n in lengths:
        spans.append((at, at + n))
        at += n + 1  # a space between words
    ids = list(range(2, 2 + at))
    got, chosen = mask_spans(
        ids,
        spans,
        MaskConfig(share=0.5),
        vocabulary=99,
        generator=torch.Generator().manual_seed(seed),
    )
    for start, end in spans:
        assert len(set(chosen[start:end])) == 1
        assert len({x == 99 for x in got[start:end]}) == 1
    inside = {i for a, b in spans for i in range(a, b)}
    for i, (before, after) in enumerate(zip(ids, got, strict=True)):
        assert chosen[i] <= (i in inside)
        assert chosen[i] or before == after


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        MaskConfig(masked=0.9, replaced=0.2)


def _parts(model: MaskedModel, stream: str, ids: torch.Tensor):
    chosen = torch.zeros_like(ids, dtype=torch.bool)
    chosen[:, 1] = True
    return model.parts(ids, torch.tensor([5, 3]), ids, chosen, stream)


def test_streams_are_apart_and_the_join_is_not_trained() -> None:
    torch.manual_seed(0)
    model = MaskedModel(TOY)
    ids = torch.randint(2, 18, (2, 5))
    _parts(model, "phonemes", ids)["phonemes"].mean.backward()
    touched = {n for n, p in model.named_parameters() if p.grad is not None}
    assert any(n.startswith("encoder.phonemes.embedding") for n in touched)
    assert not any("pieces" in n or "piece_head" in n for n in touched)
    _parts(model, "pieces", ids)["pieces"].mean.backward()
    untouched = {n for n, p in model.named_parameters() if p.grad is None}
    assert all(n.startswith(("encoder.shared", "encoder.norm", "encoder.project")) for n in untouched)


def test_an_untrained_model_guesses_at_chance() -> None:
    torch.manual_seed(0)
    model = MaskedModel(dataclasses.replace(TOY, n_tokens=20))
    torch.nn.init.zeros_(model.phoneme_head.out.weight)
    torch.nn.init.zeros_(model.phoneme_head.out.bias)
    parts = _parts(model, "phonemes", torch.randint(2, 18, (2, 5)))
    assert float(parts["phonemes"].mean) == pytest.approx(math.log(20), rel=1e-5)
    assert int(parts["phonemes"].count) == 2
