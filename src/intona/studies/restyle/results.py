"""Results of a restyle study on disk, and the figures of its page."""

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
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.stages import RESULTS
from intona.studies.restyle import metrics, verdict
from intona.studies.restyle.conditions import Conditions, read_conditions
from intona.studies.restyle.plan import ARMS, CONTROL, GATE
from intona.studies.restyle.speakers import PEOPLE
from intona.studies.restyle.verdict import STEERED, Verdict, at_guidance

Value = Mapping[str, Any]
MEASURES = ("wer", "cer", "distillmos")
COPY = "copy synthesis"


@dataclass(frozen=True, kw_only=True)
class RestyleResults:
    """Results on disk.

    Args:
        figures: (row such as "palette.g3", seed) -> figures of its speech (`speech.speak`); `swaps` likewise.
        people: speaker vectors (`speakers.measure_speakers`).
        speech: the evaluation, if it is complete. cache: paired differences, computed once.
    """

    plan: StudyPlan
    out: Path
    figures: dict[tuple[str, int], Mapping[str, Any]]
    swaps: dict[tuple[str, int], Mapping[str, Any]]
    gate: Mapping[str, Any] | None
    probes: Mapping[str, Any] | None
    people: Mapping[str, Any]
    conditions: Conditions | None
    speech: Finished | None
    cache: dict[tuple[str, str, str], Value | None] = field(default_factory=dict)

    def arms(self) -> list[tuple[str, int]]:
        """(arm, seed) with at least one scale in the plan."""
        names = (j for j in self.plan.jobs if j.name.startswith("said/") and j.seed is not None)
        return list(dict.fromkeys((j.arm, int(j.seed or 0)) for j in names))

    def scales(self) -> tuple[float, ...]:
        """Guidance scales of the plan, ascending."""
        scales = (j.arguments.get("guidance") for j in self.plan.jobs if j.name.startswith("said/"))
        return tuple(sorted({float(g) for g in scales if g is not None}))

    def value(self, row: str, seed: int, measure: str) -> Value | None:
        """The interval of a measure of the evaluation, "shift", "shift range", "moved range" or a figure."""
        if measure in MEASURES:
            return speech.value(self.speech, row, seed, measure)
        results = self.figures.get((row, seed))
        if results is None or self.conditions is None:
            return None
        conditions = self.conditions
        if ends := results.get("described"):  # the request of the words, not of the references
            conditions = metrics.described(conditions, ends)
        if measure.startswith("shift"):
            name = measure.removeprefix("shift").strip()
            value = metrics.shift(results["rows"], conditions, (name,) if name else STEERED)
        elif measure.startswith("moved "):
            value = metrics.moved(results["rows"], conditions, measure.removeprefix("moved "))
        elif measure == "cosine":
            value = metrics.direction(results["rows"], conditions)
        elif measure == "encoder cosine":
            value = metrics.encoder_direction(results["rows"], conditions)
        else:
            value = metrics.mean_of(results["rows"], conditions, measure)
        return None if value is None else dataclasses.asdict(value)

    def lost(self, row: str, seed: int, measure: str = "wer") -> Value | None:
        """Paired difference from decode(Z_text) with its interval."""
        return self.paired(f"{row}@{seed}", f"{CONTROL}@0", measure)

    def beyond_copy(self, row: str, seed: int, measure: str = "wer") -> Value | None:
        """Paired difference from copy synthesis, the target of the models."""
        return self.paired(f"{row}@{seed}", COPY, measure)

    def paired(self, system: str, other: str, measure: str) -> Value | None:
        """Paired difference of two rows over the sentences of both; None if not measured."""
        key = (system, other, measure)
        if key not in self.cache:
            self.cache[key] = self._paired(*key)
        return self.cache[key]

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
        """WER of copy synthesis minus that of decode(Z_text), from the evaluation or earlier the gate."""
        difference = self.paired(COPY, f"{CONTROL}@0", "wer")
        return difference if difference is not None or self.gate is None else self.gate["lost"]

    def ceiling(self) -> Value | None:
        """Share of the requested shift that the references show after the posterior."""
        return None if self.gate is None else self.gate["ceiling"]["steered"]

    def verdict(self, arm: str, seed: int, guidance: float) -> Verdict:
        """The verdict of an arm at a guidance scale; the posterior bounds only the arms that build on it."""
        row = at_guidance(arm, guidance)
        of_words, of_style = (
            verdict.words(self.lost(row, seed)),
            verdict.style(self.value(row, seed, "shift")),
        )
        if ARMS[ARMS[arm].of or arm].synthetic:
            return verdict.verdict(of_words, of_style)
        copy, ceiling = verdict.words(self.copy_lost()), verdict.style(self.ceiling())
        return verdict.verdict(of_words, of_style, copy=copy, ceiling=ceiling)


def read(plan: StudyPlan, out: Path) -> RestyleResults:
    figures, swaps, probed, gated, people, conditions = {}, {}, None, None, {}, None
    for job in plan.jobs:
        if not is_done(out, plan, job.name):
            continue
        kind, _, rest = job.name.partition("/")
        directory = folder(out, job.name)
        if kind in ("said", "swap"):
            name, seed = rest.rsplit("/", 1)
            (figures if kind == "said" else swaps)[name, int(seed)] = _json(directory / RESULTS)
        elif kind == "probes":
            probed = _json(directory / RESULTS)
        elif kind == GATE:
            gated = _json(directory / RESULTS)
        elif kind == "people":
            people = _json(directory / PEOPLE)
        elif kind == "test":
            conditions = read_conditions(directory)
    return RestyleResults(
        plan=plan,
        out=out,
        figures=figures,
        swaps=swaps,
        gate=gated,
        probes=probed,
        people=people,
        conditions=conditions,
        speech=speech.read(out),
    )


def _json(path: Path) -> Mapping[str, Any]:
    return read_json(path, max_bytes=1 << 28)
