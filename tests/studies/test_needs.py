"""What a study lacks is said before its first job, not hours later."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona import cli
from intona.encoders import ge2e
from intona.errors import UserError
from intona.evaluation.judges.distillmos import INSTALL, DistillMosJudge
from intona.studies.engine import needs
from intona.studies.engine.plan import StudyJob, StudyPlan


def plan(*jobs: StudyJob) -> StudyPlan:
    return StudyPlan(study="s", arms=(), jobs=jobs)


def judge(*measures: str, asr: str = "none", name: str = "judge") -> StudyJob:
    arguments = {"measures": list(measures), "asr": asr, "language": "ru"}
    return StudyJob(name=name, call="m:f", arguments=arguments, minutes=1)


def test_a_measure_that_is_not_available_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DistillMosJudge, "installed", lambda: False)
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    whole = plan(judge("distillmos", "timing"), judge("distillmos", "speaker", "asr", name="b"))
    assert needs.lacking(whole) == [
        f"distillmos: not installed; {INSTALL}",
        f"speaker: not installed; {ge2e.MEND}",
    ]
    assert needs.lacking(plan(judge("timing"))) == []


def test_what_its_jobs_cannot_do_without_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        needs.lacking(plan(judge("asr", asr=str(tmp_path / "nobody"))))
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    with pytest.raises(UserError, match="resemblyzer is not installed; pip install"):
        needs.lacking(plan(StudyJob(name="speakers", call="m:f", minutes=1)))


def test_a_study_that_compares_speakers_where_it_can_says_that_it_will_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    (line,) = needs.lacking(plan(StudyJob(name="people", call="m:f", minutes=1)))
    assert "no speaker encoder" in line and ge2e.MEND in line


def test_a_frozen_voice_is_looked_for_and_one_that_is_trained_is_not(tmp_path: Path) -> None:
    trained = StudyJob(name="voice/a/0", call="m:f")
    needs.lacking(plan(trained, StudyJob(name="said", call="m:f", arguments={"voice": "voice/a/0"})))
    missing = str(tmp_path / "nobody")
    with pytest.raises(UserError, match=r"no such directory|transformers"):
        needs.lacking(plan(StudyJob(name="posterior", call="m:f", arguments={"voice": missing})))


def test_the_command_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from intona.studies.ditto import plan as ditto_study

    lines = plan(StudyJob(name="speakers", call="m:f", minutes=1))
    monkeypatch.setattr(ditto_study, "declare", lambda **how: lines)
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    line = ["study", "ditto", "--data", str(tmp_path), "--output", str(tmp_path / "o")]
    assert cli.main([*line, "--dry-run"]) == 0
    assert "warning: the study cannot run here: resemblyzer is not installed" in capsys.readouterr().err
    assert cli.main(line) == 1
    assert "resemblyzer is not installed" in capsys.readouterr().err and not (tmp_path / "o").exists()
