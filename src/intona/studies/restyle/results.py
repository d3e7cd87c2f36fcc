"""What stands on disk of a restyle study, and the figures of its page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.finished import Finished
from intona.evaluation.stats import choose_clusters
from intona.studies.engine import claims, speech
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import Plan
from intona.studies.restyle import conditions as trial
from intona.studies.restyle import gate, metrics, verdict
from intona.studies.restyle.conditions import Conditions
from intona.studies.restyle.plan import ARMS, CONTROL, GATE
from intona.studies.restyle.verdict import STEERED, Verdict, at_guidance

Value = Mapping[str, Any]
FOUND = "found.json"
MEASURES = ("wer", "cer", "distillmos")
COPY = "copy synthesis"


@dataclass(frozen=True, kw_only=True)
class Results:
    """What stands on disk. `said`: (row name such as "palette.g3", seed) -> found.json of its speech."""

    plan: Plan
    out: Path
    said: dict[tuple[str, int], Mapping[str, Any]]
    swaps: dict[tuple[str, int], Mapping[str, Any]]
    gate: Mapping[str, Any] | None
    probes: Mapping[str, Any] | None
    people: Mapping[str, Any]
    conditions: Conditions | None
    speech: Finished | None
    known: dict[tuple[str, str, str], Value | None] = field(default_factory=dict)  # resampled once

    def arms(self) -> list[tuple[str, int]]:
        """(arm, seed) of which at least one scale was planned."""
        names = (j for j in self.plan.jobs if j.name.startswith("said/") and j.seed is not None)
        return list(dict.fromkeys((j.arm, int(j.seed or 0)) for j in names))

    def scales(self) -> tuple[float, ...]:
        """Guidance scales of the plan, ascending."""
        given = (j.arguments.get("guidance") for j in self.plan.jobs if j.name.startswith("said/"))
        return tuple(sorted({float(g) for g in given if g is not None}))

    def value(self, row: str, seed: int, measure: str) -> Value | None:
        """Interval of a measure of the evaluation, of "shift", "shift pitch", or a figure of the speech."""
        if measure in MEASURES:
            return speech.value(self.speech, row, seed, measure)
        found = self.said.get((row, seed))
        if found is None or self.conditions is None:
            return None
        asked = self.conditions
        if ends := found.get("described"):  # what its words asked for, not what the references would
            asked = metrics.described(asked, ends)
        if measure.startswith("shift"):
            name = measure.removeprefix("shift").strip()
            value = metrics.shift(found["rows"], asked, (name,) if name else STEERED)
        elif measure == "cosine":
            value = metrics.direction(found["rows"], asked)
        elif measure == "own cosine":
            value = metrics.own_direction(found["rows"], asked)
        else:
            value = metrics.mean_of(found["rows"], asked, measure)
        return None if value is None else dataclasses.asdict(value)

    def lost(self, row: str, seed: int, measure: str = "wer") -> Value | None:
        """Paired difference from decode(Z_text), as an interval."""
        return self.paired(f"{row}@{seed}", f"{CONTROL}@0", measure)

    def beyond_copy(self, row: str, seed: int, measure: str = "wer") -> Value | None:
        """Paired difference from copy synthesis, which models are taught to give."""
        return self.paired(f"{row}@{seed}", COPY, measure)

    def paired(self, system: str, other: str, measure: str) -> Value | None:
        """Over the sentences of both rows of the evaluation; None where it does not stand."""
        key = (system, other, measure)
        if key not in self.known:
            self.known[key] = self._paired(*key)
        return self.known[key]

    def _paired(self, system: str, other: str, measure: str) -> Value | None:
        finished = self.speech
        if finished is None or measure in finished.table["unavailable"]:
            return None
        sides = [claims.sums(finished, name, measure) for name in (system, other)]
        if not all(sides):
            return None
        ids = list(finished.rows)
        clusters = dict(zip(ids, choose_clusters([finished.rows[i].speaker for i in ids]), strict=True))
        test = claims.compare({0: sides[0]}, {0: sides[1]}, clusters)
        return None if test is None else {**vars(test.paired), "estimate": test.paired.difference}

    def copy_lost(self) -> Value | None:
        """WER of copy synthesis minus that of decode(Z_text): the evaluation's or, before it, the gate's."""
        found = self.paired(COPY, f"{CONTROL}@0", "wer")
        return found if found is not None or self.gate is None else self.gate["lost"]

    def ceiling(self) -> Value | None:
        """Share of the asked shift that the references show once they went through the posterior."""
        return None if self.gate is None else self.gate["ceiling"]["steered"]

    def verdict(self, arm: str, seed: int, guidance: float) -> Verdict:
        """Of an arm at a scale; one without a posterior behind it is bounded by none."""
        row = at_guidance(arm, guidance)
        of_words, of_style = (
            verdict.words(self.lost(row, seed)),
            verdict.style(self.value(row, seed, "shift")),
        )
        if ARMS[ARMS[arm].of or arm].own:
            return verdict.verdict(of_words, of_style)
        copy, ceiling = verdict.words(self.copy_lost()), verdict.style(self.ceiling())
        return verdict.verdict(of_words, of_style, copy=copy, ceiling=ceiling)


def read(plan: Plan, out: Path) -> Results:
    said, swaps, probed, gated, people, conditions = {}, {}, None, None, {}, None
    for job in plan.jobs:
        if not is_done(out, plan, job.name):
            continue
        kind, _, rest = job.name.partition("/")
        own = folder(out, job.name)
        if kind in ("said", "swap"):
            name, seed = rest.rsplit("/", 1)
            (said if kind == "said" else swaps)[name, int(seed)] = _json(own / FOUND)
        elif kind == "probes":
            probed = _json(own / FOUND)
        elif kind == GATE:
            gated = _json(own / gate.FOUND)
        elif kind == "people":
            people = _json(own / "people.json")
        elif kind == "test":
            conditions = trial.read(own)
    return Results(
        plan=plan,
        out=out,
        said=said,
        swaps=swaps,
        gate=gated,
        probes=probed,
        people=people,
        conditions=conditions,
        speech=speech.read(out),
    )


def _json(path: Path) -> Mapping[str, Any]:
    return read_json(path, max_bytes=1 << 28)
