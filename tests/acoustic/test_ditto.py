"""The latent diffusion model: masks, positions, guidance, lengths, losses, and that it learns."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from intona.acoustic.ditto import Ditto, DittoConfig, LengthConfig
from intona.acoustic.ditto.dit import Attention
from intona.acoustic.ditto.length import LengthPredictor
from intona.acoustic.ditto.model import Text, _outside
from intona.audio import MelSpec
from intona.encoders.plain import PlainEncoderConfig
from intona.latents.mel import MelLatents, MelLatentsConfig
from intona.nn.causal import rotation
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.prosody import ditto as stage

SIZES = DittoConfig(
    n_tokens=12,
    latents=MelLatentsConfig(),
    encoder=PlainEncoderConfig(dim=32, layers=1, hidden=32),
    dim=32,
    depth=4,
    heads=2,
    expand=2,
    text_positions="stretched",
    length=LengthConfig(hidden=16, dropout=0.0),
)
SPEC = MelSpec(n_mels=8)


def build(seed: int = 0, **choices: Any) -> Ditto:
    torch.manual_seed(seed)
    model = Ditto(dataclasses.replace(SIZES, **choices), MelLatents(SPEC)).eval()
    for p in model.parameters():  # the gates and the outlet start at zero
        torch.nn.init.normal_(p, std=0.2)
    model.length.pace.fill_(3.0)
    return model


def batch(lengths: list[int], references: list[int], symbols: list[int], seed: int = 0) -> dict[str, Any]:
    g = torch.Generator().manual_seed(seed)

    def rows(sizes: list[int]) -> Tensor:
        items = [torch.randn(n, 8, generator=g) for n in sizes]
        return torch.nn.utils.rnn.pad_sequence(items, batch_first=True)

    tokens = [torch.randint(1, 12, (n,), generator=g) for n in symbols]
    return {
        "tokens": torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
        "token_lengths": torch.tensor(symbols),
        "latents": rows(lengths),
        "latent_lengths": torch.tensor(lengths),
        "references": rows(references),
        "reference_lengths": torch.tensor(references),
    }


def one_of(whole: dict[str, Any], i: int) -> dict[str, Any]:
    """Item i of a batch without its padding."""
    out = {k: v[i : i + 1] for k, v in whole.items()}
    for name, size in (
        ("tokens", "token_lengths"),
        ("latents", "latent_lengths"),
        ("references", "reference_lengths"),
    ):
        out[name] = out[name][:, : int(out[size])]
    return out


# --- attention ----------------------------------------------------------------------------------------


def test_rotary_scores_depend_on_the_distance_alone_and_the_mask_hides() -> None:
    torch.manual_seed(0)
    attention, x, other = Attention(16, 2, cross=True), torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    mask = length_mask(torch.tensor([7, 4]))
    at, keys = torch.arange(5.0).expand(2, 5), torch.arange(7.0).expand(2, 7)

    def run(other: Tensor, shift: float) -> Tensor:
        return attention(x, other, mask, rotation(at + shift, 8), rotation(keys + shift, 8))

    assert torch.allclose(run(other, 0), run(other, 31.5), atol=1e-5)
    hidden = other.clone()
    hidden[1, 4:] = 1e3
    assert torch.equal(run(hidden, 0), run(other, 0))
    moved = attention(x, other, mask, rotation(at + 1, 8), rotation(keys, 8))
    assert not torch.allclose(moved, run(other, 0), atol=1e-3)


def test_attention_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    attention, x, other = Attention(8, 1, cross=True), torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    mask = torch.tensor([[True, True, False, True]])
    k, v = attention.kv(other).chunk(2, dim=-1)
    scores = (attention.q(x) @ k.transpose(1, 2) / math.sqrt(8)).masked_fill(~mask[:, None], -math.inf)
    oracle = attention.out(scores.softmax(-1) @ v)
    assert torch.allclose(attention(x, other, mask, None, None), oracle, atol=1e-6)


# --- the network --------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["none", "stretched"])
def test_a_batch_of_different_lengths_equals_one_by_one(positions: str) -> None:
    model = build(text_positions=positions)
    ids = ["a", "b", "c", "d", "e", "f"]
    whole = batch([9, 20, 14, 5, 11, 17], [4, 0, 7, 2, 6, 3], [5, 9, 7, 3, 6, 4])
    losses = model.losses(**whole, random=ItemRandom(0, 3, ids))
    apart = [model.losses(**one_of(whole, i), random=ItemRandom(0, 3, [n])) for i, n in enumerate(ids)]
    for name, part in losses.parts.items():
        assert float(part.total) == pytest.approx(sum(float(p.parts[name].total) for p in apart), rel=1e-4)
        assert int(part.count) == sum(int(p.parts[name].count) for p in apart)

    how = {"steps": 3, "guidance": 1.7}
    keys = ("tokens", "references", "reference_lengths")
    out = model.synthesize(
        lengths=whole["token_lengths"], **{k: whole[k] for k in keys}, random=ItemRandom(0, 0, ids), **how
    )
    for i, name in enumerate(ids):
        one = one_of(whole, i)
        alone = model.synthesize(
            lengths=one["token_lengths"], **{k: one[k] for k in keys}, random=ItemRandom(0, 0, [name]), **how
        )
        n = int(alone.lengths)
        assert n == int(out.lengths[i])
        assert torch.allclose(out.mel[i, :n], alone.mel[0], atol=2e-3)
        assert not out.mel[i, n:].any()


def test_guidance_at_one_is_the_condition_and_at_zero_ignores_text_and_voice() -> None:
    model, whole = build(), batch([10, 10], [4, 4], [6, 6])
    other = batch([10, 10], [4, 4], [6, 6], seed=1)

    def mel(data: dict[str, Any], guidance: float) -> Tensor:
        return model.synthesize(
            data["tokens"],
            data["token_lengths"],
            references=data["references"],
            reference_lengths=data["reference_lengths"],
            latent_lengths=data["latent_lengths"],
            steps=2,
            guidance=guidance,
            random=ItemRandom(0, 0, ["a", "b"]),
        ).mel

    assert torch.allclose(mel(whole, 1.0), mel(whole, 1.0 + 1e-6), atol=1e-3)
    assert torch.allclose(mel(whole, 0.0), mel(other, 0.0), atol=1e-5)
    assert not torch.allclose(mel(whole, 1.0), mel(other, 1.0), atol=1e-2)
    assert not torch.allclose(mel(whole, 1.0), mel(whole, 3.0), atol=1e-2)


def test_what_is_masked_or_given_is_where_it_should_be() -> None:
    """The answer hears the reference and what is given, not the noisy values under what is given."""
    model, data = build(), batch([10], [4], [6])
    text = model.read(data["tokens"], data["token_lengths"])
    given = torch.zeros(1, 10, dtype=torch.bool)
    given[:, :3] = True

    def answer(noisy: Tensor, **changes: Any) -> Tensor:
        how: dict[str, Any] = {
            "given": data["latents"],
            "given_mask": given,
            "lengths": data["latent_lengths"],
            "reference": data["references"],
            "reference_mask": torch.ones(1, 4, dtype=torch.bool),
            "text": text,
            "keep": torch.ones(1, dtype=torch.bool),
        }
        return model.velocity(noisy, torch.tensor([0.4]), **(how | changes))

    noisy = torch.randn(1, 10, 8)
    under = noisy.clone()
    under[:, :3] = 9.0
    assert torch.equal(answer(noisy), answer(under))
    assert not torch.allclose(answer(noisy), answer(noisy, given=data["latents"] + 1), atol=1e-3)
    assert not torch.allclose(answer(noisy), answer(noisy, reference=data["references"] + 1), atol=1e-3)
    none = torch.zeros(1, 4, dtype=torch.bool)
    silent = {"reference": data["references"] + 1, "reference_mask": none}
    assert torch.equal(answer(noisy, **silent), answer(noisy, reference_mask=none))
    null = torch.zeros(1, dtype=torch.bool)
    strange = Text(states=text.states + 1, mask=text.mask, raw=text.raw)
    assert torch.equal(answer(noisy, keep=null), answer(noisy, keep=null, text=strange))


def test_spans_are_one_piece_of_the_published_share() -> None:
    lengths = torch.tensor([10, 50, 1])
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        size, place = torch.rand(3, generator=g), torch.rand(3, generator=g)
        given = _outside(size, place, lengths, length_mask(lengths))
        hidden = length_mask(lengths) & ~given
        assert not (given & ~length_mask(lengths)).any()
        for row, n in zip(hidden, lengths.tolist(), strict=True):
            at = torch.nonzero(row)[:, 0]
            assert len(at) == int(at[-1] - at[0]) + 1 and 0.7 * n <= len(at) <= n


def test_a_fresh_model_predicts_zero_so_its_loss_is_the_variance_of_the_target() -> None:
    torch.manual_seed(0)
    model = Ditto(dataclasses.replace(SIZES, spans=0.0), MelLatents(SPEC)).eval()
    data = batch([200, 300], [4, 5], [60, 90])
    part = model.losses(**data, random=ItemRandom(0, 0, ["a", "b"])).parts["diffusion"]
    # v = alpha eps - sigma z_0 of unit-variance data and noise has variance 1.
    assert float(part.mean) == pytest.approx(1.0, abs=0.06)


# --- lengths ------------------------------------------------------------------------------------------


def test_length_bins_are_exact_in_the_mean() -> None:
    torch.manual_seed(0)
    predictor = LengthPredictor(LengthConfig(hidden=8, bins=13), states=4, latent=3)
    predictor.pace.fill_(2.0)
    tokens, wanted = torch.tensor([10, 20, 7]), torch.tensor([25, 31, 14])
    ratio = (wanted / (tokens * 2.0)).log()
    logits = torch.full((3, 13), -60.0)
    step = float(predictor.bins[1] - predictor.bins[0])
    for row, r in zip(logits, ratio.tolist(), strict=True):
        low = int((r - float(predictor.bins[0])) / step)
        share = (r - float(predictor.bins[low])) / step
        row[low], row[low + 1] = math.log(1 - share + 1e-30), math.log(share + 1e-30)
    assert torch.allclose(predictor.lengths(logits, tokens), wanted.float(), rtol=1e-4)
    # These logits are the best there are: the loss is the entropy of the two-bin targets.
    p = logits.softmax(-1)
    entropy = -(p * (p + 1e-30).log()).sum()
    assert float(predictor.part(logits, tokens, wanted).total) == pytest.approx(float(entropy), rel=1e-3)


def test_lengths_are_learnt_and_scale() -> None:
    torch.manual_seed(0)
    model = Ditto(SIZES, MelLatents(SPEC))
    # Symbol 1 takes 2 latents, symbol 2 takes 6.
    tokens = torch.tensor([[1] * 10, [2] * 10, [1] * 5 + [2] * 5])
    lengths, wanted = torch.tensor([10, 10, 10]), torch.tensor([20, 60, 40])
    model.length.pace.fill_(4.0)
    nothing, mask = torch.zeros(3, 0, 8), torch.zeros(3, 0, dtype=torch.bool)
    optimizer = torch.optim.Adam(model.length.parameters(), lr=0.01)
    for _ in range(60):
        text = model.read(tokens, lengths)
        logits = model.length(text.raw.detach(), text.mask, nothing, mask)
        optimizer.zero_grad()
        model.length.part(logits, lengths, wanted).total.backward()
        optimizer.step()
    model.eval()
    text = model.read(tokens, lengths)
    found = model.predict_lengths(text, nothing, mask)
    assert torch.allclose(found.float(), wanted.float(), rtol=0.1)
    twice = model.predict_lengths(text, nothing, mask, scale=2.0)
    assert torch.allclose(twice.float(), 2 * found.float(), atol=1.0)


# --- learning -----------------------------------------------------------------------------------------


def test_it_learns_to_say_what_the_text_says() -> None:
    """Two symbols, two sounds: after a few seconds guidance and text decide which is heard."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, spans=0.2, noise_shift=1.0)
    model = Ditto(config, MelLatents(SPEC))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    sounds = torch.stack([torch.ones(8), -torch.ones(8)])
    g = torch.Generator().manual_seed(0)
    for step in range(150):
        symbols = torch.randint(0, 2, (16, 4), generator=g)
        latents = sounds[symbols].repeat_interleave(2, dim=1)
        losses = model.losses(
            tokens=symbols + 1,
            token_lengths=torch.full((16,), 4),
            latents=latents,
            latent_lengths=torch.full((16,), 8),
            references=torch.zeros(16, 0, 8),
            reference_lengths=torch.zeros(16, dtype=torch.long),
            random=ItemRandom(0, step, [str(i) for i in range(16)]),
        )
        optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    said = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]])
    speech = model.synthesize(
        said + 1,
        torch.tensor([4, 4]),
        latent_lengths=torch.tensor([8, 8]),
        steps=10,
        guidance=1.5,
        random=ItemRandom(0, 0, ["x", "y"]),
    )
    heard = (speech.latents.mean(-1) < 0).long()
    assert torch.equal(heard, said.repeat_interleave(2, dim=1))


# --- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "published"), [("paper", 41.89), ("base", 151.58), ("large", 507.99), ("xl", 739.97)]
)
def test_presets_have_about_the_published_number_of_parameters(size: str, published: float) -> None:
    config = dataclasses.replace(stage.SIZES[size]().model, n_tokens=60, latents=MelLatentsConfig())
    with torch.device("meta"):
        model = Ditto(config, MelLatents(MelSpec()))
    parts = (model.net, model.time, model.text, model.pooled)
    millions = sum(p.numel() for m in parts for p in m.parameters()) / 1e6
    assert millions == pytest.approx(published, rel=0.09)
