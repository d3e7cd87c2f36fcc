"""`intona retrieve`: does a phoneme's text find its own sound, and its sound the text?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from intona.errors import UserError

if TYPE_CHECKING:
    from intona.evaluation.retrieval import Recall
    from intona.systems.encoder.retrieve import Retrieved


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """Recall at k of a contrastive run on utterances that it never saw, in both directions.

    diff: the gallery holds phonemes of other types (is it the right phoneme?). sim: of the same type (is it
    said the same way?). sim-spk: of the same type and speaker (the speaker alone cannot solve it). sim-mix:
    the same queries among all speakers. Each with chance, gallery size M, N queries and a 95 % interval over
    speakers, or utterances where there is one, beside what the speaker's mean sound finds, and the mean of
    the phoneme as he says it.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]
    """A run of prosody.contrastive or prosody.refine, or a shipped encoder."""
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A prepared and aligned corpus with the same mel features."""
    split: Literal["train", "dev", "test"] = "test"
    """Which utterances."""
    gallery: int = 64
    """M, the size of a gallery."""
    seed: int = 0
    """Draws galleries and speaker vectors."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """Write all figures here too."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Retrieve, prog="intona retrieve", args=arguments)
    if request.out is not None and not request.out.resolve().parent.is_dir():
        raise UserError("no such directory", where=request.out.resolve().parent)
    if request.seed < 0:
        raise UserError(f"--seed {request.seed}: 0 or more")
    from intona import config as configs
    from intona.systems.encoder.retrieve import retrieve

    found = retrieve(
        request.run,
        request.data,
        split=request.split,
        gallery=request.gallery,
        ks=tuple(k for k in (1, 5, 10) if k < request.gallery) or (1,),
        seed=request.seed,
    )
    if request.out is not None:
        configs.write_json(request.out, dataclasses.asdict(found))
    print("\n".join(table(found)))


def table(found: Retrieved) -> list[str]:
    """A Markdown table of all recalls."""
    count = Counter(found.speaker_of.values())
    lines = [
        f"{found.phonemes} phonemes of {len(found.speaker_of)} utterances, {len(count)} speaker"
        + ("s" if len(count) != 1 else ""),
        "",
        "| recall | found | 95 % interval | chance | "
        + "".join(f"{name} | " for name in found.baselines)
        + "M | N |",
        "| --- " * (6 + len(found.baselines)) + "|",
    ]
    empty = dict.fromkeys(r.condition for r in found.encoder.values() if not r.queries)
    for name, r in found.encoder.items():
        if r.condition in empty:
            continue
        if r.recall is None:
            told = " |" * len(found.baselines)
            lines.append(f"| {name} | – | {r.why} | |{told} {r.gallery} | {r.queries} |")
            continue
        interval = "–" if r.recall.low is None else f"{r.recall.low:.3f}–{r.recall.high:.3f}"
        told = "".join(f"{_estimate(b.get(name))} | " for b in found.baselines.values())
        lines.append(
            f"| {name} | {r.recall.estimate:.3f} | {interval} | {r.chance:.3f} | {told}{r.gallery} "
            f"| {r.queries}{_most(found, r)} |"
        )
    if empty:
        gallery = next(r.gallery for r in found.encoder.values() if r.condition in empty)
        lines += ["", _too_few(found, list(empty), gallery)]
    return lines


def _too_few(found: Retrieved, conditions: list[str], gallery: int) -> str:
    """Why some conditions have no row, and the gallery that gives them one."""
    largest = {c: found.largest[c] for c in conditions if found.largest.get(c, 1) > 1}
    what = (
        f"{', '.join(conditions)}: none of {found.phonemes} phonemes has {gallery - 1} others to tell it from"
    )
    if not largest:
        return f"{what}, nor any number of them"
    size = min(largest.values())
    those = "" if len(largest) == len(conditions) else f", and only for {', '.join(largest)}"
    return f"{what}; --gallery {size} is the largest that works{those}"


def _estimate(recall: Recall | None) -> str:
    return "–" if recall is None or recall.recall is None else f"{recall.recall.estimate:.3f}"


def _most(found: Retrieved, recall: Recall) -> str:
    """ " (98 % of one speaker)" where several speakers are asked for and one has most of the queries."""
    asked: Counter[str] = Counter()
    for utterance, (_, n) in recall.hits.items():
        asked[found.speaker_of[utterance]] += n
    share = max(asked.values()) / max(1, sum(asked.values()))
    several = len(set(found.speaker_of.values())) > 1
    return f" ({share:.0%} of one speaker)" if several and share > 0.5 else ""
