"""The rule for claims, measured on simulated studies; and the table of all claims.

    python benchmarks/claims.py simulate [--studies 4000]     false positives and power, as Markdown
    python benchmarks/claims.py table [--add OUT/claims.json ...]   docs/notebook/claims.json to claims.md

A simulated study has trainings of two arms that speak the same 40 sentences. In units of the deviation of
one sentence of one training (the residual): sentences differ by 1, the reaction of a sentence to an arm is
.5, and the deviation between trainings is the column. `--add` replaces the rows of the
same paper, arms and measure.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats

from intona.evaluation.trainings import mixed_test, permutation, smallest_p

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook"
MARK = "<!-- Below: python benchmarks/claims.py table, from claims.json. -->"
SENTENCES, ALPHA = 40, 0.05
SEED_SD = (0.0, 0.1, 0.3, 1.0)
SHAPES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t, 3 df": lambda rng, shape: rng.standard_t(3, size=shape) / 3**0.5,
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
}


def simulate(
    rng: np.random.Generator, studies: int, k: int, *, effect: float, seed_sd: float, shape: str = "normal"
) -> tuple[np.ndarray, np.ndarray]:
    """(studies, k, sentences) of either arm."""
    sentence = rng.normal(size=(studies, 1, SENTENCES))

    def arm(mean: float) -> np.ndarray:
        training = seed_sd * SHAPES[shape](rng, (studies, k, 1))
        reaction = 0.5 * rng.normal(size=(studies, 1, SENTENCES))
        return mean + training + sentence + reaction + rng.normal(size=(studies, k, SENTENCES))

    return arm(effect), arm(0.0)


def earlier(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rule until now: p < .05 over sentences, and the same sign in every seed."""
    over_sentences = np.asarray(stats.ttest_1samp((a - b).mean(1), 0, axis=1))[1]
    signs = np.sign((a - b).mean(2))
    return (over_sentences < ALPHA) & (np.abs(signs.sum(1)) == signs.shape[1])


def percentile(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, resamples: int = 400) -> np.ndarray:
    """Whether the two-level bootstrap interval excludes 0; trainings, then sentences."""
    k, n = a.shape[1:]
    out = np.empty(len(a), bool)
    for i in range(len(a)):
        first, second = (rng.multinomial(k, np.full(k, 1 / k), resamples) / k for _ in range(2))
        items = rng.multinomial(n, np.full(n, 1 / n), resamples) / n
        low, high = np.quantile(((first @ a[i] - second @ b[i]) * items).sum(1), [0.025, 0.975])
        out[i] = low > 0 or high < 0
    return out


def decided(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether the rule calls a difference, and the ends of its interval."""
    k = a.shape[1]
    tested = mixed_test(a, b)
    exact = permutation(a.mean(2), b.mean(2))
    agrees = (exact < ALPHA) | (exact <= smallest_p(k, k) * (1 + 1e-9))
    return (tested.p < ALPHA) & agrees, tested.low, tested.high


def simulations(studies: int) -> list[str]:
    def percent(x: np.ndarray) -> str:
        return f"{100 * x.mean():.1f}"

    rng = np.random.default_rng(0)
    heads = ["seeds per arm", "shape of seeds", "test", *(f"sd {sd:g}" for sd in SEED_SD)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]

    def add(k: int, shape: str, name: str, cells: list[str]) -> None:
        lines.append(f"| {k} | {shape} | {name} | " + " | ".join(cells) + " |")

    for k in (2, 3, 4, 5):
        for shape in SHAPES if k == 3 else ("normal",):
            rows: dict[str, list[str]] = {}
            for sd in SEED_SD:
                a, b = simulate(rng, studies, k, effect=0, seed_sd=sd, shape=shape)
                some = slice(0, min(1000, studies))
                cells = {
                    "earlier rule" if k == 2 else "earlier rule, more seeds": percent(earlier(a, b)),
                    "two-level bootstrap": percent(percentile(a[some], b[some], rng)),
                    "permutation alone": percent(permutation(a.mean(2), b.mean(2)) < ALPHA),
                    "mixed model alone": percent(mixed_test(a, b).p < ALPHA),
                    **({"**the rule**": percent(decided(a, b)[0])} if k > 2 else {}),
                }
                for name, cell in cells.items():
                    rows.setdefault(name, []).append(cell)
            for name, cells in rows.items():
                add(k, shape, name, cells)
    lines += ["", "| seeds per arm | effect | " + " | ".join(heads[3:]) + " |", "|---" * 6 + "|"]
    for k in (3, 4, 5):
        for effect in (0.5, 1.0, 2.0):
            drawn = [simulate(rng, studies, k, effect=effect, seed_sd=sd) for sd in SEED_SD]
            lines.append(f"| {k} | {effect:g} | " + " | ".join(percent(decided(*d)[0]) for d in drawn) + " |")
    lines += [
        "",
        "| seeds per arm | true effect | margin | " + " | ".join(heads[3:]) + " |",
        "|---" * 7 + "|",
    ]
    for k in (3, 5):
        for effect, margin in ((0.0, 0.5), (0.0, 1.0), (1.0, 1.0)):
            cells = []
            for sd in SEED_SD:
                _, low, high = decided(*simulate(rng, studies, k, effect=effect, seed_sd=sd))
                cells.append(percent((low > -margin) & (high < margin)))
            lines.append(f"| {k} | {effect:g} | {margin:g} | " + " | ".join(cells) + " |")
    return lines


def page(before: str, rows: list[dict]) -> str:
    """docs/notebook/claims.md: the text up to MARK as it is, then a table for each paper."""
    from intona.studies.engine.claims_list import table

    lines = [before[: before.index(MARK)] + MARK]
    for paper in dict.fromkeys(r["paper"] for r in rows):
        lines += ["", f"## {PAPERS[paper]}", "", *table([r for r in rows if r["paper"] == paper])]
    return "\n".join(lines) + "\n"


PAPERS = {
    "2604.01247": "Prosody encoder, arXiv 2604.01247",
    "2605.29859": "MELD, arXiv 2605.29859",
    "2311.10804": "Diffusion on VITS latents, arXiv 2311.10804",
}


def merged(rows: list[dict], more: list[dict]) -> list[dict]:
    """`rows` with those of `more`, which replace rows of the same paper, claim and arms."""

    def key(r: dict) -> tuple:
        return r["paper"], r["arms"], r["measure"]

    new = {key(r): r for r in more}
    kept = [new.pop(key(r), r) for r in rows]
    return kept + list(new.values())


def main() -> None:
    parser = argparse.ArgumentParser(description="The rule for claims: simulated studies, or the table.")
    parser.add_argument("what", choices=["simulate", "table"])
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--add", type=Path, nargs="*", default=[])
    request = parser.parse_args()
    if request.what == "simulate":
        print("\n".join(simulations(request.studies)))
        return
    source = NOTEBOOK / "claims.json"
    rows = json.loads(source.read_text(encoding="utf-8"))
    for path in request.add:
        rows = merged(rows, json.loads(path.read_text(encoding="utf-8")))
    source.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    target = NOTEBOOK / "claims.md"
    target.write_text(page(target.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
