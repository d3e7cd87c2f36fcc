"""UTMOS22's network on tiny random weights under the published names, and what stands there without any."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judges import build_judges
from intona.evaluation.judges.base import Inputs, Unavailable
from intona.evaluation.judges.utmos import PUBLISHED, UtmosJudge
from intona.evaluation.judges.utmos_net import load_state

pytest.importorskip("transformers")
C, W, H, P = 8, 24, 6, 10  # convolutions, transformer, BLSTM, projection
Voice = Callable[..., Audio]


def _state() -> dict[str, Tensor]:
    """The published layout: fairseq's wav2vec 2.0 base names, two layers instead of twelve."""
    g = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"domain_emb": (1, 4), "judge_emb": (1, 4)}
    for i, k in enumerate([10, 3, 3, 3, 3, 2, 2]):
        shapes[f"wav2vec2.feature_extractor.conv_layers.{i}.0.weight"] = (C, C if i else 1, k)
    for name, n in (("feature_extractor.conv_layers.0.2", C), ("layer_norm", C), ("encoder.layer_norm", W)):
        shapes |= {f"wav2vec2.{name}.weight": (n,), f"wav2vec2.{name}.bias": (n,)}
    shapes |= {"wav2vec2.post_extract_proj.weight": (W, C), "wav2vec2.post_extract_proj.bias": (W,)}
    position = "wav2vec2.encoder.pos_conv.0"
    shapes |= {
        f"{position}.weight_g": (1, 1, 8),
        f"{position}.weight_v": (W, 12, 8),
        f"{position}.bias": (W,),
    }
    for i in range(2):
        layer = f"wav2vec2.encoder.layers.{i}"
        for name, (n, m) in {"fc1": (32, W), "fc2": (W, 32)}.items():
            shapes |= {f"{layer}.{name}.weight": (n, m), f"{layer}.{name}.bias": (n,)}
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{layer}.self_attn.{name}.weight": (W, W), f"{layer}.self_attn.{name}.bias": (W,)}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{layer}.{name}.weight": (W,), f"{layer}.{name}.bias": (W,)}
    shapes["wav2vec2.mask_emb"] = (W,)
    for suffix in ("", "_reverse"):
        shapes |= {f"blstm.weight_ih_l0{suffix}": (4 * H, W + 8), f"blstm.weight_hh_l0{suffix}": (4 * H, H)}
        shapes |= {f"blstm.bias_ih_l0{suffix}": (4 * H,), f"blstm.bias_hh_l0{suffix}": (4 * H,)}
    shapes |= {"projection.0.weight": (P, 2 * H), "projection.0.bias": (P,)}
    shapes |= {"projection.2.weight": (1, P), "projection.2.bias": (1,)}
    return {k: 0.3 * torch.randn(shape, generator=g) for k, shape in shapes.items()}


def _by_hand(s: dict[str, Tensor], samples: Tensor) -> float:
    """The published forward pass written out with functionals."""
    w = {k.removeprefix("wav2vec2."): v for k, v in s.items()}
    x = samples[None, None]
    for i in range(7):
        x = F.conv1d(x, w[f"feature_extractor.conv_layers.{i}.0.weight"], stride=2 if i else 5)
        if i == 0:
            norm = "feature_extractor.conv_layers.0.2"
            x = F.group_norm(x, C, w[f"{norm}.weight"], w[f"{norm}.bias"])
        x = F.gelu(x)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = linear(norm(x.transpose(1, 2), "layer_norm"), "post_extract_proj")
    v = w["encoder.pos_conv.0.weight_v"]
    kernel = w["encoder.pos_conv.0.weight_g"] * v / v.pow(2).sum((0, 1), keepdim=True).sqrt()
    bias = w["encoder.pos_conv.0.bias"]
    around = F.conv1d(x.transpose(1, 2), kernel, bias, padding=4, groups=2)[:, :, :-1]
    x = norm(x + F.gelu(around).transpose(1, 2), "encoder.layer_norm")
    for i in range(2):
        layer = f"encoder.layers.{i}"
        q, k, v = (
            linear(x, f"{layer}.self_attn.{n}_proj").unflatten(2, (12, -1)).transpose(1, 2) for n in "qkv"
        )
        mixed = ((q @ k.transpose(2, 3) / (W // 12) ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = norm(x + linear(mixed, f"{layer}.self_attn.out_proj"), f"{layer}.self_attn_layer_norm")
        inner = F.gelu(linear(x, f"{layer}.fc1"))
        x = norm(x + linear(inner, f"{layer}.fc2"), f"{layer}.final_layer_norm")
    extra = torch.cat([s["domain_emb"], s["judge_emb"]], 1)[:, None].expand(1, x.shape[1], -1)
    blstm = torch.nn.LSTM(W + 8, H, batch_first=True, bidirectional=True)
    blstm.load_state_dict({k.removeprefix("blstm."): v for k, v in s.items() if k.startswith("blstm.")})
    out = F.relu(linear(blstm(torch.cat([x, extra], 2))[0], "projection.0"))
    return float(linear(out, "projection.2").mean() * 2 + 3)


@pytest.mark.parametrize("name", ["model.safetensors", PUBLISHED])
def test_published_layout(tmp_path: Path, voice: Voice, name: str) -> None:
    from safetensors.torch import save_file

    state = _state()
    save_file(state, tmp_path / name) if name.endswith("safetensors") else torch.save(state, tmp_path / name)
    audio = voice(0.7)
    with torch.inference_mode():
        expected = _by_hand(state, torch.from_numpy(audio.samples))
    judge = UtmosJudge(str(tmp_path))
    assert judge.predict(audio) == pytest.approx(expected, abs=1e-4)
    assert judge.predict(audio.resample(22_050)) == pytest.approx(expected, abs=0.1)
    assert np.isfinite(judge.predict(Audio(audio.samples[:900], 16_000)))
    assert len(judge.describe()["model_sha256"]) == 64


def test_other_weights_are_refused(tmp_path: Path, voice: Voice) -> None:
    from safetensors.torch import save_file

    state = _state()
    del state["wav2vec2.encoder.layers.1.fc1.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not the weights of UTMOS22"):
        UtmosJudge(str(tmp_path)).predict(voice(0.5))
    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(UserError, match="cannot be read as weights"):
        UtmosJudge(str(tmp_path)).predict(voice(0.5))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds neither"):
        UtmosJudge(str(tmp_path))
    with pytest.raises(UserError, match="no such directory"):
        UtmosJudge("./nowhere")


def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / PUBLISHED
    for other in ([1, 2], {"domain_emb": 1}):
        torch.save(other, path)
        with pytest.raises(UserError, match="no table of tensors"):
            load_state(path)


def test_a_file_that_is_far_larger_inside_is_refused(tmp_path: Path) -> None:
    torch.save({"domain_emb": torch.zeros(1 << 20)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / PUBLISHED, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert set(load_state(tmp_path / "plain.pt")) == {"domain_emb"}
    with pytest.raises(UserError, match=r"\d+ bytes are packed in \d+"):
        load_state(tmp_path / PUBLISHED)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    import os

    class Runs:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"domain_emb": Runs()}, tmp_path / PUBLISHED)
    with pytest.raises(UserError, match="cannot be read as weights"):
        UtmosJudge(str(tmp_path)).predict(Audio(np.ones(8_000, np.float32), 16_000))
    assert not (tmp_path / "ran").exists()


def test_without_weights_the_column_says_so() -> None:
    (judge,) = build_judges(Inputs(), ("utmos",))
    assert isinstance(judge, Unavailable)
    assert (judge.reason, judge.measures[0].title, judge.measures[0].failed) == (
        "no weights given",
        "UTMOS22",
        1.0,
    )
