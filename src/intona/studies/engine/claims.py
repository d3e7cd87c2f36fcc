"""The claims of a paper, the measurements here, and the rule that judges them, set before any run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intona.evaluation.finished import Finished
from intona.evaluation.html import Html, Section, join, parts, tag
from intona.evaluation.stats import Paired, choose_clusters, holm, paired_difference
from intona.evaluation.trainings import Sums, TrainingDifference, compare_trainings

Value = Mapping[str, Any]  # an interval: estimate, low, high, n
Lookup = Callable[[str, int, str], Value | None]  # (arm, seed, measure)

ALPHA = 0.05
SEEDS = 3
RULE = (
    "Trainings are the unit of analysis, and the rule was set before anything ran. "
    f"It needs {SEEDS} seeds per arm. "
    "Excluded: the 95 % interval lies inside the claim's margin, which the published effect exceeds. "
    "Holds: the difference has the claimed sign, the mixed model of seeds and items gives "
    f"p < {ALPHA:g} after Holm's adjustment over the claims of this table, and the exact permutation over "
    f"seeds agrees: its p is below {ALPHA:g}, or the smallest that so few seeds allow. "
    "Reversed: the same with the opposite sign. Open: everything else."
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The paper states that `arm` is above (sign 1) or below (-1) `other` in `measure`.

    Args:
        text: the claim in words.
        published: the paper's figures for both arms, as printed.
        effect: the published arm - other; None where the paper has no figure.
        margin: differences up to this size are as good as none. Written down before the runs; half of the
            published effect where nothing else is named.
        paired: the arms share the training of a seed, or one continues that of the other.

    Raises:
        ValueError: an effect against the claimed sign, or one inside the margin.
    """

    text: str
    measure: str
    arm: str
    other: str
    sign: int
    published: str = "–"
    effect: float | None = None
    margin: float | None = None
    paired: bool = False

    def __post_init__(self) -> None:
        if self.effect is None:
            if self.margin is not None:
                raise ValueError("a margin without a published effect excludes nothing")
        elif self.effect * self.sign <= 0 or not 0 < self.bounds < abs(self.effect):
            raise ValueError(f"{self.text}: an effect of {self.effect} with a margin of {self.margin}")

    @property
    def bounds(self) -> float:
        """The margin; 0 where none is defined."""
        return self.margin if self.margin is not None else abs(self.effect or 0.0) / 2


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


@dataclass(frozen=True, kw_only=True)
class Test:
    """arm - other.

    Args:
        trainings: over trainings and items; this decides.
        paired: over the items of these very trainings; it says nothing about a further training.
        by_seed: the difference of each seed that both have. p_holm: of `trainings`, once adjusted.
    """

    trainings: TrainingDifference
    paired: Paired
    by_seed: Mapping[int, float]
    p_holm: float | None = None

    __test__ = False  # not a test for pytest to collect

    @property
    def p(self) -> float | None:
        """Over trainings, adjusted where that was done; None with too few seeds."""
        return self.p_holm if self.p_holm is not None else decisive(self)


def decisive(test: Test) -> float | None:
    """The p of the mixed model; None with fewer than SEEDS seeds in either arm."""
    return test.trainings.p if min(test.trainings.seeds) >= SEEDS else None


def compare(
    arm: Mapping[int, Sums],
    other: Mapping[int, Sums],
    clusters: Mapping[str, Hashable] | None = None,
    *,
    paired: bool = False,
) -> Test | None:
    """arm - other over trainings and items, and over the items alone; None if they have none in common.

    Args:
        arm: seed -> sums of each sentence; `other` likewise.
        clusters: sentence -> what it belongs to, such as its speaker; None = the sentence itself.
        paired: trainings of equal seed belong together (see `Claim`).
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
    trainings = compare_trainings(arm, other, clusters, paired=paired)
    if not by_seed or trainings is None:
        return None
    # Two seeds of one sentence are not independent: it is resampled and swapped with all its seeds.
    over_items = paired_difference(_columns(a), _columns(b), labels)
    return Test(trainings=trainings, paired=over_items, by_seed=by_seed)


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
    finished: Finished, arm: str, other: str, seeds: Sequence[int], measure: str, *, paired: bool = False
) -> Test | None:
    """`compare` on a measure of the evaluation, clustered by speaker where there are several."""
    ids = list(finished.rows)
    clusters = dict(zip(ids, choose_clusters([finished.rows[i].speaker for i in ids]), strict=True))
    sides = [
        {seed: values for seed in seeds if (values := sums(finished, f"{name}@{seed}", measure))}
        for name in (arm, other)
    ]
    return compare(sides[0], sides[1], clusters, paired=paired)


def judged(finished: Finished | None, claims: Sequence[Claim], seeds: Sequence[int]) -> list[Test | None]:
    """Tests of claims about speech, adjusted over all of them; each None where nothing is evaluated yet."""
    if finished is None:
        return [None for _ in claims]
    tests = [compare_voices(finished, c.arm, c.other, seeds, c.measure, paired=c.paired) for c in claims]
    return adjusted(tests)


def adjusted(tests: Sequence[Test | None]) -> list[Test | None]:
    """The tests of one table, with the p of every decisive one adjusted by Holm's method over the table."""
    family = {str(i): p for i, t in enumerate(tests) if t is not None and (p := decisive(t)) is not None}
    ps = holm(family)
    return [t and dataclasses.replace(t, p_holm=ps.get(str(i))) for i, t in enumerate(tests)]


def decide(claim: Claim, test: Test | None) -> str:
    """RULE: "holds", "reversed", "excluded", "not measured", or "open" and why."""
    if test is None:
        return "not measured"
    over = test.trainings
    if (seeds := min(over.seeds)) < SEEDS:
        return f"open: {seeds} seed{'s' * (seeds > 1)}, {SEEDS} needed"
    if over.low is None or over.high is None or test.p is None:
        return "open: nothing varies, or there is one item or speaker"
    if claim.effect is not None and -claim.bounds < over.low and over.high < claim.bounds:
        return "excluded"
    if test.p >= ALPHA:
        return "open: no clear difference"
    if not agrees(over):
        return "open: the seeds overlap"
    return "holds" if over.difference * claim.sign > 0 else "reversed"


def agrees(over: TrainingDifference) -> bool:
    """Whether the permutation over seeds is below ALPHA, or at its smallest where few seeds rule that out."""
    if over.p_seeds is None or over.least is None:
        return False
    return over.p_seeds < ALPHA or over.p_seeds <= over.least * (1 + 1e-9)


def shown(claim: Claim, test: Test | None, *, digits: int = 3) -> Html:
    """The verdict with the difference, its intervals, both p values and the numbers of seeds and items."""
    decision = tag("strong", decide(claim, test))
    if test is None:
        return decision
    over = test.trainings
    value = vars(over) | {"n": over.items}
    difference = parts.interval(value, digits=digits, signed=True, key="difference")
    lines = [decision, difference]
    if over.bootstrap is not None:
        low, high = over.bootstrap
        lines.append(tag("span", f"bootstrap [{low:+.{digits}f}, {high:+.{digits}f}]"))
    if over.p is not None and over.p_seeds is not None and over.least is not None:
        model, exact = parts.p_value(test.p if test.p is not None else over.p), parts.p_value(over.p_seeds)
        lines.append(tag("span", f"p {model}, over seeds {exact} (at best {over.least:.2g})"))
    lines.append(tag("span", f"{counted_seeds(over)}, {over.items} items"))
    if claim.effect is not None:
        lines.append(tag("span", f"published {claim.effect:+.{digits}f}, margin {claim.bounds:.{digits}f}"))
    return join(lines, tag("br"))


def counted_seeds(over: TrainingDifference) -> str:
    """ "3 pairs of seeds" or "3 and 3 seeds"."""
    a, b = over.seeds
    return f"{a} pairs of seeds" if over.paired else f"{a} and {b} seeds"


def bold(p: float | None) -> str | Html:
    text = parts.p_value(p)
    return tag("strong", text) if p is not None and p < ALPHA else text


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
        m, raw = titles[measure], decisive(test)
        rows.append(
            [
                arm,
                m["title"],
                parts.interval(vars(test.paired), digits=m["digits"], signed=True, key="difference"),
                ", ".join(f"{d:+.{m['digits']}f}" for d in test.by_seed.values()),
                "–" if raw is None else parts.p_value(raw),
                "–" if raw is None else bold(test.p),
                f"{counted_seeds(test.trainings)}, {test.trainings.items} items",
            ]
        )
    if not rows:
        return None
    caption = (
        f"Arm minus {other} on the same sentences and seeds. The interval resamples sentences with all "
        "their seeds and says nothing about a further training; p is of the mixed model of seeds and "
        f"sentences, from {SEEDS} seeds on. Bold: below {ALPHA:g} after Holm's adjustment over this table."
    )
    heads: list[str | Html | None] = ["arm", "measure", "difference", "by seed", "p", "p (Holm)", "N"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id="differences", title=f"Paired differences from {other}", body=body)
