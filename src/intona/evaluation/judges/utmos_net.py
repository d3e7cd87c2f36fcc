"""The network of UTMOS22's strong learner around `transformers.Wav2Vec2Model`; `utmos.py` is its judge."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intona.errors import UserError

HINT = "give the published utmos22_strong_step7459_v1.pt"
CONVOLUTIONS, HEADS = 7, 12

#: Names of the published state dict -> names of `transformers.Wav2Vec2Model`.
_RENAMED = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
    (r"^mask_emb$", "masked_spec_embed"),
)


class Utmos(nn.Module):
    """(B, S) at 16 kHz -> (B,) in about 1..5; B utterances of one length.

    Frames of wav2vec 2.0, each with the same domain and judge vector, through a BLSTM and two linear layers;
    mean over frames, 2 x + 3.
    """

    def __init__(self, wav2vec2: Any, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.wav2vec2 = wav2vec2
        self.domain_emb = nn.Parameter(state["domain_emb"], requires_grad=False)
        self.judge_emb = nn.Parameter(state["judge_emb"], requires_grad=False)
        hidden = state["blstm.weight_hh_l0"].shape[1]
        self.blstm = nn.LSTM(
            state["blstm.weight_ih_l0"].shape[1], hidden, batch_first=True, bidirectional=True
        )
        inner = state["projection.0.weight"].shape[0]
        self.projection = nn.Sequential(nn.Linear(2 * hidden, inner), nn.ReLU(), nn.Linear(inner, 1))
        for name in ("blstm", "projection"):
            weights = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
            getattr(self, name).load_state_dict(weights)

    def forward(self, samples: Tensor) -> Tensor:
        units = self.wav2vec2(samples).last_hidden_state
        extra = torch.cat([self.domain_emb, self.judge_emb], dim=1)
        frames = torch.cat([units, extra[:, None].expand(*units.shape[:2], -1)], dim=2)
        return self.projection(self.blstm(frames)[0]).mean(dim=1)[:, 0] * 2 + 3


def load_state(path: Path) -> dict[str, Tensor]:
    """A state dict, from safetensors or from torch's format without running code from the file.

    Raises:
        UserError: the file is neither, or would expand to fill the memory.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        _refuse_packed(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as e:  # including errors of pickle, which is never imported here
        raise UserError(f"cannot be read as weights ({type(e).__name__})", where=path) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError("not the weights of UTMOS22 strong (no table of tensors)", where=path, hint=HINT)
    return state


def _refuse_packed(path: Path) -> None:
    """Refuse a zip bomb: torch writes its zip files without compression."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as f:
        inside = sum(member.file_size for member in f.infolist())
    if inside > 4 * path.stat().st_size:
        raise UserError(f"{inside} bytes are packed in {path.stat().st_size}", where=path, hint=HINT)


def build(state: dict[str, Tensor], where: Path) -> nn.Module:
    """The network that a state dict describes; all sizes are read from it.

    Raises:
        UserError: a weight is missing or has another shape.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    inside = {k.removeprefix("wav2vec2."): v for k, v in state.items() if k.startswith("wav2vec2.")}
    try:
        kernels = [inside[f"feature_extractor.conv_layers.{i}.0.weight"] for i in range(CONVOLUTIONS)]
        layers = {k.split(".")[2] for k in inside if k.startswith("encoder.layers.")}
        width = inside["post_extract_proj.weight"].shape[0]
        position = inside["encoder.pos_conv.0.weight_v"]
        config = Wav2Vec2Config(
            hidden_size=width,
            num_hidden_layers=len(layers),
            num_attention_heads=HEADS,
            intermediate_size=inside["encoder.layers.0.fc1.weight"].shape[0],
            conv_dim=[k.shape[0] for k in kernels],
            conv_kernel=[k.shape[2] for k in kernels],
            conv_stride=[5] + [2] * (CONVOLUTIONS - 1),
            num_conv_pos_embeddings=position.shape[2],
            num_conv_pos_embedding_groups=width // position.shape[1],
            feat_extract_norm="group",
            do_stable_layer_norm=False,
        )
        network = Utmos(Wav2Vec2Model(config), state)
        renamed = {}
        for key, value in inside.items():
            for pattern, new in _RENAMED:
                key = re.sub(pattern, new, key)
            renamed[key] = value
        missing, unexpected = network.wav2vec2.load_state_dict(renamed, strict=False)
        if set(missing) - {"masked_spec_embed"} or unexpected:
            raise KeyError((sorted(missing) + sorted(unexpected))[0])
    except (KeyError, ValueError, IndexError, RuntimeError) as e:
        reason = " ".join(str(e).split())[:160]
        raise UserError(f"not the weights of UTMOS22 strong ({reason})", where=where, hint=HINT) from None
    return network.eval()
