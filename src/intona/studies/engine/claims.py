"""The claims of a paper, the measurements here, and the rule that judges them, set before any run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intona.evaluation.finished import Finished
from intona.evaluation.html import Html, Section, join, parts, tag
from intona.evaluation.stats import Paired, choose_clusters, holm, paired_difference

Value = Mapping[str, Any]  # an interval: estimate, low, high, n
Lookup = Callable[[str, int, str], Value | None]  # (arm, seed, measure)

ALPHA = 0.05
SEEDS = 2
RULE = (
    f"The verdict follows a rule set before anything ran. A claim holds when the difference has the claimed "
    f"sign in each of at least {SEEDS} seeds and the paired test (each sentence swapped with all its seeds) "
    f"gives p < {ALPHA:g} after Holm's adjustment over the claims of this table. It is reversed when the "
    "same is true of the opposite sign. Otherwise it is open."
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The paper states that `arm` is above (sign 1) or below (-1) `other` in `measure`.

    Args:
        text: the claim in words.
        published: the paper's figures for both arms.
    """

    text: str
    measure: str
    arm: str
    other: str
    sign: int
    published: str = "–"


@dataclass(frozen=True, kw_only=True)
class SeedPair:
    """Both sides of a claim in one seed."""

    seed: int
    a: Value
    b: Value


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A row of the table of claims; `here` has one line per seed."""

    arms: str
    claim: str
    measure: str
    published: str
    here: Sequence[str]
    verdict: str | Html


def pairs(claim: Claim, value: Lookup, seeds: Sequence[int]) -> list[SeedPair]:
    """The seeds in which both sides were measured."""
    values = [(s, value(claim.arm, s, claim.measure), value(claim.other, s, claim.measure)) for s in seeds]
    return [SeedPair(seed=s, a=a, b=b) for s, a, b in values if a is not None and b is not None]


def answers(
    claims: Sequence[Claim],
    tests: Sequence[Test | None],
    value: Lookup,
    seeds: Sequence[int],
    *,
    names: Mapping[str, str] | None = None,
) -> list[Answer]:
    """One row per claim, with its adjusted test. `names`: measure -> what to print."""
    out = []
    for claim, test in zip(claims, tests, strict=True):
        measured = pairs(claim, value, seeds)
        out.append(
            Answer(
                arms=f"{claim.arm} / {claim.other}",
                claim=claim.text,
                measure=(names or {}).get(claim.measure, claim.measure),
                published=claim.published,
                here=[f"seed {p.seed}: {p.a['estimate']:.3f} / {p.b['estimate']:.3f}" for p in measured],
                verdict=shown(claim, test),
            )
        )
    return out


def section(
    rows: Sequence[Answer], *, published: str, lead: str | Sequence[str], title: str = "The paper's claims"
) -> Section:
    """The table. `published`: where those figures come from, and how they differ from ours."""
    heads: list[str | Html | None] = [
        "arms",
        "the paper's claim",
        "measure",
        "published",
        "here",
        "verdict",
    ]
    cells: list[list[str | Html | None]] = []
    for r in rows:
        here = join([tag("span", line) for line in r.here], tag("br")) if r.here else "–"
        text, verdict = tag("span", r.claim, class_="wrap"), tag("span", r.verdict, class_="wrap")
        cells.append([r.arms, text, r.measure, r.published, here, verdict])
    caption = f"The first arm / the second. Published: {published}"
    return Section(
        id="claims", title=title, lead=lead, body=parts.table(caption, heads, cells, label="claims")
    )


# --- the rule -----------------------------------------------------------------------------------------

Sums = Mapping[str, tuple[float, float]]  # sentence -> its part of the numerator and of the denominator


@dataclass(frozen=True, kw_only=True)
class Test:
    """`paired`: arm - other over all seeds; `by_seed`: the same in each; `p_holm` once adjusted."""

    paired: Paired
    by_seed: Mapping[int, float]
    p_holm: float | None = None

    __test__ = False  # not a test for pytest to collect


def compare(
    arm: Mapping[int, Sums], other: Mapping[int, Sums], clusters: Mapping[str, Hashable] | None = None
) -> Test | None:
    """Paired test of arm - other over the sentences and seeds that both have; None if there are none.

    Two seeds of one sentence are not independent, so a sentence is resampled and swapped with all its seeds.

    Args:
        arm: seed -> sums of each sentence; `other` likewise.
        clusters: sentence -> what it belongs to, such as its speaker; None = the sentence itself.
    """
    a, b, labels = [], [], []
    by_seed = {}
    for seed in sorted(arm.keys() & other.keys()):
        ids = [i for i in arm[seed] if i in other[seed]]
        if not ids:
            continue
        mine, theirs = [arm[seed][i] for i in ids], [other[seed][i] for i in ids]
        by_seed[seed] = _ratio(mine) - _ratio(theirs)
        a, b = a + mine, b + theirs
        labels += [i if clusters is None else clusters[i] for i in ids]
    if not by_seed:
        return None
    return Test(paired=paired_difference(_columns(a), _columns(b), labels), by_seed=by_seed)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [n for n, _ in pairs], [d for _, d in pairs]


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(n for n, _ in pairs) / sum(d for _, d in pairs)


def sums(finished: Finished, system: str, measure: str) -> Sums:
    """A measure for each sentence of a system where it is defined; failures count at the worst value."""
    m = next((m for m in finished.measures if m.name == measure), None)
    out = {}
    for i in finished.rows if m is not None else ():
        record = finished.records.get((system, i), {}).get(measure)
        if m is None or record is None or record.value is None:
            continue
        pooled = (record.numerator or 0.0, record.denominator or 1.0)
        out[i] = pooled if m.pooled else (record.value, 1.0)
    return out


def compare_voices(
    finished: Finished, arm: str, other: str, seeds: Sequence[int], measure: str
) -> Test | None:
    """`compare` on a measure of the evaluation, clustered by speaker where there are several."""
    ids = list(finished.rows)
    clusters = dict(zip(ids, choose_clusters([finished.rows[i].speaker for i in ids]), strict=True))
    sides = [
        {seed: values for seed in seeds if (values := sums(finished, f"{name}@{seed}", measure))}
        for name in (arm, other)
    ]
    return compare(sides[0], sides[1], clusters)


def judged(finished: Finished | None, claims: Sequence[Claim], seeds: Sequence[int]) -> list[Test | None]:
    """Tests of claims about speech, adjusted over all of them; each None where nothing is evaluated yet."""
    if finished is None:
        return [None for _ in claims]
    return adjusted([compare_voices(finished, c.arm, c.other, seeds, c.measure) for c in claims])


def adjusted(tests: Sequence[Test | None]) -> list[Test | None]:
    """The tests of one table, with every p adjusted by Holm's method over the table."""
    family = {str(i): t.paired.p for i, t in enumerate(tests) if t is not None and t.paired.p is not None}
    ps = holm(family)
    return [t and dataclasses.replace(t, p_holm=ps.get(str(i))) for i, t in enumerate(tests)]


def decide(claim: Claim, test: Test | None) -> str:
    """RULE: "holds", "the reverse", or "open" and why."""
    if test is None:
        return "not measured"
    if len(test.by_seed) < SEEDS:
        return f"open: {len(test.by_seed)} seed, {SEEDS} needed"
    signs = {(d > 0) - (d < 0) for d in test.by_seed.values()}
    if len(signs) > 1:
        return "open: the seeds disagree"
    p = test.p_holm if test.p_holm is not None else test.paired.p
    if signs == {0} or p is None or p >= ALPHA:
        return "open: no clear difference"
    return "holds" if signs == {claim.sign} else "the reverse"


def shown(claim: Claim, test: Test | None, *, digits: int = 3) -> Html:
    """The verdict with the difference, its interval and its adjusted p."""
    decision = tag("strong", decide(claim, test))
    if test is None:
        return decision
    difference = parts.interval(vars(test.paired), digits=digits, signed=True, key="difference")
    p = parts.p_value(test.p_holm if test.p_holm is not None else test.paired.p)
    return join([decision, tag("br"), difference, f" p {p}"])


def against(
    finished: Finished | None, arms: Sequence[str], other: str, seeds: Sequence[int], measures: Sequence[str]
) -> Section | None:
    """Every arm minus `other`, over all seeds that both have, with Holm's adjustment over the whole table."""
    if finished is None:
        return None
    titles = {m["name"]: m for m in finished.table["measures"]}
    comparisons = [(a, m) for a in arms if a != other for m in measures if m in titles]
    tests = adjusted([compare_voices(finished, a, other, seeds, m) for a, m in comparisons])
    rows: list[list[str | Html | None]] = []
    for (arm, measure), test in zip(comparisons, tests, strict=True):
        if test is None:
            continue
        m, p = titles[measure], test.p_holm if test.p_holm is not None else test.paired.p
        rows.append(
            [
                arm,
                m["title"],
                parts.interval(vars(test.paired), digits=m["digits"], signed=True, key="difference"),
                ", ".join(f"{d:+.{m['digits']}f}" for d in test.by_seed.values()),
                parts.p_value(test.paired.p),
                tag("strong", parts.p_value(p)) if p is not None and p < ALPHA else parts.p_value(p),
                str(test.paired.n),
            ]
        )
    if not rows:
        return None
    caption = (
        f"Arm minus {other} on the same sentences and seeds; a sentence is resampled with all its seeds. "
        f"Bold: below {ALPHA:g} after Holm's adjustment over the {len(rows)} comparisons of this table."
    )
    heads: list[str | Html | None] = ["arm", "measure", "difference", "by seed", "p", "p (Holm)", "n"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id="differences", title=f"Paired differences from {other}", body=body)
