"""`intona retrieve`: does the text of a phoneme retrieve its audio, and the audio its text?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from intona.cli.aliases import renamed
from intona.cli.device import Device
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.evaluation.retrieval import Recall
    from intona.systems.encoder.retrieve import Retrieved


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """Recall at k of a contrastive run on unseen utterances, in both directions.

    diff: the gallery holds phonemes of other types (is it the right phoneme?). sim: of the same type (is it
    spoken the same way?). sim-spk: of the same type and speaker (the speaker's identity does not help).
    sim-mix: the queries of sim-spk among all speakers. Each with the chance level, the gallery size M, the
    number of queries N and a 95 % interval over speakers (or over utterances if there is one speaker), beside
    two baselines: the mean audio vector of the speaker, and that of the speaker's phoneme.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]
    """A run of prosody.contrastive or prosody.refine, or a shipped encoder."""
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A prepared and aligned corpus with the same mel features."""
    split: Literal["train", "dev", "test"] = "test"
    """Which utterances."""
    gallery: int = 64
    """M, the size of the galleries."""
    seed: int = 0
    """Seed for drawing galleries and speaker vectors."""
    device: Device = "cpu"
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.json")] = None
    """Also write all figures here."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Retrieve, prog="intona retrieve", args=renamed(arguments))
    if request.output is not None and not request.output.resolve().parent.is_dir():
        raise UserError("no such directory", where=request.output.resolve().parent)
    if request.seed < 0:
        raise UserError(f"{request.seed} is less than 0", where="--seed")
    from intona import config as configs
    from intona.devices import device_of
    from intona.systems.encoder.retrieve import retrieve

    result = retrieve(
        request.run,
        request.data,
        split=request.split,
        gallery=request.gallery,
        ks=tuple(k for k in (1, 5, 10) if k < request.gallery) or (1,),
        seed=request.seed,
        device=device_of(request.device),
    )
    if request.output is not None:
        configs.write_json(request.output, dataclasses.asdict(result))
    print("\n".join(table(result)))


def table(result: Retrieved) -> list[str]:
    """A Markdown table of all recalls."""
    count = Counter(result.speaker_of.values())
    lines = [
        f"{result.phonemes} phonemes of {len(result.speaker_of)} utterances, {len(count)} speaker"
        + ("s" if len(count) != 1 else ""),
        "",
        "| recall | found | 95 % interval | chance | "
        + "".join(f"{name} | " for name in result.baselines)
        + "M | N |",
        "| --- " * (6 + len(result.baselines)) + "|",
    ]
    empty = dict.fromkeys(r.condition for r in result.encoder.values() if not r.queries)
    for name, r in result.encoder.items():
        if r.condition in empty:
            continue
        if r.recall is None:
            empty_cells = " |" * len(result.baselines)
            lines.append(f"| {name} | – | {r.why} | |{empty_cells} {r.gallery} | {r.queries} |")
            continue
        interval = "–" if r.recall.low is None else f"{r.recall.low:.3f}–{r.recall.high:.3f}"
        baselines = "".join(f"{_estimate(b.get(name))} | " for b in result.baselines.values())
        lines.append(
            f"| {name} | {r.recall.estimate:.3f} | {interval} | {r.chance:.3f} | {baselines}{r.gallery} "
            f"| {r.queries}{_most(result, r)} |"
        )
    if empty:
        gallery = next(r.gallery for r in result.encoder.values() if r.condition in empty)
        lines += ["", _too_few(result, list(empty), gallery)]
    return lines


def _too_few(result: Retrieved, conditions: list[str], gallery: int) -> str:
    """Why some conditions have no row, and the gallery size for which they have one."""
    largest = {c: result.largest[c] for c in conditions if result.largest.get(c, 1) > 1}
    names = ", ".join(conditions)
    what = f"{names}: none of {result.phonemes} phonemes has {gallery - 1} others to compare with"
    if not largest:
        return f"{what}, nor any number of them"
    size = min(largest.values())
    those = "" if len(largest) == len(conditions) else f", and only for {', '.join(largest)}"
    return f"{what}; --gallery {size} is the largest that works{those}"


def _estimate(recall: Recall | None) -> str:
    return "–" if recall is None or recall.recall is None else f"{recall.recall.estimate:.3f}"


def _most(result: Retrieved, recall: Recall) -> str:
    """ " (98 % of one speaker)" if there are several speakers and one of them has most of the queries."""
    queries: Counter[str] = Counter()
    for utterance, (_, n) in recall.hits.items():
        queries[result.speaker_of[utterance]] += n
    share = max(queries.values()) / max(1, sum(queries.values()))
    several = len(set(result.speaker_of.values())) > 1
    return f" ({share:.0%} of one speaker)" if several and share > 0.5 else ""
