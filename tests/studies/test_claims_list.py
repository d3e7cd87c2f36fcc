"""The list of all claims: made of one file, and complete."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from intona.studies.engine.claims import Claim, compare
from intona.studies.engine.claims_list import row, save, table
from intona.studies.meld.published import CLAIMS as MELD
from intona.studies.prosody.published import CLAIMS as PROSODY

ROOT = Path(__file__).parents[2]
ROWS = json.loads((ROOT / "docs/notebook/claims.json").read_text(encoding="utf-8"))
CLAIM = Claim(text="a is lower", measure="wer", arm="a", other="b", sign=-1, published=".1 / .3", effect=-0.2)


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_claims", ROOT / "benchmarks/claims.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(level: float, seeds: int) -> dict[int, dict[str, tuple[float, float]]]:
    return {s: {f"u{i}": (level + 0.01 * s + 0.001 * i, 1.0) for i in range(10)} for s in range(seeds)}


def test_the_page_is_made_of_the_file() -> None:
    page = (ROOT / "docs/notebook/claims.md").read_text(encoding="utf-8")
    assert page == benchmark().page(page, ROWS), "run `python benchmarks/claims.py table`"


@pytest.mark.parametrize("claims, paper", [(PROSODY, "2604.01247"), (MELD, "2605.29859")])
def test_no_claim_is_missing(claims: tuple[Claim, ...], paper: str) -> None:
    listed: dict[tuple[str, str], Any] = {(r["arms"], r["measure"]): r for r in ROWS if r["paper"] == paper}
    for claim in claims:
        if claim.other == "codec":  # a further rival of `codes`, only when named
            continue
        r = listed[f"{claim.arm} / {claim.other}", claim.measure]
        assert (r["effect"], r["published"]) == (claim.effect, claim.published)
        assert r["margin"] == (pytest.approx(claim.bounds) if claim.effect else None)


def test_fewer_than_three_trainings_decide_nothing() -> None:
    for r in ROWS:
        if not r.get("p"):
            assert r["verdict"].startswith(("open", "not measured")), r["claim"]


def test_a_row_has_what_the_table_shows(tmp_path: Path) -> None:
    test = compare(measured(0.1, 3), measured(0.4, 3))
    r = row(CLAIM, test, paper="2604.01247", command="intona study x")
    assert r["verdict"] == "holds" and r["seeds"] == "3 and 3 seeds" and r["items"] == 10
    lines = table([r, row(CLAIM, None, paper="2604.01247", command="")])
    assert lines[-1] == "1. `intona study x`"
    assert "| -.300 [-." in lines[2] and "seeds .100" in lines[2] and "**holds** (1)" in lines[2]
    assert ".1 / .3: -.200, margin .100" in lines[2] and "**not measured**" in lines[3]
    two = row(CLAIM, compare(measured(0.1, 2), measured(0.4, 2)), paper="p", command="c")
    assert two["verdict"] == "open: 2 seeds, 3 needed" and two["p"] is None
    save(tmp_path, [CLAIM], [test], paper="2604.01247", command="c")
    stored = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert benchmark().merged([{**r, "verdict": "open"}], stored) == stored
