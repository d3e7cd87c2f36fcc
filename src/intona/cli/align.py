"""`intona align`: how long each phoneme of a prepared corpus lasts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.cli.device import Device
from intona.cluster.base import LOCAL
from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Align:
    """Write how long each phoneme of a prepared corpus lasts (durations.arrow in the same directory).

    A small model learns the durations from the corpus in minutes, in any language. If the corpus has phone
    labels (Festvox lab, MFA TextGrid), the report shows how far the word boundaries are from those of the
    labels, and --labels uses the labels instead.
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A directory written by `intona prepare`."""
    labels: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Use the phone labels of the corpus."""
    minutes: float = 10.0
    """Maximum training time in minutes."""
    device: Device = "cpu"
    seed: int = 0
    """The same seed gives the same alignment, unless the time limit ends the training."""
    cluster: Annotated[str, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = "local"
    """Where the trained model aligns the corpus: this machine, or the Ray cluster that it belongs to. It is
    trained on this machine."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Align, prog="intona align", args=arguments)
    if not 0 < request.minutes < 1e6:
        raise UserError(f"{request.minutes:g} is not a number of minutes", where="--minutes")
    if not 0 <= request.seed < 2**63:
        raise UserError(f"{request.seed} is not between 0 and 2^63 - 1", where="--seed")
    if not request.data.is_dir():
        raise UserError(
            "no such directory", where=request.data, hint="create it with `intona prepare LAYOUT SRC OUT`"
        )
    if request.labels:
        from intona.data.transfer import transfer

        result = transfer(request.data)
        print(f"aligned {result.utterances} utterances with the corpus's labels")
        print(f"matched {result.matched:.1%} of the phonemes, {result.labels_matched:.1%} of the labels")
        if result.silences:
            print(f"{result.silences_matched:.1%} of {result.silences} silences inside utterances are pauses")
        if result.unmatched:
            shown = [f"{label} ({n} of {of})" for label, (n, of) in list(result.unmatched.items())[:8]]
            more = len(result.unmatched) - len(shown)
            print(f"labels without a phoneme: {', '.join(shown)}" + (f" and {more} more" if more else ""))
        if result.skipped:
            print(
                f"skipped {len(result.skipped)}, without labels or too short: {', '.join(result.skipped[:5])}"
            )
        return
    from intona.cluster import open_engine
    from intona.data.align import align
    from intona.devices import device_of

    workers = 0 if request.cluster == LOCAL else None
    with open_engine(request.cluster, workers=workers, files=[request.data]) as engine:
        report = align(
            request.data,
            minutes=request.minutes,
            seed=request.seed,
            device=device_of(request.device),
            progress=_progress,
            engine=engine,
        )
    print(report.table())


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
