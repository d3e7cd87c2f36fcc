"""`intona export`: a voice or a vocoder as ONNX graphs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona import extras


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a voice or a vocoder as a folder that speaks without torch, by onnxruntime.

    The folder is that of `intona publish`, with graphs of some kilobytes that read the weights of its
    model.safetensors; `intona say --model DIR` and `--vocoder DIR` take it. The graphs are compared with
    torch, and the card records the largest difference. DIR may be the model itself.
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|NAME")]
    """A run of prosody.gradtts or of a vocoder, one of its checkpoints, or a shipped model."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """A new folder, or a published model to replace."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Export, prog="intona export", args=arguments)
    extras.require("torch", "exporting")
    from intona.export.model import export

    report = export(request.model, request.output)
    size = sum(p.stat().st_size for p in request.output.iterdir()) / 1e6
    difference = ", ".join(f"{k} {v:g}" for k, v in report["largest_difference"].items())
    print(f"{request.output}: {size:.1f} MB, opset {report['opset']}; against torch: {difference}")
