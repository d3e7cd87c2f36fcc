"""The claims of a study as rows of JSON, and rows of any studies as one table.

Every study writes OUT/claims.json beside its page, by the same rule. docs/notebook/claims.json has those of
all studies; `python benchmarks/claims.py table` makes docs/notebook/claims.md of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intona import config as configs
from intona.studies.engine.claims import Claim, Test, counted_seeds, decide

FILE = "claims.json"
COLUMNS = ("claim", "arms", "measure", "published", "here", "p", "seeds, items", "verdict")


def row(claim: Claim, test: Test | None, *, paper: str, command: str) -> dict[str, Any]:
    """What is known of a claim, as JSON types."""
    out: dict[str, Any] = {
        "paper": paper,
        "claim": claim.text,
        "arms": f"{claim.arm} / {claim.other}",
        "measure": claim.measure,
        "published": claim.published,
        "effect": claim.effect,
        "margin": claim.bounds if claim.effect is not None else None,
        "verdict": decide(claim, test),
        "command": command,
    }
    if test is None:
        return out
    over = test.trainings
    return out | {
        "difference": over.difference,
        "low": over.low,
        "high": over.high,
        "bootstrap": over.bootstrap,
        "p": test.p,
        "p_seeds": over.p_seeds,
        "least": over.least,
        "by_seed": list(test.by_seed.values()),
        "seeds": counted_seeds(over),
        "items": over.items,
    }


def save(
    out: Path, claims: Sequence[Claim], tests: Sequence[Test | None], *, paper: str, command: str
) -> None:
    """Write OUT/claims.json. `tests`: adjusted over the table."""
    rows = [row(c, t, paper=paper, command=command) for c, t in zip(claims, tests, strict=True)]
    configs.write_json(out / FILE, rows)


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A Markdown table of rows, in their order; commands are numbered below it."""
    commands = {c: n for n, c in enumerate(dict.fromkeys(r["command"] for r in rows if r.get("command")), 1)}
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for r in rows:
        source = f" ({commands[r['command']]})" if r.get("command") else ""
        word, colon, why = r["verdict"].partition(":")
        note = f". {r['note']}" if r.get("note") else ""
        cells = [
            r["claim"],
            r["arms"],
            r["measure"],
            _published(r),
            _here(r),
            _p(r),
            _count(r),
            f"**{word}**{colon}{why}{source}{note}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *(f"{n}. `{c}`" for c, n in commands.items())]


def _number(value: float, *, signed: bool = True) -> str:
    """ "+.017": as the notebook writes shares."""
    text = f"{value:{'+' if signed else ''}.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _published(r: Mapping[str, Any]) -> str:
    if r.get("effect") is None:
        return r["published"]
    return f"{r['published']}: {_number(r['effect'])}, margin {_number(r['margin'], signed=False)}"


def _here(r: Mapping[str, Any]) -> str:
    if r.get("difference") is None:
        return "–"
    shown = _number(r["difference"])
    if r.get("low") is not None:
        return f"{shown} [{_number(r['low'])}, {_number(r['high'])}]"
    return f"{shown} (by seed {', '.join(_number(d) for d in r['by_seed'])})"


def _p(r: Mapping[str, Any]) -> str:
    if r.get("p") is None:
        return "–"
    return f"{_number(r['p'], signed=False)}; seeds {_number(r['p_seeds'], signed=False)}"


def _count(r: Mapping[str, Any]) -> str:
    return f"{r['seeds']}, {r['items']}" if r.get("seeds") else "–"
