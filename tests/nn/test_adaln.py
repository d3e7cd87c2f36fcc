"""AdaLN-Zero in the encoder block, and dilation, against loops and formulas."""

from __future__ import annotations

import pytest
import torch

from intona.nn.conv import Conv
from intona.nn.masks import length_mask
from intona.nn.transformer import EncoderBlock

MASK = length_mask(torch.tensor([9, 5]))


def test_an_adaln_block_is_the_identity_at_the_start() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(16, 32, 2, condition=4)
    x = torch.randn(2, 9, 16)
    assert torch.equal(block(x, MASK, torch.randn(2, 4)), x)


def test_an_adaln_block_is_the_published_formula() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(16, 32, 2, condition=4, dropout=0.0)
    assert block.modulation is not None
    torch.nn.init.normal_(block.modulation.weight)
    torch.nn.init.normal_(block.modulation.bias)
    x, c = torch.randn(2, 9, 16), torch.randn(2, 4)

    def norm(v: torch.Tensor) -> torch.Tensor:
        return (v - v.mean(-1, keepdim=True)) / torch.sqrt(v.var(-1, unbiased=False, keepdim=True) + 1e-6)

    six = (c * torch.sigmoid(c)) @ block.modulation.weight.T + block.modulation.bias
    b1, s1, g1, b2, s2, g2 = (six[:, None, 16 * i : 16 * i + 16] for i in range(6))
    y = x + g1 * block.attention(norm(x) * (1 + s1) + b1, MASK)
    y = y + g2 * block.feed_forward(norm(y) * (1 + s2) + b2, MASK)
    torch.testing.assert_close(block(x, MASK, c), y, atol=1e-5, rtol=1e-5)


def test_padding_does_not_leak_and_the_condition_matters() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(16, 32, 2, condition=4).eval()
    assert block.modulation is not None
    torch.nn.init.normal_(block.modulation.weight)
    x, c = torch.randn(2, 9, 16), torch.randn(2, 4)
    both = block(x, MASK, c)
    torch.testing.assert_close(both[1, :5], block(x[1:, :5], MASK[1:, :5], c[1:])[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both[0], block(x, MASK, c + 1)[0])
    with pytest.raises(ValueError, match="conditioning"):
        block(x, MASK)


def test_a_plain_block_has_kept_its_names() -> None:
    names = set(EncoderBlock(16, 32, 2).state_dict())
    assert {"norm1.weight", "norm2.bias", "attention.qkv.weight", "feed_forward.up.weight"} <= names
    assert not any(n.startswith("modulation") for n in names)


def test_dilation_is_torchs() -> None:
    torch.manual_seed(0)
    layer = Conv(8, 8, 3, dilation=4)
    x = torch.randn(2, 9, 8)
    want = torch.nn.functional.conv1d(
        (x * MASK[..., None]).transpose(1, 2), layer.weight, layer.bias, padding=4, dilation=4
    ).transpose(1, 2)
    torch.testing.assert_close(layer(x, MASK), want, atol=1e-6, rtol=1e-5)
    assert layer(x[:, :2]).shape == (2, 2, 8)  # shorter than its reach
