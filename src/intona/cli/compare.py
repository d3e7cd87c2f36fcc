"""`intona compare`: the systems of several reports, paired on the same utterances."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare the systems of finished reports with one of them, paired on the same ids.

    Reports with different manifests, recognizers, normalizers, resamplers or settings of judges are refused.
    """

    reports: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="REPORT")]
    """Two or more report directories of `intona evaluate`."""
    against: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The system that the others are compared with; by default the first that is not a control."""
    measures: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Only these measures, such as wer,f0_rmse."""
    systems: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Only these systems."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of Markdown."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Compare, prog="intona compare", args=arguments)
    from intona.cli.evaluate import names
    from intona.evaluation.compare import compare, comparison_to_json, comparison_to_markdown

    result = compare(
        request.reports,
        against=request.against,
        measures=names(request.measures),
        systems=names(request.systems),
    )
    if request.json:
        print(json.dumps(comparison_to_json(result), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        print(comparison_to_markdown(result), end="")
