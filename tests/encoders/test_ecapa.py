"""ECAPA-TDNN: published sizes, no padding heard, batch normalisation as torch's."""

from __future__ import annotations

import pytest
import torch

from intona.encoders.ecapa import AttentiveStatistics, Ecapa, EcapaConfig, MaskedBatchNorm
from intona.nn.masks import length_mask

TOY = EcapaConfig(channels=32, hidden=48, bottleneck=8, dim=10)


@pytest.mark.parametrize(("channels", "millions"), [(512, 6.19), (1024, 14.65)])
def test_the_published_sizes(channels: int, millions: float) -> None:
    net = Ecapa(EcapaConfig(channels=channels))
    found = sum(p.numel() for p in net.parameters()) / 1e6
    assert found == pytest.approx(millions, rel=0.002)


def _spans() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 12, 80), torch.tensor([12, 7, 3, 1])


def test_a_span_is_the_same_alone_and_padded() -> None:
    mels, lengths = _spans()
    net = Ecapa(TOY).eval()
    together = net(mels, lengths)
    for i, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(net(mels[i : i + 1, :n], lengths[i : i + 1])[0], together[i])
    torch.testing.assert_close(net(mels + 1e3 * ~length_mask(lengths)[..., None], lengths), together)


def test_padding_matters_not_in_training_either() -> None:
    mels, lengths = _spans()
    net = Ecapa(TOY)
    longer = torch.cat([mels, torch.full((4, 9, 80), 7.0)], dim=1)
    torch.testing.assert_close(net(mels, lengths), net(longer, lengths), atol=1e-5, rtol=1e-4)


def test_batch_norm_is_torchs_over_valid_frames() -> None:
    mels, lengths = _spans()
    mask = length_mask(lengths)
    ours, theirs = MaskedBatchNorm(80), torch.nn.BatchNorm1d(80)
    valid = mels[mask]
    torch.testing.assert_close(ours(mels, mask)[mask], theirs(valid), atol=1e-5, rtol=1e-5)
    assert theirs.running_var is not None
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.var, theirs.running_var)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(mels, mask)[mask], theirs(valid), atol=1e-5, rtol=1e-5)


def test_batch_norm_keeps_its_digits_far_from_zero() -> None:
    x = 1e4 + torch.randn(4, 50, 3)
    out = MaskedBatchNorm(3)(x, torch.ones(4, 50, dtype=torch.bool))
    torch.testing.assert_close(out.std((0, 1)), torch.ones(3), atol=0.02, rtol=0)


def test_statistics_without_preference_are_mean_and_deviation() -> None:
    mels, lengths = _spans()
    mask = length_mask(lengths)
    pool = AttentiveStatistics(80, 8)
    torch.nn.init.zeros_(pool.up.weight)  # all frames alike
    out = pool(mels, mask)
    for row, x, n in zip(out, mels, lengths.tolist(), strict=True):
        torch.testing.assert_close(row[:80], x[:n].mean(0))
        torch.testing.assert_close(row[80:], x[:n].var(0, unbiased=False).clamp(min=1e-8).sqrt())


def test_frozen_statistics_are_those_of_evaluation() -> None:
    mels, lengths = _spans()
    net = Ecapa(TOY)
    net(mels, lengths)  # leaves running statistics
    net.freeze_statistics()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    trained = net(mels[:2], lengths[:2])
    torch.testing.assert_close(trained, net.eval()(mels[:2], lengths[:2]))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_gradients_are_finite_for_one_frame() -> None:
    net = Ecapa(TOY)
    net(torch.randn(3, 1, 80), torch.ones(3, dtype=torch.long)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_impossible_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        EcapaConfig(channels=100)
