"""Masks, attention, convolutions, time embedding, losses and per-item randomness against oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intona.nn.attention import RelativeAttention, attend
from intona.nn.conv import Conv
from intona.nn.convnext import ConvNeXtBlock, ConvNeXtStack
from intona.nn.embedding import sinusoid
from intona.nn.losses import Losses, Part
from intona.nn.masks import expand_by_durations, length_mask
from intona.nn.random import ItemRandom, derive_seed
from intona.nn.transformer import EncoderBlock
from intona.nn.unet2d import FrameGroupNorm, Frames, UNet2d


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_length_mask_counts(lengths: list[int]) -> None:
    mask = length_mask(torch.tensor(lengths), 9)
    assert mask.dtype == torch.bool
    assert mask.sum(1).tolist() == lengths
    assert all(not (~row[:-1] & row[1:]).any() for row in mask)  # valid ones come first


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=3))
def test_expansion_is_numpy_repeat(durations: list[list[int]]) -> None:
    d = torch.tensor(durations)
    x = torch.randn(len(durations), 3, 2)
    out = expand_by_durations(x, d, 12)
    for row, states, counts in zip(out, x, durations, strict=True):
        want = np.repeat(states.numpy(), counts, axis=0)
        np.testing.assert_array_equal(row[: len(want)].numpy(), want)
        assert (row[len(want) :] == 0).all()


@pytest.mark.parametrize("kind", ["none", "keys", "added", "causal"])
def test_attention_in_bf16_learns_what_float32_says(kind: str) -> None:
    """The plain products, taken when learning in bf16 on a CPU, beside the definition in float64."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 16, generator=generator).bfloat16() for n in (9, 9, 9))
    mask = {
        "keys": torch.arange(9)[None, :] < torch.tensor([9, 4, 1])[:, None],
        "added": torch.randn(3, 2, 9, 9, generator=generator).bfloat16(),
    }.get(kind)
    wide = mask[:, None, None, :] if kind == "keys" and mask is not None else mask
    weight = torch.randn(3, 2, 9, 16, generator=generator)

    exact = [x.double().requires_grad_() for x in (q, k, v)]
    scores = exact[0] @ exact[1].transpose(-1, -2) / 4
    if kind == "causal":
        scores = scores.masked_fill(torch.ones(9, 9).triu(1).bool(), -torch.inf)
    elif kind == "keys" and wide is not None:
        scores = scores.masked_fill(~wide, -torch.inf)
    elif wide is not None:
        scores = scores + wide.double()
    want = scores.softmax(-1) @ exact[2]
    wanted = torch.autograd.grad(want, exact, weight.double())

    low = [x.clone().requires_grad_() for x in (q, k, v)]
    got = attend(*low, wide, causal=kind == "causal")
    assert got.dtype == torch.bfloat16
    found = torch.autograd.grad(got, low, weight.bfloat16())
    for a, b in zip((got, *found), (want, *wanted), strict=True):
        assert (a.double() - b).abs().max() < 0.02 * b.abs().max()
    with torch.no_grad():  # the fused kernel
        fused = attend(
            q.float(),
            k.float(),
            v.float(),
            wide.float() if kind == "added" and wide is not None else wide,
            causal=kind == "causal",
        )
    torch.testing.assert_close(fused.double(), want, rtol=0, atol=1e-5)


def test_attention_is_shaw_by_loops() -> None:
    torch.manual_seed(0)
    n, dim, heads, window = 7, 8, 2, 2
    layer = RelativeAttention(dim, heads, window)
    x = torch.randn(1, n, dim)
    got = layer(x, torch.ones(1, n, dtype=torch.bool))[0]
    q, k, v = layer.qkv(x[0]).view(n, 3, heads, dim // heads).unbind(1)
    out = torch.zeros(n, heads, dim // heads)
    for h in range(heads):
        for i in range(n):
            scores = []
            for j in range(n):
                key = k[j, h] + (layer.key_offsets[j - i + window] if abs(j - i) <= window else 0)
                scores.append(q[i, h] @ key / math.sqrt(dim // heads))
            p = torch.stack(scores).softmax(0)
            for j in range(n):
                value = v[j, h] + (layer.value_offsets[j - i + window] if abs(j - i) <= window else 0)
                out[i, h] += p[j] * value
    torch.testing.assert_close(got, layer.out(out.reshape(n, dim)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [3, 8])
def test_conv_is_torch_conv1d(channels: int) -> None:
    torch.manual_seed(0)
    layer = Conv(8, 8, 5, groups=8 if channels == 8 else 1)
    x = torch.randn(2, 11, 8)
    mask = length_mask(torch.tensor([11, 6]))
    want = torch.nn.functional.conv1d(
        (x * mask[..., None]).transpose(1, 2), layer.weight, layer.bias, padding=2, groups=layer.groups
    ).transpose(1, 2)
    torch.testing.assert_close(layer(x, mask), want, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="even"):
        Conv(8, 8, 4)


def _same_alone_and_padded(module: torch.nn.Module, *extra: torch.Tensor) -> None:
    module.eval()
    x = torch.randn(2, 12, 16)
    lengths = torch.tensor([12, 7])
    mask = length_mask(lengths)
    both = module(x, *(e.expand(2, -1) for e in extra), mask)
    alone = module(x[1:, :7], *extra, length_mask(torch.tensor([7])))
    torch.testing.assert_close(both[1, :7], alone[0], atol=1e-5, rtol=1e-5)
    changed = x.clone()
    changed[1, 7:] = 1e3  # what stands in the padding must not matter
    torch.testing.assert_close(module(changed, *(e.expand(2, -1) for e in extra), mask)[1, :7], both[1, :7])


def test_padding_does_not_leak() -> None:
    torch.manual_seed(0)
    _same_alone_and_padded(EncoderBlock(16, 32, 2))
    stack = ConvNeXtStack(16, 16, dim=16, depth=2, condition=4)
    for p in stack.parameters():
        torch.nn.init.normal_(p, std=0.2)
    _same_alone_and_padded(stack, torch.randn(1, 4))


def test_convnext_block_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 9, 16)
    block = ConvNeXtBlock(16, 4)
    assert torch.equal(block(x, torch.randn(2, 4), torch.ones(2, 9, dtype=torch.bool)), x)


def test_unet_has_the_paper_size_and_keeps_the_shape() -> None:
    # Grad-TTS reports 7.6 M parameters for the decoder (dim 64, mults 1, 2, 4).
    net = UNet2d(2)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    assert 7.2 < millions < 8.0, millions
    mask = length_mask(torch.tensor([10, 7]))
    out = UNet2d(2, dim=8)(torch.randn(2, 2, 10, 16), torch.rand(2), mask)
    assert out.shape == (2, 10, 16)
    assert (out[1, 7:] == 0).all()


@pytest.mark.parametrize("lengths", [(50, 33, 21), (7, 1, 8), (30, 30, 30)])
def test_the_unet_sees_no_padding(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = UNet2d(2, dim=8)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, t, mask = torch.randn(3, 2, max(lengths), 16), torch.rand(3), length_mask(torch.tensor(lengths))
    both = net(x, t, mask)
    for i, n in enumerate(lengths):
        alone = net(x[i : i + 1, :, :n], t[i : i + 1], mask[i : i + 1, :n])
        torch.testing.assert_close(both[i : i + 1, :n], alone, atol=1e-5, rtol=1e-4)


def test_group_norm_over_real_frames_is_torch_s_over_each_item() -> None:
    torch.manual_seed(0)
    norm, lengths = FrameGroupNorm(4, 8), (6, 2)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 8, 6, 3, requires_grad=True)
    out = norm(x, Frames.of(length_mask(torch.tensor(lengths)), x.dtype))
    weight = torch.randn(2, 8, 6, 3)
    for i, n in enumerate(lengths):
        row = x[i : i + 1, :, :n]
        mine = out[i : i + 1, :, :n]
        want = torch.nn.functional.group_norm(row, 4, norm.weight, norm.bias)
        torch.testing.assert_close(mine, want)
        grads = [
            torch.autograd.grad((y * weight[i, :, :n]).sum(), x, retain_graph=True)[0] for y in (mine, want)
        ]
        torch.testing.assert_close(*grads)
    assert set(norm.state_dict()) == set(torch.nn.GroupNorm(4, 8).state_dict())


def test_sinusoid_values() -> None:
    got = sinusoid(torch.tensor([0.0, 0.5]), 6)
    f = [1.0, 10_000 ** (-0.5), 1e-4]
    want = [[math.sin(1000 * t * x) for x in f] + [math.cos(1000 * t * x) for x in f] for t in (0.0, 0.5)]
    torch.testing.assert_close(got, torch.tensor(want), atol=2e-5, rtol=0)


def test_losses_add_by_counts_not_by_means() -> None:
    one = Losses(parts={"a": Part(total=torch.tensor(6.0), count=torch.tensor(2.0), weight=0.5)})
    assert float(one.total) == 1.5
    assert float(one.with_counts({"a": torch.tensor(6.0)}).total) == 0.5


def test_noise_belongs_to_the_utterance() -> None:
    both = ItemRandom(1, 5, ["x", "y"])
    alone = ItemRandom(1, 5, ["y"])
    assert torch.equal(both.uniform()[1:], alone.uniform())
    a, b = both.normal([4, 3], 2), alone.normal([3], 2)
    assert torch.equal(a[1, :3], b[0])
    assert (a[1, 3:] == 0).all()
    assert not torch.equal(ItemRandom(1, 6, ["y"]).uniform(), ItemRandom(1, 5, ["y"]).uniform())
    assert derive_seed(1, "a") == derive_seed("1", "a") != derive_seed(1, "b")
    assert derive_seed(1, 23) != derive_seed(12, 3)
