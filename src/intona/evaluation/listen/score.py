"""From ratings to figures: means with intervals over raters *and* items, paired differences, exclusions.

Raters differ and sentences differ, so ratings are not independent observations. The interval is that of the
pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Ann. Appl. Stat. 1:386): raters and items are
drawn with replacement, independently, and the weight of a rating is the product of both counts. For balanced
random effects its variance is the true one plus about twice the share of the residual, so it is a little
wide. With fewer than about ten raters or items it is too narrow, like every percentile bootstrap of so few.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from intona.errors import UserError
from intona.evaluation.listen.build import HIDDEN
from intona.evaluation.listen.kinds import KINDS
from intona.evaluation.listen.results import Rating, Ratings
from intona.evaluation.stats import RESAMPLES, holm

SCREEN_BELOW, SCREEN_SHARE = 90.0, 0.15  # BS.1534-3, 4.1.2


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean over `n` ratings of `items` by `raters`; no interval for a single rater and item."""

    estimate: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    raters: int
    items: int


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """`system` minus `against`, over items of which a rater judged both; for CMOS the comparison itself."""

    system: str
    against: str
    mean: Mean
    p_holm: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The result of a test; `excluded` maps a reason to the raters who are excluded for it."""

    kind: str
    question: str
    systems: tuple[tuple[str, Mean], ...]
    contrasts: tuple[Contrast, ...]
    raters: int
    excluded: dict[str, tuple[str, ...]]
    incomplete: int
    checks: int
    items: int
    ratings: int
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def crossed_mean(
    ratings: Sequence[tuple[str, str, float]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Mean:
    """Mean of (rater, item, value) with its pigeonhole-bootstrap interval and the p-value of a mean of 0."""
    raters = {name: i for i, name in enumerate(sorted({r for r, _, _ in ratings}))}
    items = {name: i for i, name in enumerate(sorted({i for _, i, _ in ratings}))}
    total, count = np.zeros((2, len(raters), len(items)))
    for rater, item, value in ratings:
        total[raters[rater], items[item]] += value
        count[raters[rater], items[item]] += 1
    n, estimate = len(ratings), float(total.sum() / count.sum())
    size = {"n": n, "raters": len(raters), "items": len(items)}
    if len(raters) < 2 and len(items) < 2:
        return Mean(estimate=estimate, low=None, high=None, p=None, **size)
    rng = np.random.default_rng(seed)
    draws = []
    step = max(1, (1 << 22) // (len(raters) + len(items)))
    for start in range(0, resamples, step):
        some = min(step, resamples - start)
        first = rng.multinomial(len(raters), np.full(len(raters), 1 / len(raters)), size=some)
        second = rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=some)
        weight = ((first @ count) * second).sum(1)
        # In a sparse design a draw may contain no rating at all; it is dropped.
        draws.append((((first @ total) * second).sum(1) / np.where(weight, weight, np.nan))[weight > 0])
    drawn = np.concatenate(draws)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * (int(beyond) + 1) / (len(drawn) + 1))
    return Mean(estimate=estimate, low=float(low), high=float(high), p=p, **size)


def score(
    answers: Ratings,
    key: Mapping[str, Any],
    *,
    allowed: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Figures of one test.

    Args:
        allowed: attention items that a rater may answer wrong without being excluded.

    Raises:
        UserError: every rater is excluded.
    """
    excluded: dict[str, tuple[str, ...]] = {}
    if inattentive := tuple(r for r in answers.raters if answers.failed_checks[r] > allowed):
        excluded["failed an attention item"] = inattentive
    if key["kind"] == "mushra":
        unreliable = tuple(r for r in _screened(answers.ratings) if r not in inattentive)
        if unreliable:
            excluded["rated the hidden reference below 90 too often"] = unreliable
    out = {r for names in excluded.values() for r in names}
    kept = [r for r in answers.ratings if r.rater not in out]
    if not kept:
        raise UserError(
            f"all {len(answers.raters)} raters are excluded", hint="--allow N permits N wrong attention items"
        )
    options = {"resamples": resamples, "seed": seed}
    if key["kind"] == "cmos":
        systems, contrasts = [], _compared(kept, key, options)
    else:
        groups = {s: [r for r in kept if r.system == s] for s in key["systems"]}
        systems = [
            (s, crossed_mean([(r.rater, r.item, r.score) for r in ratings], **options))
            for s, ratings in groups.items()
            if ratings
        ]
        contrasts = _paired(groups, [s for s, _ in systems], options)
    adjusted = holm({str(i): c.mean.p for i, c in enumerate(contrasts) if c.mean.p is not None})
    contrasts = [replace(c, p_holm=adjusted.get(str(i))) for i, c in enumerate(contrasts)]
    return Scores(
        kind=key["kind"],
        question=str(key.get("question", "")),
        systems=tuple(systems),
        contrasts=tuple(contrasts),
        raters=len({r.rater for r in kept}),
        excluded=excluded,
        incomplete=sum(r not in out for r in answers.incomplete),
        checks=len(key["checks"]),
        items=len({r.item for r in kept}),
        ratings=len(kept),
        resamples=resamples,
        seed=seed,
    )


def _screened(ratings: Sequence[Rating]) -> list[str]:
    """Raters who rated the hidden reference below 90 in more than 15 % of the items."""
    marks: dict[str, list[float]] = {}
    for r in ratings:
        if r.system == HIDDEN:
            marks.setdefault(r.rater, []).append(r.score)
    return sorted(r for r, m in marks.items() if sum(x < SCREEN_BELOW for x in m) > SCREEN_SHARE * len(m))


def _compared(kept: Sequence[Rating], key: Mapping[str, Any], options: Mapping[str, Any]) -> list[Contrast]:
    contrasts = []
    for system in key["systems"]:
        ratings = [r for r in kept if r.system == system]
        if ratings:
            mean = crossed_mean([(r.rater, r.item, r.score) for r in ratings], **options)
            contrasts.append(Contrast(system=system, against=ratings[0].against, mean=mean, p_holm=None))
    return contrasts


def _paired(
    groups: Mapping[str, Sequence[Rating]], systems: Sequence[str], options: Mapping[str, Any]
) -> list[Contrast]:
    """Every pair of systems, over the (rater, item) cells that have both."""
    cells = {s: {(r.rater, r.item): r.score for r in groups[s]} for s in systems}
    contrasts = []
    for against, system in itertools.combinations(systems, 2):
        other = cells[against]
        both = [(*cell, value - other[cell]) for cell, value in cells[system].items() if cell in other]
        if both:
            mean = crossed_mean(both, **options)
            contrasts.append(Contrast(system=system, against=against, mean=mean, p_holm=None))
    return contrasts


def to_markdown(scores: Scores) -> str:
    """The tables, the exclusions, and how the figures were computed."""
    scale = KINDS[scores.kind]
    digits = 1 if scores.kind == "mushra" else 2
    lines = [
        f'{scale.title}: "{scores.question}"',
        "",
        f"{scores.raters} raters, {scores.items} items, {scores.ratings} ratings. In brackets: 95 % interval "
        f"over raters and items (pigeonhole bootstrap, {scores.resamples} resamples, seed {scores.seed}).",
        *[f"Excluded: {len(names)} who {why}." for why, names in scores.excluded.items()],
    ]
    if not scores.excluded:
        lines.append(f"Excluded: none ({scores.checks} attention items per rater).")
    if scores.incomplete:
        lines.append(f"{scores.incomplete} raters did not finish; their ratings count.")
    if scores.systems:
        lines += ["", "| system | mean | ratings | raters | items |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {_cell(name)} | {_show(m, digits, scale.signed)} | {m.n} | {m.raters} | {m.items} |"
            for name, m in scores.systems
        ]
    if scores.contrasts:
        head = "preference for the first" if scores.kind == "cmos" else "difference, same rater and item"
        lines += [
            "",
            f"| system | against | {head} | p | p (Holm) | ratings |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for c in scores.contrasts:
            shown = [_show(c.mean, digits, True), _p(c.mean.p), _p(c.p_holm), str(c.mean.n)]
            lines.append("| " + " | ".join([_cell(c.system), _cell(c.against), *shown]) + " |")
    return "\n".join(lines) + "\n"


def _cell(name: str) -> str:
    return name.replace("|", "\\|")


def _show(mean: Mean, digits: int, signed: bool) -> str:
    spec = f"{'+' if signed else ''}.{digits}f"
    text = format(mean.estimate, spec)
    if mean.low is not None and mean.high is not None:
        text += f" [{format(mean.low, spec)}, {format(mean.high, spec)}]"
    return text


def _p(value: float | None) -> str:
    return "–" if value is None else "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0")
