"""Restyling models: padding, guidance, both processes, both networks."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle import NetworkConfig, Restyle, RestyleConfig

SMALL = RestyleConfig(
    channels=16, style_dim=6, segment=24, network=NetworkConfig(dim=16, depth=2, heads=2, mults=(1, 2))
)
IMAGE = dataclasses.replace(SMALL, network=dataclasses.replace(SMALL.network, kind="unet2d", attend=1))
CONFIGS = {
    "palette 1-D": SMALL,
    "palette 2-D": IMAGE,
    "bridge 1-D": dataclasses.replace(SMALL, process="bridge"),
    "bridge 2-D": dataclasses.replace(IMAGE, process="bridge", see_text=False, x1_noise=True),
    "bridge ode": dataclasses.replace(SMALL, process="bridge", ot_ode=True),
}


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> Restyle:
    torch.manual_seed(0)
    network = Restyle(CONFIGS[request.param])
    with torch.no_grad():  # past the zero initialisation, which would hide everything
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return network.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    frames = torch.tensor([20, 13])
    text, audio = torch.randn(2, 20, 16, generator=g), torch.randn(2, 20, 16, generator=g)
    text[1, 13:] = audio[1, 13:] = 0
    return text, audio, frames, torch.randn(2, 6, generator=g)


def test_padding_never_enters_the_loss(model: Restyle) -> None:
    text, audio, frames, style = batch()
    first = model.losses(text, audio, frames, style, ItemRandom(0, 0, ["a", "b"])).parts["latent"]
    text[1, 13:], audio[1, 13:] = 1e3, -1e3
    second = model.losses(text, audio, frames, style, ItemRandom(0, 0, ["a", "b"])).parts["latent"]
    assert torch.equal(first.total, second.total)
    assert int(first.count) == (20 + 13) * 16
    audio[1, 12] += 1  # a real frame does enter
    third = model.losses(text, audio, frames, style, ItemRandom(0, 0, ["a", "b"])).parts["latent"]
    assert not torch.equal(first.total, third.total)


def test_padding_never_enters_a_sample(model: Restyle) -> None:
    text, _, frames, style = batch()
    first = model.sample(text, frames, style, steps=3, guidance=2, noise=ItemRandom(0, 0, ["a", "b"]))
    text[1, 13:] = 1e3
    second = model.sample(text, frames, style, steps=3, guidance=2, noise=ItemRandom(0, 0, ["a", "b"]))
    assert torch.equal(first, second)
    assert bool((first[1, 13:] == 0).all()) and bool(first[1, :13].abs().sum() > 0)


def test_a_batch_is_its_items_one_by_one(model: Restyle) -> None:
    text, audio, frames, style = batch()
    both = model.losses(text, audio, frames, style, ItemRandom(0, 0, ["a", "b"])).parts["latent"]
    spoken = model.sample(text, frames, style, steps=3, guidance=2, noise=ItemRandom(0, 0, ["a", "b"]))
    total = torch.zeros(())
    for i, (name, n) in enumerate(zip("ab", frames.tolist(), strict=True)):
        one = slice(i, i + 1)
        mine = text[one, :n], audio[one, :n], frames[one], style[one]
        total = total + model.losses(*mine, ItemRandom(0, 0, [name])).parts["latent"].total
        alone = model.sample(
            mine[0], frames[one], style[one], steps=3, guidance=2, noise=ItemRandom(0, 0, [name])
        )
        torch.testing.assert_close(spoken[i, :n], alone[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(both.total, total, rtol=1e-5, atol=0)


def test_guidance_one_is_the_condition_and_zero_is_none(model: Restyle) -> None:
    text, _, frames, style = batch()

    def run(guidance: float, style: torch.Tensor) -> torch.Tensor:
        return model.sample(
            text, frames, style, guidance=guidance, steps=4, noise=ItemRandom(0, 0, ["a", "b"])
        )

    # Two evaluations at a scale next to 1 (or 0) come to what one gives at it.
    assert torch.allclose(run(1, style), run(1 + 1e-6, style), atol=1e-4)
    assert torch.allclose(run(0, style), run(1e-6, style), atol=1e-4)
    assert torch.equal(run(0, style), run(0, -style))  # no style is heard
    assert not torch.allclose(run(1, style), run(1, -style), atol=1e-4)


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def whole(request: pytest.FixtureRequest) -> Restyle:
    torch.manual_seed(0)
    network = Restyle(dataclasses.replace(CONFIGS[request.param], masked=False))
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return network.eval()


def test_unmasked_padding_is_learned(whole: Restyle) -> None:
    """The loss on the canvas is that of every frame, and what padding adds to it reaches the weights."""
    text, audio, frames, style = batch()
    seen: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, padded: object, out: torch.Tensor) -> None:
        out.retain_grad()
        seen.append(out)

    hook = whole.network.register_forward_hook(keep)
    part = whole.losses(text, audio, frames, style, ItemRandom(0, 0, ["a", "b"])).parts["latent"]
    hook.remove()
    assert int(part.count) == 2 * 24 * 16
    out = seen[0]
    assert out.shape == (2, 24, 16) and bool(out[0, 20:].abs().sum() > 0)
    part.total.backward(retain_graph=True)
    assert out.grad is not None and bool(out.grad[0, 20:].abs().sum() > 0)
    weights = [p for p in whole.network.parameters() if p.requires_grad]
    padding = torch.autograd.grad(out[0, 20:].square().sum() + out[1, 13:].square().sum(), weights)
    # Not the last bias alone: what comes before it sees the padding as well.
    assert sum(float(g.abs().sum()) > 0 for g in padding) > len(weights) / 2


def test_unmasked_samples_are_walked_on_the_canvas(whole: Restyle) -> None:
    text, _, frames, style = batch()
    how = {"steps": 3, "guidance": 2.0}
    sampled = whole.sample(text, frames, style, noise=ItemRandom(0, 0, ["a", "b"]), **how)  # type: ignore
    assert sampled.shape == text.shape and bool((sampled[1, 13:] == 0).all())
    assert bool(sampled[1, :13].abs().sum() > 0)
    # Cut by hand to fewer frames of padding, it is the same canvas.
    one = whole.sample(text[1:, :13], frames[1:], style[1:], noise=ItemRandom(0, 0, ["b"]), **how)  # type: ignore
    assert torch.allclose(sampled[1:, :13], one, atol=1e-5)


@pytest.mark.parametrize(("noise", "square"), [("gaussian", 1.0), ("uniform", 1 / 3)])
def test_noise_of_training_has_its_second_moment(noise: str, square: float) -> None:
    # Data of zeros and a network that says 0: the loss is E[cos²] E[e²], and E[cos²] is a half.
    torch.manual_seed(0)
    model = Restyle(dataclasses.replace(SMALL, noise=noise))
    for p in model.parameters():
        p.data.zero_()
    n = 400
    zeros, frames = torch.zeros(n, 20, 16), torch.full((n,), 20)
    part = model.losses(
        zeros, zeros, frames, torch.zeros(n, 6), ItemRandom(0, 0, [str(i) for i in range(n)])
    ).parts["latent"]
    assert float((part.total / part.count).detach()) == pytest.approx(square / 2, rel=0.08)


def test_noise_belongs_to_the_item_not_to_its_place() -> None:
    torch.manual_seed(0)
    model = Restyle(SMALL).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    text, audio, frames, style = batch()
    both = model.losses(text, audio, frames, style, ItemRandom(0, 5, ["a", "b"]))
    parts = [
        model.losses(
            text[i : i + 1, : frames[i]],
            audio[i : i + 1, : frames[i]],
            frames[i : i + 1],
            style[i : i + 1],
            ItemRandom(0, 5, [name]),
        )
        for i, name in enumerate("ab")
    ]
    total = sum(float(p.parts["latent"].total.detach()) for p in parts)
    assert float(both.parts["latent"].total.detach()) == pytest.approx(total, rel=1e-4)


def test_windows_are_the_same_place_of_both() -> None:
    """With Z_text = Z_audio and no network output, the velocity target tells whether a window was shared."""
    model = Restyle(dataclasses.replace(SMALL, process="bridge", ot_ode=True, normalize=False))
    z = torch.randn(2, 60, 16)
    part = model.losses(z, z.clone(), torch.tensor([60, 41]), torch.zeros(2, 6), ItemRandom(0, 0, ["a", "b"]))
    # x_t = x_0 along a bridge between equal ends: the target is 0, and so is the fresh network's output.
    assert float(part.parts["latent"].total) == pytest.approx(0, abs=1e-6)
    assert int(part.parts["latent"].count) == 2 * 24 * 16


@pytest.mark.trains
@pytest.mark.parametrize("process", ["palette", "bridge"])
@pytest.mark.parametrize("kind", ["convnext1d", pytest.param("unet2d", marks=pytest.mark.slow)])
def test_it_learns_one_pair(process: str, kind: str) -> None:
    """Overfits a pair whose Z_audio depends on the style: guidance then moves the output the right way."""
    torch.manual_seed(0)
    base = SMALL if kind == "convnext1d" else IMAGE
    config = dataclasses.replace(base, process=process, drop=0.2, normalize=False)  # type: ignore[arg-type]
    model = Restyle(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    text = torch.randn(1, 12, 16).expand(2, -1, -1)
    style = torch.zeros(2, 6)
    style[0, 0], style[1, 0] = 1.0, -1.0
    audio = 0.3 * text + style[:, :1, None]
    frames = torch.tensor([12, 12])
    for step in range(220):
        loss = model.losses(text, audio, frames, style, ItemRandom(0, step, ["a", "b"])).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    draws = 16  # of each style: a single one may go astray
    sampled = model.sample(
        text[:1].expand(2 * draws, -1, -1),
        torch.full((2 * draws,), 12),
        style.repeat_interleave(draws, dim=0),
        steps=10,
        noise=ItemRandom(0, 0, [str(i) for i in range(2 * draws)]),
    )
    means = (sampled - 0.3 * text[:1]).view(2, -1).mean(1)
    assert float(means[0]) > 0.25 and float(means[1]) < -0.25  # .56 to 1.07 measured, of 1


@pytest.mark.parametrize("bad", [{"guidance": -1}, {"guidance": float("nan")}, {"steps": 0}, {"steps": 5000}])
def test_numbers_out_of_range(bad: dict[str, float]) -> None:
    text, _, frames, style = batch()
    with pytest.raises(UserError):
        Restyle(SMALL).sample(text, frames, style, noise=ItemRandom(0, 0, ["a", "b"]), **bad)  # type: ignore


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="halved"):
        RestyleConfig(channels=6, network=NetworkConfig(kind="unet2d"))
    with pytest.raises(ValueError, match="drop"):
        RestyleConfig(drop=1.0)
