"""Records of shards, worker processes, seeds, the declared family, controls: what surrounds the figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation import (
    EvaluationConfig,
    Manifest,
    Row,
    System,
    evaluate,
    to_markdown,
)
from intona.evaluation.companions import destroyed_texts
from intona.evaluation.controls import add_controls
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.f0 import F0Judge
from intona.evaluation.records import RecordFile

QUICK = EvaluationConfig(resamples=200)
Folder = Callable[..., Path]
WRITTEN = ("table.json", "table.md", "records.jsonl", "plan.json", "manifest.jsonl")


class Level(Judge):
    """Peak of an utterance, and how often it was asked."""

    name = "level"
    measures = (
        Measure(name="level", title="level", failed=0.0, better="higher"),
        Measure(name="depth", title="depth", better="lower"),
    )
    asked = 0

    def describe(self) -> dict[str, Any]:
        return {"version": 1}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        Level.asked += 1
        peak = float(np.abs(audio.samples).max())
        return {"level": Score(value=peak), "depth": Score(value=1 - peak)}


def _bytes(report: Path) -> dict[str, bytes]:
    return {name: (report / name).read_bytes() for name in WRITTEN}


def test_worker_processes_change_no_byte(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    systems = {"a": folder("a"), "b": folder("b", gain=0.5)}
    for name, workers in (("one", 0), ("two", 2)):
        evaluate(systems, manifest, out=tmp_path / name, judges=[F0Judge()], config=QUICK, workers=workers)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")


def test_records_that_shards_of_an_earlier_version_wrote_are_used(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    systems, out = {"a": folder("a")}, tmp_path / "out"
    evaluate(systems, manifest, out=out, judges=[Level()], config=QUICK)
    before = _bytes(out)
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "records.jsonl").unlink()
    for i, part in enumerate((lines[:4], lines[4:]), start=1):
        (out / f"records-{i}-of-2.jsonl").write_text("".join(part), encoding="utf-8")
    (out / "table.json").unlink()
    Level.asked = 0
    evaluate(systems, manifest, out=out, judges=[Level()], config=QUICK)
    assert Level.asked == 0 and _bytes(out) == before
    assert list(out.glob("records-*")) == []


def test_a_finished_table_goes_when_an_evaluation_begins(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    systems, out = {"a": folder("a")}, tmp_path / "out"
    evaluate(systems, manifest, out=out, judges=[Level()], config=QUICK)
    (out / "report.html").write_text("old")

    def interrupt(done: int, of: int, what: str) -> None:
        assert not {"table.json", "table.md", "report.html"} & {p.name for p in out.iterdir()}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(systems, manifest, out=out, judges=[Level()], config=QUICK, progress=interrupt)


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first, second = RecordFile(tmp_path / "r.jsonl"), RecordFile(tmp_path / "r.jsonl")
    first.open()
    with pytest.raises(UserError, match="another process is writing"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_seeds_stand_beside_and_are_not_pooled(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    gains = (0.5, 1.0, 1.5)
    systems = [System(name="ours", seed=str(i), folder=folder(f"s{i}", gain=g)) for i, g in enumerate(gains)]
    other = System(name="other", folder=folder("other"))
    report = evaluate([*systems, other], manifest, out=tmp_path / "out", judges=[Level()], config=QUICK)
    runs = [report.row(f"ours@{i}").cells["level"].counted for i in range(3)]
    assert [r.n for r in runs if r] == [4, 4, 4]  # never 12
    values = [r.estimate for r in runs if r]
    (level, depth) = report.seeds
    assert (level.system, level.measure, depth.measure) == ("ours", "level", "depth")
    assert level.spread.mean == pytest.approx(np.mean(values))
    assert level.spread.sd == pytest.approx(np.std(values, ddof=1))
    # Three runs: ± 2.484 sd.
    assert level.spread.high - level.spread.mean == pytest.approx(2.4841 * level.spread.sd, rel=1e-4)
    assert "Over training seeds" in to_markdown(report)


def test_holm_is_over_the_declared_family(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    systems = [
        System(name="recording", folder=folder("recording"), role="recording"),
        System(name="a", folder=folder("a", gain=0.5)),
        System(name="b", folder=folder("b", gain=0.7)),
        System(name="floor", folder=folder("floor", gain=0.2), role="floor"),
    ]
    for family, adjusted in ((None, 4), (("level",), 2)):
        report = evaluate(
            systems,
            manifest,
            out=tmp_path / "out",
            judges=[Level()],
            config=EvaluationConfig(resamples=200, family=family),
        )
        inside = [d for d in report.differences if d.p_holm is not None]
        assert len(report.differences) == 6 and len(inside) == adjusted
        assert {d.system for d in inside} == {"a", "b"}  # a control is no hypothesis
        assert all(d.p_holm == pytest.approx(min(1, adjusted * 2 / 16)) for d in inside)
        assert f"declared family of {adjusted}; {6 - adjusted} outside" in to_markdown(report)
        assert json.loads((tmp_path / "out" / "plan.json").read_text())["family"] == (
            None if family is None else list(family)
        )
    with pytest.raises(UserError, match='did you mean "level"'):
        evaluate(
            systems,
            manifest,
            out=tmp_path / "out",
            judges=[Level()],
            config=EvaluationConfig(family=("levl",)),
        )


def test_two_systems_of_one_name_are_refused(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    wavs = folder("a")
    systems = [System(name="a", folder=wavs), System(name="a", folder=wavs)]
    with pytest.raises(UserError, match='two systems are called "a"'):
        evaluate(systems, manifest, out=tmp_path / "out", judges=[Level()])


def test_the_destroyed_text_is_heard_as_another_text(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Any, hears_right: Any
) -> None:
    """A perfect recognizer on a perfect voice: WER 0, and near 1 where the texts are swapped."""
    wavs = folder("ours")
    systems = [
        System(name="ours", folder=wavs),
        System(name="destroyed", folder=wavs, role="destroyed", borrow=destroyed_texts(manifest)),
    ]
    report = evaluate(systems, manifest, out=tmp_path / "out", judges=[asr(hears_right)], config=QUICK)
    assert report.row("ours").cells["wer"].counted.estimate == 0.0  # type: ignore[union-attr]
    assert report.row("destroyed").cells["wer"].counted.estimate >= 1.0  # type: ignore[union-attr]
    assert report.row("destroyed").scored == 4


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_controls_that_can_be_built_and_those_that_cannot(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    ours = System(name="ours", folder=folder("ours"))
    built, notes = add_controls([ours], manifest, out=tmp_path / "c", language="ru")
    assert [s.label for s in built] == ["ours", "destroyed text", "espeak-ng"]
    assert [s.role for s in built] == ["system", "destroyed", "floor"]
    assert any("there are no recordings" in n for n in notes)
    built, notes = add_controls([ours], manifest, out=tmp_path / "c", language="xx-none")
    assert [s.label for s in built] == ["ours", "destroyed text"]
    assert any(n.startswith("espeak-ng: no row") for n in notes)


def test_a_control_that_is_given_is_taken(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    names = ("recording", "copy synthesis", "ours", "espeak-ng")
    given = [System(name=n, folder=folder(n)) for n in names]
    built, _ = add_controls(given[::-1], manifest, out=tmp_path / "c", language="ru")
    assert [s.label for s in built] == [
        "recording",
        "copy synthesis",
        "ours",
        "destroyed text",
        "espeak-ng",
    ]
    assert {s.folder for s in built} == {s.folder for s in given}
    assert not (tmp_path / "c").exists()


def test_controls_of_other_texts_are_made_again(tmp_path: Path) -> None:
    from intona.evaluation.controls import fresh

    fresh(tmp_path / "c", {"of": 1})
    (tmp_path / "c" / "a.wav").write_bytes(b"x")
    fresh(tmp_path / "c", {"of": 1})
    assert (tmp_path / "c" / "a.wav").exists()
    fresh(tmp_path / "c", {"of": 2})
    assert not (tmp_path / "c" / "a.wav").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.wav").write_bytes(b"x")
    with pytest.raises(UserError, match="not generated here"):
        fresh(tmp_path / "mine", {"of": 1})
    assert (tmp_path / "mine" / "a.wav").exists()


def test_somebody_elses_folder_is_no_report(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "report.html").write_text("my own page")
    with pytest.raises(UserError, match=r"already holds report\.html, which"):
        evaluate({"x": folder("x")}, manifest, out=out, judges=[F0Judge()])
    assert (out / "report.html").read_text() == "my own page" and len(list(out.iterdir())) == 1
