"""Grad-TTS: published sizes, hand-computed losses, independence of padding, learning a tiny case."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import pytest
import torch

from intona.config import from_dict, to_dict
from intona.diffusion.process import OptimalTransport
from intona.diffusion.target import Target
from intona.encoders import conformance
from intona.encoders.base import TextEncoder
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.plain import PlainEncoder, PlainEncoderConfig
from intona.nn.embedding import sinusoid
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.gradtts import DecoderConfig, DurationConfig, GradTTS, GradTTSConfig
from intona.systems.gradtts.model import duration_error, intersperse

TINY = GradTTSConfig(
    n_tokens=10,
    n_mels=8,
    encoder=PlainEncoderConfig(dim=16, layers=1, hidden=16, dropout=0.0),
    duration=DurationConfig(hidden=16, dropout=0.0),
    decoder=DecoderConfig(kind="convnext1d", dim=16, depth=2, see_states=True),
    durations="data",
    add_blank=False,
    target="velocity",
    segment=0,
)


def _batch(*, b: int = 2) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    durations = torch.tensor([[2, 3, 0, 4], [1, 2, 3, 0]])[:b]
    lengths = durations.sum(1)
    mels = torch.randn(b, int(lengths.max()), 8, generator=g)
    return {
        "tokens": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]])[:b],
        "token_lengths": torch.tensor([4, 3])[:b],
        "mels": mels,
        "mel_lengths": lengths,
        "durations": durations,
    }


def _loss(model: GradTTS, batch: dict[str, torch.Tensor], ids: list[str], step: int = 0):
    return model.losses(**batch, speakers=None, random=ItemRandom(0, step, ids))


def test_paper_size() -> None:
    # 14.8 M parameters: 7.2 M text side, 7.6 M decoder (Popov et al. 2021, section 4).
    model = GradTTS(GradTTSConfig(n_tokens=148))
    count = lambda *m: sum(p.numel() for x in m for p in x.parameters()) / 1e6  # noqa: E731
    assert count(model.score) == pytest.approx(7.6, rel=0.03)
    assert count(model.encoder, model.prior, model.duration) == pytest.approx(7.2, rel=0.03)


def test_plain_encoder_keeps_the_contract() -> None:
    encoder = PlainEncoder(TINY.encoder, n_tokens=10)
    assert isinstance(encoder, TextEncoder)
    states, mask = encoder(torch.tensor([[1, 2, 0]]), torch.tensor([2]))
    assert states.shape == (1, 3, encoder.dim)
    assert mask.tolist() == [[True, True, False]]


class Outside(torch.nn.Module):
    """Somebody's own encoder: a table and a linear map."""

    dim = 12

    def __init__(self) -> None:
        super().__init__()
        self.table, self.map = torch.nn.Embedding(10, 12), torch.nn.Linear(12, 12)

    def forward(self, tokens, lengths, speaker=None, pieces=None):  # type: ignore[no-untyped-def]
        mask = length_mask(lengths, tokens.shape[1])
        return torch.tanh(self.map(self.table(tokens))) * mask[..., None], mask


def test_an_outside_encoder_learns_and_speaks() -> None:
    assert conformance.check(Outside(), n_tokens=10) == []
    model = GradTTS(TINY, encoder=Outside())
    _loss(model, _batch(), ["a", "b"]).total.backward()
    grad = model.encoder.table.weight.grad  # type: ignore[union-attr]
    assert grad is not None and float(grad.abs().max()) > 0
    spoken = model.synthesize(
        torch.tensor([[1, 2, 3]]), torch.tensor([3]), random=ItemRandom(0, 0, ["a"]), steps=2
    )
    assert spoken.mel.shape[0] == 1 and torch.isfinite(spoken.mel).all()


def test_intersperse() -> None:
    out, lengths = intersperse(torch.tensor([[1, 2, 3], [4, 0, 0]]), torch.tensor([3, 1]), blank=9)
    assert out.tolist() == [[9, 1, 9, 2, 9, 3, 9], [9, 4, 9, 0, 0, 0, 0]]
    assert lengths.tolist() == [7, 3]


def test_prior_and_duration_losses_by_hand() -> None:
    model = GradTTS(TINY)
    with torch.no_grad():
        model.prior.weight.zero_()
        model.prior.bias.fill_(0.5)
        model.duration.out.weight.zero_()
        model.duration.out.bias.fill_(1.0)
    batch = _batch()
    parts = _loss(model, batch, ["a", "b"]).parts
    valid = [m[:n] for m, n in zip(batch["mels"], batch["mel_lengths"], strict=True)]
    y = torch.cat(valid)
    want = (0.5 * ((y - 0.5) ** 2 + math.log(2 * math.pi))).mean()
    assert float(parts["prior"].mean.detach()) == pytest.approx(float(want), rel=1e-5)
    logs = torch.log1p(torch.tensor([2, 3, 0, 4, 1, 2, 3]).float())
    assert float(parts["duration"].mean.detach()) == pytest.approx(float(((1 - logs) ** 2).mean()), rel=1e-5)
    # A score network that predicts zero (its start): the loss is the mean square of the target.
    assert float(parts["diffusion"].mean.detach()) > 0.1


def test_gamma_duration_loss_is_half_the_deviance() -> None:
    frames, predicted = torch.tensor([0.0, 3, 24]), torch.tensor([1.5, 4.0, 11])
    y = 1 + frames
    deviance = 2 * (torch.log(predicted / y) + y / predicted - 1)
    ours = duration_error(torch.log(predicted), frames, "gamma")
    torch.testing.assert_close(ours, deviance / 2)
    assert float(duration_error(torch.log1p(frames), frames, "gamma").abs().max()) < 1e-6


@pytest.mark.parametrize("loss", ["gamma", "log"])
def test_the_best_constant_is_the_mean_or_the_geometric_mean(loss: Literal["gamma", "log"]) -> None:
    frames = torch.tensor([0.0, 2, 5, 9, 14, 30])  # pauses of one context
    grid = torch.linspace(0.5, 4, 35_001, dtype=torch.float64)
    cost = sum(duration_error(grid, frame.expand_as(grid), loss) for frame in frames)
    assert isinstance(cost, torch.Tensor)
    best = float(torch.expm1(grid[cost.argmin()]))
    mean, geometric = float(frames.mean()), float(torch.expm1(torch.log1p(frames).mean()))
    assert best == pytest.approx(mean if loss == "gamma" else geometric, rel=1e-3)
    assert geometric < 0.7 * mean  # the tempo that the logarithm loses


def test_voices_of_one_seed_start_alike_but_for_their_encoder() -> None:
    sizes = {"dim": 16, "heads": 2, "hidden": 16, "stream_layers": 1, "shared_layers": 1, "out": 16}
    made = []
    for more in ({"adaln": True}, {"adaln": False}, {"n_pieces": 99}):
        encoder = DualStreamConfig(**{"n_tokens": 10, "n_pieces": 20, "speaker_dim": 4, **sizes, **more})
        torch.manual_seed(3)
        made.append(GradTTS(dataclasses.replace(TINY, encoder=encoder)))
    for other in made[1:]:
        for part in ("prior", "duration", "score"):
            mine, theirs = (getattr(m, part).state_dict() for m in (made[0], other))
            assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    # And the encoder is not drawn from the stream of the rest.
    torch.manual_seed(3)
    first = GradTTS(TINY)
    torch.manual_seed(4)
    assert not torch.equal(GradTTS(TINY).prior.weight, first.prior.weight)


def test_the_u_net_of_new_and_of_older_configs() -> None:
    """Mish in the embedding of time (Grad-TTS, code); SiLU in a config that names none."""
    paper = GradTTSConfig()
    assert paper.decoder.kind == "unet2d"
    tree = to_dict(paper)
    del tree["decoder"]["time_activation"]
    older = from_dict(GradTTSConfig, tree)
    t = torch.rand(3)
    for config, activation in ((paper, torch.nn.functional.mish), (older, torch.nn.functional.silu)):
        small = dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, dim=8, mults=(1, 2)))
        embed = GradTTS(dataclasses.replace(small, n_tokens=5)).score.net.time
        first, last = embed.net[0], embed.net[2]
        torch.testing.assert_close(embed(t), last(activation(first(sinusoid(t, 8)))))


@pytest.mark.parametrize("durations", ["data", "mas"])
@pytest.mark.parametrize("kind", ["convnext1d", "unet2d"])
def test_batch_equals_one_by_one(durations: str, kind: str) -> None:
    decoder = dataclasses.replace(TINY.decoder, kind=kind, mults=(1, 2))
    model = GradTTS(dataclasses.replace(TINY, durations=durations, decoder=decoder)).eval()
    for p in model.score.parameters():
        torch.nn.init.normal_(p, std=0.3)
    batch = _batch()
    both = _loss(model, batch, ["a", "b"]).parts
    singles = []
    for i, name in enumerate("ab"):
        n, t = int(batch["token_lengths"][i]), int(batch["mel_lengths"][i])
        one = {
            "tokens": batch["tokens"][i : i + 1, :n],
            "token_lengths": batch["token_lengths"][i : i + 1],
            "mels": batch["mels"][i : i + 1, :t],
            "mel_lengths": batch["mel_lengths"][i : i + 1],
            "durations": batch["durations"][i : i + 1, :n],
        }
        singles.append(_loss(model, one, [name]).parts)
    for k in both:
        torch.testing.assert_close(
            both[k].total, singles[0][k].total + singles[1][k].total, rtol=1e-4, atol=1e-4
        )


@pytest.mark.trains
@pytest.mark.parametrize(
    ("kind", "target", "solver"),
    [
        ("convnext1d", "velocity", "dpm2m"),
        ("unet2d", "velocity", "dpm2m"),
        ("convnext1d", "flow", "euler"),
        ("convnext1d", "flow", "midpoint"),
    ],
)
def test_it_learns_a_tiny_case(kind: str, target: Target, solver: str) -> None:
    torch.manual_seed(0)
    decoder = dataclasses.replace(TINY.decoder, kind=kind, mults=(1, 2))
    config = dataclasses.replace(TINY, decoder=decoder, target=target)
    model = GradTTS(config)
    batch = _batch()
    # A mel that the tokens determine: each token has its own spectrum.
    spectra = torch.randn(10, 8) * 2
    for i in range(2):
        frames = batch["tokens"][i].repeat_interleave(batch["durations"][i])
        batch["mels"][i, : len(frames)] = spectra[frames]
    before = _error(model, batch, solver)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(70):
        optimizer.zero_grad()
        _loss(model, batch, ["a", "b"], step).total.backward()
        optimizer.step()
    assert _error(model, batch, solver) < 0.4 * before  # .08 to .14 of it measured
    random = ItemRandom(0, 0, ["a", "b"])
    speech = model.synthesize(batch["tokens"], batch["token_lengths"], solver=solver, random=random)
    assert speech.lengths.tolist() == pytest.approx(batch["mel_lengths"].tolist(), abs=2)


def _error(model: GradTTS, batch: dict[str, torch.Tensor], solver: str) -> float:
    """Mean distance of a mel sampled with little noise to the true one, as far as both reach."""
    model.eval()
    speech = model.synthesize(
        batch["tokens"],
        batch["token_lengths"],
        solver=solver,
        temperature=0.2,
        random=ItemRandom(0, 0, ["a", "b"]),
    )
    model.train()
    errors = []
    for i in range(2):
        n = min(int(speech.lengths[i]), int(batch["mel_lengths"][i]))
        errors.append(float((speech.mel[i, :n] - batch["mels"][i, :n]).abs().mean()))
    return sum(errors) / 2


def test_synthesis_is_seeded_and_scales_length() -> None:
    model = GradTTS(TINY).eval()
    say = lambda seed, scale=1.0: model.synthesize(  # noqa: E731
        torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]), length_scale=scale, random=ItemRandom(seed, 0, ["x"])
    )
    with torch.no_grad():
        model.duration.out.bias.fill_(math.log(11))
        model.duration.out.weight.zero_()
    assert torch.equal(say(0).mel, say(0).mel)
    assert not torch.equal(say(0).mel, say(1).mel)
    assert int(say(0).lengths) == 40
    assert int(say(0, 0.5).lengths) == 20


def test_config_refuses_contradictions() -> None:
    with pytest.raises(ValueError, match="add_blank"):
        dataclasses.replace(TINY, add_blank=True)


def test_the_target_decides_the_process_and_older_configs_keep_theirs() -> None:
    assert dataclasses.replace(TINY, target="flow", sigma_min=0.01).process == OptimalTransport(
        sigma_min=0.01
    )
    fields = to_dict(TINY)
    del fields["sigma_min"]
    older = from_dict(GradTTSConfig, fields, where="config")
    assert older == TINY and older.process == GradTTS(TINY).process
    with pytest.raises(ValueError, match="sigma_min"):
        dataclasses.replace(TINY, target="flow", sigma_min=2.0)
