"""`compare`: paired over reports, and refused where two figures are not of one kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, Manifest, Row, System, evaluate
from intona.evaluation.compare import compare, comparison_to_json, comparison_to_markdown
from intona.evaluation.finished import read_report
from intona.evaluation.judges.base import Judge, Measure, Score

QUICK = EvaluationConfig(resamples=200)
Folder = Callable[..., Path]
SETTINGS = {"model_sha256": "a" * 64, "normalizer": "basic-1", "resampler": "soxr 1"}


class Ear(Judge):
    """A stand-in recognizer: the error is what is missing to full level."""

    name = "asr"
    measures = (Measure(name="wer", title="WER", failed=1.0, better="lower", digits=3),)

    def __init__(self, **settings: str) -> None:
        self.settings = {**SETTINGS, **settings}

    def describe(self) -> dict[str, Any]:
        return dict(self.settings)

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {"wer": Score(value=1 - float(np.abs(audio.samples).max()))}


@pytest.fixture
def report(folder: Folder, manifest: Manifest, tmp_path: Path) -> Callable[..., Path]:
    """`report(name, gain, …)`: a whole report of a recording and one system."""

    recording = folder("recording")

    def make(name: str, gain: float = 1.0, of: Manifest | None = None, ear: Any = None, **more: Any) -> Path:
        systems = [
            System(name="recording", folder=recording, role="recording"),
            System(name=more.pop("system", "ours"), folder=folder(f"wavs-{name}", gain=gain, **more)),
        ]
        evaluate(systems, of or manifest, out=tmp_path / name, judges=[ear or Ear()], config=QUICK)
        return tmp_path / name

    return make


def test_paired_over_reports(report: Callable[..., Path]) -> None:
    """The recording of both is one row; the two systems of one name keep their report's name."""
    result = compare([report("a", 0.5), report("b", 0.75, skip=("u1",))])
    assert result.systems == ("recording", "ours", "b/ours")
    assert (result.against, result.n) == ("ours", 4)
    found = {d.system: d for d in result.differences}
    ours, theirs = 1 - 0.2 * 0.5, (3 * (1 - 0.2 * 0.75) + 1.0) / 4
    assert found["b/ours"].paired.difference == pytest.approx(theirs - ours, abs=1e-3)
    assert found["b/ours"].paired.n == 4  # the missing output is a pair at its worst value
    assert found["b/ours"].p_holm == found["b/ours"].paired.p  # a family of one: the control is outside
    assert found["recording"].p_holm is None
    text = comparison_to_markdown(result)
    assert "| b/ours | WER |" in text and "Holm over 1 comparisons" in text
    assert comparison_to_json(result)["manifest_sha256"] == result.manifest_sha256


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"model_sha256": "b" * 64}, "different: model_sha256 of asr"),
        ({"normalizer": "basic-2"}, r"the normalizer of asr \(basic-1, basic-2\)"),
        ({"resampler": "soxr 2"}, r"the resampler of asr \(soxr 1, soxr 2\)"),
    ],
)
def test_refused_and_says_which(report: Callable[..., Path], setting: dict[str, str], named: str) -> None:
    a, b = report("a"), report("b", ear=Ear(**setting))
    with pytest.raises(UserError, match=named) as caught:
        compare([a, b])
    assert str(b) in str(caught.value) and "\n" not in str(caught.value)


def test_another_manifest_is_refused(report: Callable[..., Path], manifest: Manifest) -> None:
    first, *rest = manifest.rows
    other = Manifest(rows=(Row(id=first.id, text=first.text + " да"), *rest))
    with pytest.raises(UserError, match="the manifest"):
        compare([report("a"), report("b", of=other)])


def test_all_that_differs_is_named_at_once(report: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"the normalizer.*the resampler"):
        compare([report("a"), report("b", ear=Ear(normalizer="x", resampler="y"))])


def test_a_report_that_is_not_whole(report: Callable[..., Path]) -> None:
    a, b = report("a"), report("b")
    records = b / "records.jsonl"
    lines = records.read_text(encoding="utf-8").splitlines(keepends=True)
    records.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(UserError, match="its records are not those of its table"):
        compare([a, b])
    (b / "table.json").unlink()
    with pytest.raises(UserError, match="not a finished report"):
        compare([a, b])


@pytest.mark.parametrize("change", ["a word for a value", "a record twice", "no resamples"])
def test_a_report_that_was_changed_is_refused(report: Callable[..., Path], change: str) -> None:
    a, b = report("a"), report("b")
    records, table, plan = b / "records.jsonl", b / "table.json", b / "plan.json"
    rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    if change == "a word for a value":
        rows[0]["value"] = "x"
    elif change == "a record twice":
        rows.append(rows[0])
    else:
        plan.write_text(json.dumps(json.loads(plan.read_text()) | {"resamples": 0}))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    records.write_text(lines, encoding="utf-8")
    whole = hashlib.sha256(lines.encode()).hexdigest()
    table.write_text(json.dumps(json.loads(table.read_text()) | {"records_sha256": whole}))
    with pytest.raises(UserError, match=r"not a record|two records of wer|resamples is 0"):
        compare([b, b] if change == "no resamples" else [a, b])


def test_choosing(report: Callable[..., Path]) -> None:
    a, b = report("a", 0.5), report("b", 0.6, system="new")
    result = compare([a, b], against="recording", systems=["new"])
    assert [(d.system, d.against) for d in result.differences] == [("new", "recording")]
    with pytest.raises(UserError, match='did you mean "new"'):
        compare([a, b], against="neww")
    with pytest.raises(UserError, match='did you mean "wer"'):
        compare([a, b], measures=["werr"])
    with pytest.raises(UserError, match="two reports or more"):
        compare([a])


def test_reports_of_earlier_versions_still_open(report: Callable[..., Path]) -> None:
    """They call a hint "mend", and their measures do not say whether they are headlines."""
    a, b = report("a", 0.5), report("b", 0.75)
    for path in (a, b):
        plan, table = (json.loads((path / name).read_text()) for name in ("plan.json", "table.json"))
        for judge in plan["judges"]:
            judge["mend"] = judge.pop("hint")
        for measure in (*table["measures"], *(m for j in plan["judges"] for m in j["measures"])):
            del measure["headline"]
        table["measures"].append({"name": "gone", "title": "Gone"})
        table["unavailable"]["gone"] = {"reason": "not installed", "mend": "pip install x"}
        (path / "plan.json").write_text(json.dumps(plan))
        (path / "table.json").write_text(json.dumps(table))
    finished = read_report(a).report
    assert finished.unavailable["gone"].hint == "pip install x"
    assert [m.headline for m in finished.measures] == [True, False]
    assert compare([a, b]).systems == ("recording", "ours", "b/ours")
