"""The page of `intona study prosody --only screening`: R² of each arm, the space, and the claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.html import Html, Section, parts, tag
from intona.evaluation.stats import ratio_interval, spread
from intona.evaluation.trainings import Sums
from intona.studies.engine import claims, claims_list, page
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.engine.stages import RESULTS
from intona.studies.prosody import page as prosody_page
from intona.studies.prosody.page import ProsodyResults
from intona.studies.prosody.predict import TARGETS
from intona.studies.prosody.published import CLAIMS as PAPER
from intona.studies.prosody.screening import ADDED_ARMS, ARMS, CLAIMS, COMBINED_CLAIMS, MODELS, PRIMARY

Cells = list[str | Html | None]


@dataclass(frozen=True, kw_only=True)
class ScreeningResults:
    """`predicted`: (arm, seed) -> the results of `predict`; `space`: retrieval, as on the study's page."""

    predicted: Mapping[tuple[str, int], Mapping[str, Any]]
    space: ProsodyResults
    perplexity: Mapping[str, Any] = field(default_factory=dict)

    def seeds(self) -> list[int]:
        return sorted({seed for _, seed in self.predicted})

    def sums(self, arm: str, seed: int) -> Sums:
        """The mean R² over the targets as a ratio of sums over utterances, by `PRIMARY`."""
        if (results := self.predicted.get((arm, seed))) is None:
            return {}
        by_minutes = results[PRIMARY[0]]
        minutes = f"{PRIMARY[1]:g}"
        if minutes not in by_minutes:  # size toy
            minutes = next(iter(by_minutes))
        ids, out = results["ids"], {}
        for row, id in enumerate(ids):
            share = 0.0
            for target in TARGETS:
                every = by_minutes[minutes][target]["parts"]
                share += every[row][0] / sum(total for _, total in every) / len(TARGETS)
            out[id] = (share * len(ids), 1.0)
        return out

    def value(self, arm: str, seed: int, measure: str) -> Mapping[str, Any] | None:
        if measure != "all":
            return self.space.value(arm, seed, measure)
        sums = self.sums(arm, seed)
        return vars(ratio_interval([n for n, _ in sums.values()])) if sums else None

    def test(self, claim: claims.Claim, seeds: Sequence[int]) -> claims.Test | None:
        if claim.measure != "all":
            return self.space.test(claim, seeds)
        sides = [{s: sums for s in seeds if (sums := self.sums(arm, s))} for arm in (claim.arm, claim.other)]
        return claims.compare(sides[0], sides[1], paired=claim.paired)


def read(plan: StudyPlan, out: Path) -> ScreeningResults:
    predicted, perplexity = {}, {}
    for job in plan.jobs:
        if job.name.startswith("perplexity/") and is_done(out, plan, job.name):
            perplexity = read_json(folder(out, job.name) / RESULTS)
        if job.name.startswith("predict/") and job.seed is not None and is_done(out, plan, job.name):
            predicted[job.arm, job.seed] = read_json(folder(out, job.name) / RESULTS, max_bytes=1 << 26)
    space = prosody_page.read(plan, out)
    return ScreeningResults(predicted=predicted, space=space, perplexity=perplexity)


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    sections = [
        _claims(results),
        page.state(plan, outcome),
        *(_table(results, model) for model in MODELS),
        prosody_page.space_section(results.space),
        _perplexity(results),
        page.reading(
            plan,
            [
                (
                    "R²",
                    "One minus the squared error over that of the mean of all training speech; test.",
                ),
                ("Claims", f"Judged by the mean R² of the targets, {PRIMARY[0]}, {PRIMARY[1]} minutes."),
                ("Mean, sd", "Over training seeds; each seed is the mean over the random subsets of speech."),
            ],
        ),
    ]
    trained = sum(j.name.startswith("encoder/") for j in plan.jobs)
    return page.write(
        sections,
        out,
        title="Study: what frozen text encoders know of prosody",
        subtitle=page.subtitle(plan, outcome, f"{trained} encoders"),
    )


def _claims(results: ScreeningResults) -> Section:
    seeds = results.seeds()
    every = [*CLAIMS, *(c for c in PAPER if c.measure.startswith("R@") and {c.arm, c.other} <= set(ARMS))]
    tests = claims.adjusted([results.test(c, seeds) for c in every])
    if any(arm in ADDED_ARMS for arm, _ in results.predicted):
        every += COMBINED_CLAIMS
        tests = [*tests, *claims.adjusted([results.test(c, seeds) for c in COMBINED_CLAIMS])]
    command = "intona study prosody --only screening"
    claims_list.save(results.space.out, every, tests, paper="2604.01247", command=command)
    rows = claims.answers(every, tests, results.value, seeds, names={"all": "mean R²"})
    return claims.section(
        rows,
        published="arXiv 2604.01247, with other data, sizes and galleries; it has no such R².",
        lead=claims.RULE,
        title="The paper's claims, and ours",
    )


def _table(results: ScreeningResults, model: str) -> Section:
    arms = [a for a in ARMS if any(arm == a for arm, _ in results.predicted)]
    rows: list[Cells] = []
    minutes: dict[str, None] = {}
    for results_of in results.predicted.values():
        minutes |= dict.fromkeys(results_of[model])
    for arm in arms:
        runs = [r for (a, _), r in results.predicted.items() if a == arm]
        cells: Cells = [arm, str(len(runs))]
        for target in TARGETS:
            cells += [_mean([r[model][m][target]["r2"] for r in runs if m in r[model]]) for m in minutes]
        rows.append(cells)
    heads: Cells = ["arm", "seeds", *(f"{t}, {m} min" for t in TARGETS for m in minutes)]
    caption = "R² on the test split: mean over training seeds ± their deviation."
    body = parts.table(caption, heads, rows, label=model, tight=True) if rows else tag("p", "Nothing yet.")
    titles = {"ridge": "Ridge regression on frozen states", "network": "A small network on frozen states"}
    return Section(id=model, title=titles[model], body=body)


def _perplexity(results: ScreeningResults) -> Section | None:
    if not results.perplexity:
        return None
    rows: list[Cells] = [
        [
            stream,
            *(
                parts.interval(of[model], digits=2, key="perplexity")
                for model in ("model", "ngram", "unigram")
            ),
            str(of["texts"]),
            str(of["symbols"]),
            str(of["vocabulary"]),
        ]
        for stream, of in results.perplexity.items()
    ]
    heads: Cells = ["stream", "stage 1", "5-gram", "unigram", "texts", "symbols", "vocabulary"]
    caption = (
        "Perplexity of single symbols of the test texts, each masked by itself, with all others known. The "
        "5-gram knows both sides, too, and counts in the texts that stage 1 was trained on. One seed."
    )
    body = parts.table(caption, heads, rows, label="perplexity")
    return Section(id="perplexity", title="What stage 1 knows of text", body=body)


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    over = spread(values)
    return f"{over.mean:.3f} ± {over.sd:.3f}"
