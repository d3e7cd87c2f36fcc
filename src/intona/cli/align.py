"""`intona align`: how long each phoneme of a prepared corpus lasts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Align:
    """Train a small alignment model on a prepared corpus and write how long each phoneme lasts.

    The durations go to durations.jsonl in the same directory.
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A directory made by `intona prepare`."""
    minutes: float | None = None
    """Train for so many minutes at most."""
    seed: int = 0
    """The same seed gives the same alignment."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Align, prog="intona align", args=arguments)
    if request.minutes is not None and not 0 < request.minutes < 1e6:
        raise UserError(f"{request.minutes:g} is not a number of minutes", where="--minutes")
    _prepared(request.data)
    from intona.data import align

    given = {} if request.minutes is None else {"minutes": request.minutes}
    report = align.align(request.data, seed=request.seed, **given)
    print(report.table(), file=sys.stderr)


def _prepared(path: Path) -> None:
    if not path.is_dir():
        raise UserError("no such directory", where=path, mend="make it with `intona prepare LAYOUT SRC OUT`")
    if not (path / "manifest.jsonl").is_file():
        raise UserError(
            "not a prepared directory", where=path, mend="make it with `intona prepare LAYOUT SRC OUT`"
        )
