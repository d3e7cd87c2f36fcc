"""The shipped HiFi-GAN: it speaks what it is given, in chunks as at once, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError
from intona.vocoder import HifiGan, HifiGanConfig, find, load_vocoder
from intona.vocoder.hifigan import Generator

TINY = HifiGanConfig(channels=32)


@pytest.fixture(scope="module")
def vocoder() -> HifiGan:
    found = load_vocoder("hifigan", bf16=False)
    assert isinstance(found, HifiGan)
    return found


@pytest.fixture
def tiny() -> HifiGan:
    torch.manual_seed(0)
    return HifiGan(Generator(TINY), TINY, MelSpec(), bf16=False)


def test_copy_synthesis_keeps_the_mel(vocoder: HifiGan, mel: np.ndarray) -> None:
    audio = vocoder.speak(mel, MelSpec())
    assert audio.sample_rate == 22050 and len(audio) == 256 * len(mel) and audio.peak <= 1
    again = log_mel(audio, MelSpec())
    heard = mel > np.log(1e-3)  # the floor of the room counts for little
    assert np.abs(again - mel)[heard].mean() < 0.35  # 0.28 measured; Griffin-Lim with 32 rounds has 0.11
    assert np.corrcoef(again.ravel(), mel.ravel())[0, 1] > 0.97


def test_half_precision_file_is_the_published_size(vocoder: HifiGan) -> None:
    path = find("hifigan") / "model.safetensors"
    tensors = load_file(path)
    assert path.stat().st_size < 28e6 and {t.dtype for t in tensors.values()} == {torch.float16}
    assert sum(t.numel() for t in tensors.values()) == 13_926_017
    assert not [k for k in tensors if "weight_g" in k or "weight_v" in k]


@pytest.mark.parametrize("chunk", [7, 29, 47, 48])
def test_chunks_are_the_whole(tiny: HifiGan, chunk: int) -> None:
    mel = torch.randn(2, 48, 80, generator=torch.Generator().manual_seed(1))
    whole = tiny.decode(mel)
    chunked = HifiGan(tiny.generator, TINY, tiny.spec, bf16=False, chunk_frames=chunk).decode(mel)
    assert whole.shape == (2, 48 * 256) and whole.std() > 1e-4
    assert (whole - chunked).abs().max() < 1e-6


def test_trained_chunks_are_the_whole(vocoder: HifiGan, mel: np.ndarray) -> None:
    some = torch.from_numpy(mel)[None, :80]
    parts = HifiGan(vocoder.generator, vocoder.config, vocoder.spec, bf16=False, chunk_frames=33)
    assert (vocoder.decode(some) - parts.decode(some)).abs().max() < 2e-4


def test_reach_holds_and_is_tight() -> None:
    """With every weight positive and no cancellation, a change of one frame is felt as far as it can be."""
    config = dataclasses.replace(TINY, channels=16)
    generator = Generator(config).double()
    for p in generator.parameters():
        p.data.fill_(1e-3)
    mel = torch.zeros(1, 80, 61, dtype=torch.float64, requires_grad=True)
    x = generator.conv_pre(mel)
    n = len(config.block_kernels)
    for i, up in enumerate(generator.ups):
        x = up(x)
        x = sum(block(x) for block in generator.resblocks[i * n : (i + 1) * n])
    wave = generator.conv_post(x)[0, 0]
    felt = []
    for sample in (30 * 256, 30 * 256 + 255):
        (gradient,) = torch.autograd.grad(wave[sample], mel, retain_graph=True)
        frames = gradient[0].abs().sum(0).nonzero()[:, 0]
        felt += [30 - int(frames.min()), int(frames.max()) - 30]
    assert max(felt) <= config.reach <= max(felt) + 2


def test_bf16_is_close_to_float32(vocoder: HifiGan, mel: np.ndarray) -> None:
    some = torch.from_numpy(mel)[None, 70:76]  # few: without bfloat16 in the processor it is very slow
    low = HifiGan(vocoder.generator, vocoder.config, vocoder.spec, bf16=True).decode(some)
    high = vocoder.decode(some)
    assert low.dtype == torch.float32 and (low - high).norm() / high.norm() < 0.08


def test_no_frames_no_samples(tiny: HifiGan) -> None:
    assert tiny.decode(torch.zeros(2, 0, 80)).shape == (2, 0)


def test_refuses_what_is_no_mel(tiny: HifiGan) -> None:
    for bad in (torch.zeros(10, 80), torch.zeros(1, 80, 10)):
        with pytest.raises(UserError, match="shape"):
            tiny.decode(bad)
    with pytest.raises(UserError, match="NaN"):
        tiny.decode(torch.full((1, 5, 80), torch.nan))
    other = dataclasses.replace(MelSpec(), f_max=11025.0)
    with pytest.raises(UserError, match=r"f_max: 8000.0 -> 11025.0"):
        tiny.speak(np.zeros((5, 80), np.float32), other)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find("hifigan"), tmp_path / "v"))


def spoil(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("file", "fields", "reason"),
    [
        ("features.json", {"f_max": 11025.0}, "fingerprint .* trained on f0ac3443515fd9d8"),
        ("features.json", {"f_mox": 1}, 'unknown key "f_mox"'),
        ("config.json", {"channels": 256}, "do not fit config.json"),
        ("config.json", {"kind": "wavenet"}, 'unknown vocoder "wavenet"'),
        ("config.json", {"features": "", "n_mels": 100}, "weights for 100 mels"),
        ("config.json", {"block_kernels": [2]}, "odd"),
    ],
)
def test_refuses_a_spoilt_directory(copy: Path, file: str, fields: dict, reason: str) -> None:
    spoil(copy / file, **fields)
    with pytest.raises(UserError, match=reason):
        load_vocoder(copy)


def test_refuses_truncated_missing_and_pickled_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:1_000_000], b"", b"\x80\x04\x95garbage"):
        weights.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            load_vocoder(copy)
    weights.unlink()
    with pytest.raises(UserError, match="missing"):
        load_vocoder(copy)


def test_found_by_name_path_and_environment(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(copy) == copy == find(str(copy))
    monkeypatch.setenv("INTONA_MODELS", f"/nowhere:{copy.parent}")
    assert find("v") == copy
    with pytest.raises(UserError, match=r'no shipped vocoder .*"hifigun"; did you mean "hifigan"'):
        load_vocoder("hifigun")
    with pytest.raises(UserError, match=r"no such model directory|no vocoder directory"):
        load_vocoder("../etc")


def test_conversion_folds_the_weight_norm(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("convert_hifigan", root / "scripts/convert_hifigan.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(4, 3, 5))
    with torch.no_grad():
        conv.parametrizations.weight.original0.mul_(1.7)
    old = {
        "c.weight_g": conv.parametrizations.weight.original0.detach(),
        "c.weight_v": conv.parametrizations.weight.original1.detach(),
        "c.bias": conv.bias.detach(),
    }
    folded = script.fold(old)
    assert set(folded) == {"c.weight", "c.bias"} and torch.allclose(
        folded["c.weight"], conv.weight, atol=1e-6
    )


def test_conversion_refuses_another_file(root: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("convert_hifigan", root / "scripts/convert_hifigan.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (tmp_path / "x.pth").write_bytes(b"something else")
    with pytest.raises(UserError, match="SHA-256"):
        script.convert(tmp_path / "x.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_silence_in_silence_out(vocoder: HifiGan) -> None:
    quiet = torch.from_numpy(log_mel(Audio(np.zeros(256 * 40), 22050), MelSpec()))[None]
    assert vocoder.decode(quiet).abs().max() < 0.02
