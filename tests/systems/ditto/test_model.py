"""The latent diffusion model: masks, positions, guidance, lengths, losses, and that it learns."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from intona import config as configs
from intona.audio import MelSpec
from intona.data.pieces import Pieces
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.plain import PlainEncoderConfig
from intona.errors import UserError
from intona.latents.mel import MelLatents, MelLatentsConfig
from intona.nn.causal import rotation
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.ditto import Ditto, DittoConfig, LengthConfig
from intona.systems.ditto import presets as presets
from intona.systems.ditto.dit import Attention, DiTBlock
from intona.systems.ditto.length import LengthPredictor
from intona.systems.ditto.model import SPEAKER_DROPOUT, TextStates, _outside, places

SIZES = DittoConfig(
    n_tokens=12,
    latents=MelLatentsConfig(),
    encoder=PlainEncoderConfig(dim=32, layers=1, hidden=32),
    dim=32,
    depth=4,
    heads=2,
    expand=2,
    text_positions="stretched",
    text_widths=(0.02, 0.1),
    rotary=200.0,
    opening=0.3,
    guess=True,
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


@pytest.mark.parametrize("skip", [False, True])
def test_a_fresh_block_is_the_identity_unless_opened(skip: bool) -> None:
    torch.manual_seed(0)
    x, text = torch.randn(2, 5, 16), torch.randn(2, 4, 16)
    turn = rotation(torch.arange(5.0).expand(2, 5), 8)
    rest = (length_mask(torch.tensor([5, 3])), text, length_mask(torch.tensor([4, 2])), torch.zeros(2, 6, 16))

    def run(opening: float) -> Tensor:
        block = DiTBlock(16, 2, 2, 0.0, skip=skip, opening=opening)
        return block(x, *rest, turn, (None, None), torch.randn(2, 5, 16) if skip else None)

    assert torch.equal(run(0.0), x)
    assert not torch.allclose(run(0.2), x, atol=0.01)


def test_an_opened_network_hears_the_text_from_the_first_gradient() -> None:
    for opening, heard in ((0.0, False), (0.2, True)):
        torch.manual_seed(0)
        model = Ditto(dataclasses.replace(SIZES, opening=opening, drop=0.0), MelLatents(SPEC)).eval()
        torch.nn.init.normal_(model.net.outlet.weight, std=0.1)  # as after one step: it starts at zero
        model.losses(**batch([9, 20], [4, 0], [5, 9]), random=ItemRandom(0, 0, ["a", "b"])).total.backward()
        cross = [b.cross for b in model.net.blocks]
        assert all(bool(c.q.weight.grad.any()) == heard for c in cross)  # type: ignore[union-attr]


def test_symbols_are_laid_out_by_their_widths() -> None:
    widths = torch.tensor([[1.0, 0.0, 2.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    where = places(widths, torch.tensor([8, 10]))
    assert torch.allclose(where[0], torch.tensor([0.5, 1.5, 3.5, 6.5]))
    assert torch.allclose(where[1, :2], torch.tensor([2.0, 7.0]))
    assert torch.isfinite(places(torch.zeros(1, 3), torch.tensor([4]))).all()


def test_far_text_counts_less_at_the_width_of_each_head() -> None:
    model = build(heads=4, text_widths=(0.02, 0.1, 0.0))
    positions, where = torch.tensor([[-1.0, 0.0, 1.0]]), torch.tensor([[0.5, 3.0]])
    score = model._near(positions, where, torch.tensor([[True, False]]), 1)
    assert score.shape == (1, 4, 3, 2) and torch.isinf(score[..., 1]).all()
    assert not score[:, :, 0, 0].any() and not score[:, 2, :, 0].any()  # the reference; a head without width
    for head, seconds in ((0, 0.02), (1, 0.1), (3, 0.02)):
        width = seconds * model.space.rate
        assert score[0, head, 1:, 0].tolist() == pytest.approx([-0.125 / width**2] * 2, rel=1e-4)


def test_the_guess_is_the_regression_of_the_velocity_on_the_noisy_latent() -> None:
    model = build(noise_shift=0.4)
    model.spread.copy_(torch.linspace(0.1, 4, 8))
    g = torch.Generator().manual_seed(0)
    x, noise = torch.randn(40_000, 8, generator=g) * model.spread, torch.randn(40_000, 8, generator=g)
    t = torch.tensor([0.05, 0.4, 0.9, 1.0])
    for row, at in zip(model._guess(t), t, strict=True):
        alpha, sigma = model.process.alpha(at), model.process.sigma(at)
        z, v = alpha * x + sigma * noise, alpha * noise - sigma * x
        slope = (z * v).mean(0) / z.square().mean(0)
        assert torch.allclose(row, slope, atol=0.03 * float(slope.abs().max()) + 0.02)
    model.spread.fill_(1.0)
    assert not model._guess(t).any()


def test_the_schedule_is_shifted_in_training_and_in_sampling() -> None:
    """A fresh model predicts nothing, so its loss is the mean power of the velocity over times."""
    for shift in (1.0, 0.35):
        torch.manual_seed(0)
        config = dataclasses.replace(SIZES, spans=0.0, guess=False, noise_shift=shift)
        model = Ditto(config, MelLatents(SPEC)).eval()
        n = 256
        data = batch([12] * n, [0] * n, [4] * n)
        data["latents"] = 3 * data["latents"]
        with torch.no_grad():
            losses = model.losses(**data, random=ItemRandom(0, 0, [str(i) for i in range(n)]))
        angle = (torch.arange(1000) + 0.5) / 1000 * math.pi / 2
        sigma = angle.sin() / torch.hypot(shift * angle.cos(), angle.sin())
        expected = float((1 - sigma.square() + 9 * sigma.square()).mean())
        assert float(losses.parts["diffusion"].mean) == pytest.approx(expected, rel=0.06)


def test_a_training_batch_is_of_one_kind_where_asked() -> None:
    model, data = build(together=True, drop=0.0), batch([9, 20, 14], [4, 0, 7], [5, 9, 7])
    seen: set[tuple[bool, bool]] = set()
    whole = model.velocity

    def spy(*args: Any, **how: Any) -> Tensor:
        reference, context = how["reference_mask"].any(1), how["context_mask"].any(1)
        seen.add((bool(reference.any()), bool(context.any())))
        assert reference.tolist() in ([False] * 3, [True, False, True])
        assert not (reference.any() and context.any())
        assert how["reference"].shape[1] == (7 if reference.any() else 0)
        return whole(*args, **how)

    model.velocity = spy  # type: ignore[method-assign]
    for step in range(30):
        model.train().losses(**data, random=ItemRandom(0, step, ["a", "b", "c"]))
    assert seen == {(True, False), (False, True), (False, False)}


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

    how = {"steps": 3, "guidance": 1.7, "solver": "ancestral", "temperature": 0.8}
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


SPEAKERS = DualStreamConfig(
    n_tokens=SIZES.n_tokens,
    n_pieces=6,
    dim=16,
    heads=2,
    hidden=16,
    stream_layers=1,
    shared_layers=1,
    out=16,
    speaker_dim=4,
)


def test_the_encoder_is_conditioned_on_the_references_that_the_network_sees() -> None:
    """And of no other: with the reference its vector is dropped, and a tenth of the vectors alone."""
    model = build(encoder=SPEAKERS, drop_reference=0.5, spans=0.2)
    conditions: list[Tensor] = []
    forward = model.encoder.forward  # type: ignore[attr-defined]

    def spy(tokens: Tensor, lengths: Tensor, speaker: Tensor, pieces: Pieces) -> tuple[Tensor, Tensor]:
        conditions.append(speaker)
        return forward(tokens, lengths, speaker, pieces)

    model.encoder.forward = spy  # type: ignore[attr-defined, method-assign]
    n = 64
    whole = batch([6] * n, [3] * n, [4] * n) | {"pieces": pieces_of(n, 4)}
    vectors = torch.nn.functional.normalize(torch.randn(n, 4), dim=1)
    ids = [f"u{i}" for i in range(n)]
    losses = model.losses(**whole, speakers=vectors, random=ItemRandom(0, 0, ids))
    known = conditions[0].abs().sum(1) > 0
    assert torch.equal(conditions[0][known], vectors[known])
    share = (1 - 0.2) * (1 - 0.5) * (1 - SPEAKER_DROPOUT)
    assert abs(float(known.float().mean()) - share) < 4 * math.sqrt(share * (1 - share) / n)
    # Vectors of references that are not seen change nothing, those that are seen do.
    other = torch.where(known[:, None], vectors, -vectors)
    again = model.losses(**whole, speakers=other, random=ItemRandom(0, 0, ids))
    assert torch.equal(losses.total, again.total)
    changed = model.losses(**whole, speakers=-vectors, random=ItemRandom(0, 0, ids))
    assert float((changed.total - losses.total).detach().abs()) > 1e-3


def pieces_of(size: int, symbols: int) -> Pieces:
    """One word of one piece, which all symbols belong to."""
    return Pieces(
        ids=torch.full((size, 1), 2),
        lengths=torch.ones(size, dtype=torch.long),
        words=torch.zeros(size, 1, dtype=torch.long),
        token_words=torch.zeros(size, symbols, dtype=torch.long),
    )


def test_a_source_under_little_noise_stays_and_under_all_of_it_is_forgotten() -> None:
    model, whole = build(), batch([10, 10], [4, 4], [6, 6])

    def latents(start: float, **source: Tensor) -> Tensor:
        return model.synthesize(
            whole["tokens"],
            whole["token_lengths"],
            latent_lengths=whole["latent_lengths"],
            start=start,
            steps=2,
            guidance=1.0,
            random=ItemRandom(0, 0, ["a", "b"]),
            **source,
        ).latents

    source = torch.randn(2, 10, model.space.dim)
    assert torch.allclose(latents(1e-4, source=source), source, atol=1e-2)
    assert (latents(0.5, source=source) - source).abs().max() > 0.1
    assert torch.allclose(latents(1.0, source=source), latents(1.0), atol=1e-4)


def test_temperature_is_the_deviation_of_the_first_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    model, whole, began = build(), batch([10, 10], [4, 4], [6, 6]), []

    def solve(name: str, process: Any, denoise: Any, z: Tensor, steps: int, **how: Any) -> Tensor:
        began.append(z)
        return z

    monkeypatch.setattr("intona.systems.ditto.model.solvers.solve", solve)
    for temperature in ({}, {"temperature": 0.5}, {"temperature": 0.0}):
        model.synthesize(
            whole["tokens"],
            whole["token_lengths"],
            latent_lengths=torch.tensor([400, 400]),
            random=ItemRandom(0, 0, ["a", "b"]),
            **temperature,
        )
    assert float(began[0].std()) == pytest.approx(1, abs=0.03)
    assert torch.allclose(began[1], began[0] / 2) and not began[2].any()


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


def test_what_is_masked_or_known_is_where_it_should_be() -> None:
    """The answer depends on the reference and the context, not on the noisy values under the context."""
    model, data = build(), batch([10], [4], [6])
    text = model.read(data["tokens"], data["token_lengths"])
    known = torch.zeros(1, 10, dtype=torch.bool)
    known[:, :3] = True

    def answer(noisy: Tensor, **changes: Any) -> Tensor:
        how: dict[str, Any] = {
            "context": data["latents"],
            "context_mask": known,
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
    assert not torch.allclose(answer(noisy), answer(noisy, context=data["latents"] + 1), atol=1e-3)
    assert not torch.allclose(answer(noisy), answer(noisy, reference=data["references"] + 1), atol=1e-3)
    none = torch.zeros(1, 4, dtype=torch.bool)
    silent = {"reference": data["references"] + 1, "reference_mask": none}
    assert torch.equal(answer(noisy, **silent), answer(noisy, reference_mask=none))
    null = torch.zeros(1, dtype=torch.bool)
    strange = TextStates(states=text.states + 1, mask=text.mask, raw=text.raw, widths=text.widths + 1)
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


def test_a_length_costs_the_same_after_half_precision() -> None:
    """A published model that learns on: its bins are rounded, the step between two by a few per cent."""
    predictor = LengthPredictor(LengthConfig(), states=4, latent=3)
    logits = torch.randn(5, len(predictor.bins), generator=torch.Generator().manual_seed(0)).mul(4)
    tokens, latents = torch.tensor([10, 40, 25, 60, 33]), torch.tensor([8, 44, 20, 61, 50])
    before = float(predictor.part(logits, tokens, latents).total)
    predictor.bins.copy_(predictor.bins.half())
    assert float(predictor.part(logits, tokens, latents).total) == pytest.approx(before, rel=1e-6)


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
        below, above = (math.exp(float(predictor.bins[i])) for i in (low, low + 1))
        share = (math.exp(r) - below) / (above - below)
        row[low], row[low + 1] = math.log(1 - share + 1e-30), math.log(share + 1e-30)
    assert torch.allclose(predictor.lengths(logits, tokens), wanted.float(), rtol=1e-4)
    # These logits are the best there are: the loss is the entropy of the two-bin targets.
    p = logits.softmax(-1)
    entropy = -(p * (p + 1e-30).log()).sum()
    assert float(predictor.part(logits, tokens, wanted).total) == pytest.approx(float(entropy), rel=1e-3)


def test_an_uncertain_length_is_the_mean_of_its_distribution() -> None:
    """A Gaussian over log ratios: the mean is exp(m + s^2 / 2), where exp(m) is the geometric mean."""
    predictor = LengthPredictor(LengthConfig(hidden=8), states=4, latent=3)
    predictor.pace.fill_(2.0)
    m, s = 0.1, 0.25
    logits = -0.5 * ((predictor.bins - m) / s).square()[None]
    length = predictor.lengths(logits, torch.tensor([15]))
    assert float(length) == pytest.approx(15 * 2.0 * math.exp(m + s**2 / 2), rel=1e-3)


@pytest.mark.trains
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


# Two short ones and two long ones in every order: 8 latents always.
ORDERS = [torch.tensor(row) for row in itertools.product((0, 1), repeat=4) if sum(row) == 2]


def spread(symbols: Tensor) -> Tensor:
    return symbols.repeat_interleave(2 * symbols + 1)


@pytest.mark.trains
def test_it_learns_to_say_what_the_text_says() -> None:
    """Two symbols, two sounds, one three times as long, which nobody told: speech is nearest its own text."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, depth=2, spans=0.2)
    model = Ditto(config, MelLatents(SPEC))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    sounds = torch.stack([torch.ones(8), -torch.ones(8)])
    g = torch.Generator().manual_seed(0)
    history = []
    for step in range(120):
        symbols = torch.stack([ORDERS[i] for i in torch.randint(0, len(ORDERS), (16,), generator=g)])
        latents = torch.stack([sounds[spread(row)] for row in symbols])
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
        history.append(float(losses.parts["diffusion"].mean.detach()))
    assert sum(history[-20:]) / 20 < 0.4 * sum(history[:5]) / 5  # .14 to .22 of it measured
    model.eval()
    texts = torch.stack(ORDERS)
    speech = model.synthesize(
        texts + 1,
        torch.full((6,), 4),
        latent_lengths=torch.full((6,), 8),
        steps=10,
        guidance=1.5,
        random=ItemRandom(0, 0, [str(i) for i in range(6)]),
    )
    targets = torch.stack([sounds[spread(row)] for row in texts])
    distances = (speech.latents[:, None] - targets).square().mean((2, 3))
    matching = distances.diagonal().mean()
    others = (distances.sum() - distances.diagonal().sum()) / 30
    assert matching < 0.4 * others  # .01 to .16 of it measured; 1 where the text is not followed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.noise-shift", "0"),
        ("model.heads", "0"),
        ("model.depth", "0"),
        ("model.depth", "-1"),
        ("model.dim", "0"),
        ("model.expand", "0"),
        ("model.dropout", "2"),
        ("model.rotary", "0"),
        ("model.opening", "-1"),
        ("model.text-widths", "[-1]"),
        ("model.length.hidden", "0"),
        ("model.length.dropout", "1"),
        ("model.encoder.heads", "5"),
        ("model.encoder.dim", "0"),
        ("model.encoder.kernel", "2"),
        ("clauses", "2"),
        ("patch-shift", "0"),
        ("patch-proportion", "2"),
    ],
)
def test_numbers_that_cannot_be_are_refused(key: str, value: str) -> None:
    with pytest.raises(UserError) as refused:
        configs.override(presets.small(), {key: value})
    assert key.split(".")[-1].replace("-", "_") in str(refused.value)


# --- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "published"), [("paper", 41.89), ("base", 151.58), ("large", 507.99), ("xl", 739.97)]
)
def test_presets_have_about_the_published_number_of_parameters(size: str, published: float) -> None:
    config = dataclasses.replace(presets.SIZES[size]().model, n_tokens=60, latents=MelLatentsConfig())
    with torch.device("meta"):
        model = Ditto(config, MelLatents(MelSpec()))
    parts = (model.net, model.time, model.text, model.pooled)
    millions = sum(p.numel() for m in parts for p in m.parameters()) / 1e6
    assert millions == pytest.approx(published, rel=0.09)
