"""Frozen voices for the restyle system: tiny, random, in the published format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

LETTERS = " абвгдежзийклмнопрстуфхцчшщъыьэюяё"


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny Russian VITS in the published format, at 22.05 kHz."""
    return _vits(tmp_path_factory.mktemp("voice") / "vits")


@pytest.fixture(scope="session")
def two_voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of two speakers."""
    return _vits(tmp_path_factory.mktemp("two") / "vits", num_speakers=2, speaker_embedding_size=8)


def _vits(out: Path, **more: int) -> Path:
    pytest.importorskip("transformers", reason="a VITS voice needs transformers")
    from transformers import VitsConfig, VitsModel

    torch.manual_seed(5)
    config = VitsConfig(
        vocab_size=len(LETTERS) + 1,
        hidden_size=16,
        num_hidden_layers=1,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=513,
        upsample_initial_channel=16,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        posterior_encoder_num_wavenet_layers=1,
        prior_encoder_num_wavenet_layers=1,
        sampling_rate=22050,
        **more,
    )
    model = VitsModel(config)
    with torch.no_grad():  # random weights drawl: a third of the frames for each symbol
        model.duration_predictor.flows[0].translate[0] += 1.2
    model.save_pretrained(out)
    (out / "vocab.json").write_text(json.dumps({c: i + 1 for i, c in enumerate(LETTERS)} | {"<pad>": 0}))
    tokens = {"phonemize": False, "add_blank": True, "normalize": True, "language": "rus"}
    (out / "tokenizer_config.json").write_text(json.dumps(tokens))
    return out


@pytest.fixture(scope="session")
def mute(voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same voice without its posterior encoder."""
    from safetensors.torch import load_file, save_file

    out = tmp_path_factory.mktemp("mute") / "vits"
    shutil.copytree(voice, out)
    state = load_file(out / "model.safetensors")
    kept = {k: v for k, v in state.items() if not k.startswith("posterior_encoder")}
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
    return out
