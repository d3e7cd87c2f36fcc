"""`intona prepare`: from a published corpus to a directory that training reads."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from intona import registry
from intona.cluster import open_engine
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Turn a corpus into a prepared directory: cleaned audio, mels, phonemes, splits, a report.

    The same command continues an interrupted preparation. A table of what was kept and dropped, and why, is
    printed and saved in report.json; rejected.jsonl lists each dropped recording.
    """

    layout: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="LAYOUT", help=f"How the corpus is laid out: {', '.join(registry.names('layouts'))}."
        ),
    ]
    src: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """The corpus as published."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """A new or empty directory."""
    cluster: Annotated[str, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = "local"
    """Where recordings are cleaned: this machine, or the Ray cluster that it belongs to. The result is the
    same."""
    config: Annotated[PrepareConfig, tyro.conf.arg(name="")] = field(default_factory=PrepareConfig)


def main(arguments: list[str]) -> None:
    request = tyro.cli(Prepare, prog="intona prepare", args=arguments)
    config = request.config
    files = [request.src, request.out, config.transcript, config.labels]
    with open_engine(request.cluster, workers=config.workers, files=files) as engine:
        report = prepare(request.layout, request.src, request.out, config, engine=engine)
    print(report.table())
    if Prepared.open(request.out).alignment:
        hint = f"intona train prosody.gradtts --data {request.out} --output runs/NAME"
    else:
        hint = f"intona align {request.out}{' --labels' if report.aligned else ''}"
    print(f"next: {hint}", file=sys.stderr)
