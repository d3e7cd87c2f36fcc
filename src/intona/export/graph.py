"""One torch module as an ONNX graph whose weights stay in the model's safetensors file.

The graph is kilobytes: its large constants are ONNX "external data", by offset, in model.safetensors beside
it. Both backends so read the same weights, stored once, and any ONNX runtime opens the folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from intona import extras

OPSET = 20  # the first with Gelu
WEIGHTS = "model.safetensors"
LEAST = 256  # elements of a constant that stays in the safetensors file; smaller ones go into the graph
_TYPES = {"F16": "FLOAT16", "F32": "FLOAT"}


def require_exporter() -> None:
    """Raise a UserError if a package that exporting needs is not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        extras.require(package, "exporting")


def export_graph(
    module: torch.nn.Module,
    path: Path,
    *,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    lengths: Mapping[str, Mapping[int, str]],
) -> None:
    """Write `path` for a module; the file of the weights must be beside it already.

    Args:
        module: its parameters must be named as in the file of the weights.
        inputs: examples of the arguments of `forward`, in order.
        outputs: names of what it returns.
        lengths: argument -> dimension -> name of a length that varies; equal names are equal lengths.
    """
    import onnx
    import onnx_ir
    import onnxscript.optimizer

    traced = io.BytesIO()
    with torch.inference_mode(), _quiet():
        # The exporter by tracing: it takes a second where the newer one, of torch.export, takes a minute.
        torch.onnx.export(
            module.eval(),
            tuple(x.clone() for x in inputs.values()),  # one tensor as two inputs would be one input
            traced,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=lengths,
            opset_version=OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
        model = onnx_ir.from_proto(onnx.load_from_string(traced.getvalue()))
        _move_weights(model, path.with_name(WEIGHTS))
        onnxscript.optimizer.optimize(model)
    model.producer_version = ""
    for node in model.graph:
        node.metadata_props.clear()  # what the exporter notes there has paths of this machine
        node.name = node.doc_string = ""
    onnx_ir.save(model, path)


def _move_weights(model: Any, weights: Path) -> None:
    """Replace the large constants of a graph by tensors of the safetensors file, widened to float32."""
    import onnx_ir as ir

    places = offsets(weights)
    graph = model.graph
    first = graph[0]
    for name, value in list(graph.initializers.items()):
        if name not in places or value.const_value.size < LEAST:
            continue
        dtype, shape, start, end = places[name]
        if tuple(value.const_value.shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(value.const_value.shape)}, the file {shape}")
        stored = ir.Value(
            name=f"{name}:stored",
            type=ir.TensorType(ir.DataType[_TYPES[dtype]]),
            shape=ir.Shape(shape),
            const_value=ir.ExternalTensor(
                WEIGHTS,
                start,
                end - start,
                ir.DataType[_TYPES[dtype]],
                shape=ir.Shape(shape),
                name=f"{name}:stored",
                base_dir=weights.parent,
            ),
        )
        graph.initializers.pop(name)
        graph.initializers[stored.name] = stored
        cast = ir.Node("", "Cast", [stored], [ir.AttrInt64("to", ir.DataType.FLOAT)], num_outputs=1)
        wide = cast.outputs[0]
        wide.name, wide.type, wide.shape = name, value.type, value.shape
        first.prepend(cast)
        ir.convenience.replace_all_uses_with(value, wide)


def offsets(weights: Path) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Tensors of a safetensors file: name -> type, shape, and where its bytes begin and end in the file.

    (An 8-byte length, a JSON header, then the tensors; https://github.com/huggingface/safetensors.)
    """
    with open(weights, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    return {
        name: (e["dtype"], tuple(e["shape"]), *(8 + size + at for at in e["data_offsets"]))
        for name, e in header.items()
        if name != "__metadata__"
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of itself on stdout, in its log and in warnings."""
    loggers = [logging.getLogger(n) for n in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
