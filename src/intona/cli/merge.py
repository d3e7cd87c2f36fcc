"""`intona merge`: several prepared corpora as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.cli.aliases import renamed


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Combine prepared directories into a new one.

    Speakers of the same name become one. Each utterance keeps its split, and alignments are copied.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Two or more directories written by `intona prepare`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """A new directory."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Merge, prog="intona merge", args=renamed(arguments))
    from intona.data.merge import merge

    print(merge(request.sources, request.output).table())
