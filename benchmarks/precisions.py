"""Runtimes and precisions of a model's graphs: onnxruntime in fp32 and int8, OpenVINO in fp32 and bf16.

    python -m pip install openvino onnx      # in an environment of their own, beside intona
    python benchmarks/precisions.py ru-en hifigan vocoder-draft --frames 430 --threads 1

Each graph runs on the same inputs in all variants, which take turns. Prints seconds per call, how many times
faster than onnxruntime in fp32 (median of the ratios within a round), and the largest error as a share of the
largest value. int8 is onnxruntime's dynamic quantization of the weights of matrix products.
bf16 pays where the processor has it (`lscpu | grep bf16`); variants whose package is missing are left out,
with a note.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from timing import Call, paired_ratio, timing, turns

from intona import models
from intona.errors import UserError

FP32 = "onnxruntime fp32"
TOKENS = 70  # of 430 frames, about
Run = Callable[[], list[np.ndarray]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="shipped models or folders with graphs")
    parser.add_argument("--frames", type=int, default=430, help="of the mel; 430 are 5 s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=10, help="seconds per graph")
    arguments = parser.parse_args()
    print(f"{arguments.frames} frames, {arguments.threads} threads\n")
    print("| graph | variant | s per call | times faster | largest error | n |\n|---|---|---|---|---|---|")
    try:
        for name in arguments.models:
            for graph in sorted(models.find(name).glob("*.onnx")):
                compare(graph, f"{name}/{graph.stem}", arguments)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def compare(graph: Path, label: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one graph."""
    with tempfile.TemporaryDirectory() as folder:
        feed, threads = inputs(graph, arguments.frames), arguments.threads
        variants: dict[str, Callable[[], Run]] = {FP32: lambda: onnx_run(graph, feed, threads)}
        if installed("onnx"):
            variants["onnxruntime int8"] = lambda: onnx_run(quantized(graph, Path(folder)), feed, threads)
        if installed("openvino"):
            variants["OpenVINO f32"] = lambda: openvino_run(graph, feed, threads, "f32")
            variants["OpenVINO bf16"] = lambda: openvino_run(graph, feed, threads, "bf16")
        runs: dict[str, Run] = {}
        for variant, build in variants.items():
            try:
                run = build()
                run()
                runs[variant] = run
            except Exception as e:  # each runtime has errors of its own
                reason = next(x for x in reversed(str(e).splitlines()) if x.strip())
                print(f"| {label} | {variant} | fails: {reason[-80:]} | | | |")
        reference = runs[FP32]()
        times = turns(dict[str, Call](runs), budget=arguments.budget)
        for variant, run in runs.items():
            error = max(
                float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(run(), reference, strict=True)
            )
            row = timing(times[variant])
            ratio = paired_ratio(times, FP32, variant)
            print(
                f"| {label} | {variant} | {row.median:.4f} | {ratio:.2f} | {error:.1e} | {row.n} |",
                flush=True,
            )


def inputs(graph: Path, frames: int) -> dict[str, np.ndarray]:
    """Values of plausible size for every input: noise, ids from 1 to 3, a mel around its mean."""
    session = onnxruntime.InferenceSession(graph)
    rng = np.random.default_rng(0)
    lengths = {"frames": frames, "tokens": TOKENS}
    feed = {}
    for i in session.get_inputs():
        shape = [d if isinstance(d, int) else lengths[str(d)] for d in i.shape]
        if "int64" in i.type:
            low, high = (0, 2) if i.name in ("clause_types", "places", "speaker") else (1, 60)
            feed[i.name] = rng.integers(low, high, shape)
        elif i.name == "mel":
            steady = np.cumsum(rng.normal(0, 0.05, (frames, 80)), 0)
            feed[i.name] = (steady - 6 + np.linspace(2, -2, 80)).astype(np.float32)[None]
        else:
            feed[i.name] = rng.uniform(0.2, 0.8, shape).astype(np.float32)
    return feed


def quantized(graph: Path, folder: Path) -> Path:
    """The graph with weights in int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it recommends a preparation that external weights forbid

    out = folder / graph.name
    operators = ["MatMul", "Gemm"]  # most of the work; its convolutions need a constant bias
    quantize_dynamic(
        graph, out, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=operators
    )
    return out


def onnx_run(graph: Path, feed: dict[str, np.ndarray], threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: [np.asarray(x) for x in session.run(None, feed)]


def openvino_run(graph: Path, feed: dict[str, np.ndarray], threads: int, precision: str) -> Run:
    import openvino  # pyright: ignore[reportMissingImports]

    hints = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(graph, "CPU", hints).create_infer_request()
    return lambda: [np.array(x) for x in request.infer(feed).values()]


def installed(package: str) -> bool:
    if importlib.util.find_spec(package):
        return True
    print(f"note: without {package}, which is not installed", file=sys.stderr)
    return False


if __name__ == "__main__":
    sys.exit(main())
