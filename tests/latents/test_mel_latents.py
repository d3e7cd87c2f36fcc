"""Latent spaces: lengths, padding, statistics, fingerprints, and a VAE that learns real speech."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.audio import MelSpec, log_mel, read_audio
from intona.errors import UserError
from intona.latents.base import LatentSpace, statistics_of
from intona.latents.mel import MelLatents, PatchLatents, PatchLatentsConfig, fit_patches
from intona.latents.mel_vae import MelVAE, MelVAEConfig
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom

SMALL = Path(__file__).parents[1] / "assets" / "festvox-ru-small"
SIZES = MelVAEConfig(dim=12, width=48, depth=1, expand=2)


@pytest.fixture(scope="module")
def speech() -> tuple[torch.Tensor, torch.Tensor]:
    """Four utterances of festvox-ru as one padded batch of mels, and their lengths."""
    files = sorted(SMALL.rglob("*.wav"))[:4]
    spec = MelSpec()
    mels = [torch.from_numpy(log_mel(read_audio(f, sample_rate=spec.sample_rate), spec))[:300] for f in files]
    mels = [m[: 300 - 37 * i] for i, m in enumerate(mels)]
    lengths = torch.tensor([len(m) for m in mels])
    return torch.nn.utils.rnn.pad_sequence(mels, batch_first=True), lengths


def build(seed: int = 0) -> MelVAE:
    torch.manual_seed(seed)
    model = MelVAE(SIZES, MelSpec()).eval()
    for p in model.parameters():  # gates start at zero: then hardly anything would be tested
        torch.nn.init.normal_(p, std=0.1)
    return model


def patches(dim: int = 640, frames: int = 8, corpus: str = "") -> PatchLatents:
    """Fitted to noise about a mel that rises with the bin: enough of it for every component."""
    rng = np.random.default_rng(0)
    mels = [rng.normal(np.linspace(-8, -2, 80), 1, (8 * 50 + 3, 80)) for _ in range(14)]
    config = PatchLatentsConfig(frames=frames, dim=dim, corpus=corpus)
    return fit_patches(mels, config, MelSpec())


@pytest.mark.parametrize(
    "space", [build(), patches(64), MelLatents(MelSpec())], ids=["vae", "patches", "mel"]
)
def test_a_batch_of_different_lengths_equals_one_by_one(
    space: LatentSpace, speech: tuple[torch.Tensor, torch.Tensor]
) -> None:
    mels, lengths = speech
    garbage = torch.where(length_mask(lengths, mels.shape[1])[..., None], mels, torch.tensor(7.0))
    latents, after = space.encode(garbage, lengths)
    decoded = space.decode(latents, after)
    assert latents.shape == (4, space.latents(300), space.dim)
    assert decoded.shape[1] == latents.shape[1] * space.compression
    for i, n in enumerate(lengths.tolist()):
        one, m = space.encode(mels[i : i + 1, :n], lengths[i : i + 1])
        assert int(m) == int(after[i]) == -(-n // space.compression)
        assert torch.allclose(latents[i, : int(m)], one[0], atol=1e-4)
        assert not latents[i, int(m) :].any()
        alone = space.decode(one, m)
        assert torch.allclose(decoded[i, : alone.shape[1]], alone[0], atol=1e-3)


@pytest.mark.parametrize("space", [build(), patches(640)], ids=["vae", "patches"])
def test_the_last_latent_is_filled_with_the_last_frame(
    space: LatentSpace, speech: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """As if the recording had gone on so: filled with the mean mel, a burst would follow the last word."""
    mels, n = speech[0][:1], 165  # 20 latents and 5 frames
    longer = torch.cat([mels[:, :n], mels[:, n - 1 : n].expand(-1, 3, -1)], dim=1)
    latents, after = space.encode(mels[:, :n], torch.tensor([n]))
    expected, _ = space.encode(longer, torch.tensor([168]))
    assert torch.allclose(latents, expected, atol=1e-4)
    if isinstance(space, PatchLatents):
        assert torch.allclose(space.decode(latents, after)[0], longer[0], atol=1e-3)
    else:
        assert isinstance(space, MelVAE)
        pair = ((mels[:, :n], n), (longer, 168))
        losses = [space.losses(m, torch.tensor([k]), ItemRandom(0, 0, ["a"])) for m, k in pair]
        assert int(losses[0].parts["mel"].count) == 168 * 80
        for name, part in losses[0].parts.items():
            assert float(part.total) == pytest.approx(float(losses[1].parts[name].total), rel=1e-4)


def test_normalised_latents_have_unit_variance(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    space, (mels, lengths) = build(), speech
    raw = [c[: int(n)].numpy() for c, n in zip(*space.encode(mels, lengths), strict=True)]
    before = space.decode(*space.encode(mels, lengths))
    space.set_statistics(*statistics_of(raw))
    after = [c[: int(n)].numpy() for c, n in zip(*space.encode(mels, lengths), strict=True)]
    rows = np.concatenate(after)
    assert np.allclose(rows.mean(0), 0, atol=1e-3) and np.allclose(rows.std(0), 1, atol=1e-3)
    # What the decoder is given is the same code as before.
    assert torch.allclose(space.decode(*space.encode(mels, lengths)), before, atol=1e-2)
    with pytest.raises(UserError, match="not finite"):
        statistics_of([np.array([[np.nan]])])
    with pytest.raises(UserError, match="none"):
        statistics_of([])


def test_plain_mels_come_back_exactly(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    space, (mels, lengths) = MelLatents(MelSpec()), speech
    space.set_statistics(torch.full((80,), -5.0), torch.full((80,), 2.0))
    assert torch.allclose(space.decode(*space.encode(mels, lengths)), mels, atol=1e-5)
    assert space.rate == pytest.approx(22050 / 256)
    assert build().rate == pytest.approx(10.77, abs=0.01)


def test_fingerprints_differ_with_weights_and_features_but_not_with_statistics() -> None:
    a, b = build(0), build(0)
    b.set_statistics(torch.ones(12), 2 * torch.ones(12))
    assert a.fingerprint() == b.fingerprint()
    half = build(0)
    half.load_state_dict({k: v.half().float() for k, v in half.state_dict().items()})
    assert half.fingerprint() == a.fingerprint()  # as published
    with pytest.raises(UserError, match=r"made for the latents .*use the latents"):
        a.require(build(1).fingerprint())
    earlier = build(0)
    earlier.version = 1
    assert earlier.fingerprint() != a.fingerprint()  # what filled the last latent was another thing
    other = MelLatents(dataclasses.replace(MelSpec(), f_max=7600.0))
    assert other.fingerprint() != MelLatents(MelSpec()).fingerprint()
    with pytest.raises(UserError, match="40 mels, features with 80"):
        MelVAE(MelVAEConfig(n_mels=40), MelSpec())


def test_divergence_is_the_closed_form(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    model, (mels, lengths) = build(), speech
    part = model.losses(mels, lengths, ItemRandom(0, 0, list("abcd"))).parts["kl"]
    mean, log_var = model.moments(mels, lengths)
    mean, log_var = mean.detach(), log_var.detach()
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    oracle = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    mask = length_mask(model.latent_lengths(lengths), mean.shape[1])
    assert float(part.total.detach()) == pytest.approx(float(oracle[mask].sum()), rel=1e-4)
    assert int(part.count) == int(mask.sum()) * 12


@pytest.mark.trains
def test_it_learns_to_bring_real_speech_back(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    mels, lengths = speech
    model = MelVAE(dataclasses.replace(SIZES, dim=32, width=64), MelSpec())
    rows = mels[length_mask(lengths, mels.shape[1])]
    model.set_mel_statistics(rows.mean(0), rows.std(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    errors = []
    for step in range(50):
        losses = model.losses(mels, lengths, ItemRandom(0, step, list("abcd")))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        errors.append(float(losses.parts["mel"].mean.detach()))
    assert np.mean(errors[-5:]) < 0.7 * errors[0]


@pytest.mark.parametrize(
    "wrong", [{"kernel": 4}, {"dim": 0}, {"depth": 0}, {"expand": 0}, {"halvings": -1}, {"kl": -1.0}]
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MelVAEConfig(**wrong)  # type: ignore[arg-type]


# --- patches ------------------------------------------------------------------------------------------


def test_patches_are_the_principal_components(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Against the singular value decomposition of the patches themselves, about the mean frame."""
    mels, lengths = speech
    items = [m[: int(n)].numpy() for m, n in zip(mels, lengths, strict=True)]
    space = fit_patches(items, PatchLatentsConfig(frames=4, dim=20), MelSpec())
    whole = np.concatenate([m[: len(m) // 4 * 4] for m in items]).astype(np.float64)
    rows = (whole - whole.mean(0)).reshape(-1, 320)
    ours = space.basis.double().numpy()
    _, values, expected = np.linalg.svd(rows, full_matrices=False)
    assert np.allclose(ours @ ours.T, np.eye(20), atol=1e-5)
    assert np.allclose(np.abs((ours * expected[:20]).sum(1)), 1, atol=1e-3)
    assert (ours[np.arange(20), np.abs(ours).argmax(1)] > 0).all()
    # What is lost is the energy of the components left out.
    back = space.decode(*space.encode(mels[:1], lengths[:1]))[0, : int(lengths[0])].numpy()
    assert back.shape == items[0].shape
    lost = sum(
        float(
            np.square(
                space.decode(*space.encode(m[None, :n], torch.tensor([n])))[0].numpy() - m[:n].numpy()
            ).sum()
        )
        for m, n in ((m, int(n) // 4 * 4) for m, n in zip(mels, lengths, strict=True))
    )
    assert lost == pytest.approx(float(np.square(values[20:]).sum()), rel=1e-3)


def test_whole_patches_come_back(speech: tuple[torch.Tensor, torch.Tensor]) -> None:
    mels, lengths = speech
    space = patches()
    space.set_statistics(torch.full((640,), 0.5), torch.full((640,), 2.0))
    back = space.decode(*space.encode(mels, lengths))
    for i, n in enumerate(lengths.tolist()):
        assert torch.allclose(back[i, :n], mels[i, :n], atol=1e-3)


def test_patches_of_another_corpus_or_size_are_others() -> None:
    one = patches(64, corpus="a")
    assert one.fingerprint() == patches(64, corpus="a").fingerprint()
    others = {patches(64, corpus="b").fingerprint(), patches(32, corpus="a").fingerprint()}
    assert len(others | {one.fingerprint()}) == 3
    with pytest.raises(UserError, match="too few for 640"):
        fit_patches([np.zeros((80, 80))], PatchLatentsConfig(dim=640), MelSpec())
    with pytest.raises(ValueError, match="dim"):
        PatchLatentsConfig(dim=641)
    with pytest.raises(ValueError, match="proportion"):
        PatchLatentsConfig(proportion=1.5)
