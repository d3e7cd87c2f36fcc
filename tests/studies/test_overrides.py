"""Fields of stages' configs on the command line of a study: for all arms alike, in the plan, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from intona.cli.study import preset, split
from intona.errors import UserError
from intona.studies.engine.overrides import override
from intona.studies.engine.plan import StudyJob, StudyPlan

STAGE = "prosody.gradtts"


def train(name: str, stage: str = STAGE, **fields: str) -> StudyJob:
    overrides = {"loop.steps": "200", "loop.save_every": "40", "optim.warmup": "20", **fields}
    arguments: dict[str, Any] = {"stage": stage, "size": "toy", "overrides": overrides}
    return StudyJob(name=name, call="m:f", arguments=arguments, minutes=3)


def plan(*more: StudyJob) -> StudyPlan:
    jobs = (
        train("encoder/random", "prosody.mlm", **{"loop.steps": "0", "loop.save_every": "1"}),
        train("encoder/1", "prosody.mlm"),
        train("voice/a", encoder_rate="1"),
        train("voice/b", encoder_rate="0"),
        StudyJob(name="judge", call="m:f"),
    )
    return StudyPlan(study="s", arms=(), jobs=(*jobs, *more))


def test_steps_of_a_stage_are_those_of_all_its_arms_and_what_follows_them() -> None:
    changed = override(plan(), {f"{STAGE}.loop.steps": "50", f"{STAGE}.optim.lr": "1e-3"}, preset)
    for name in ("voice/a", "voice/b"):
        job = changed.job(name)
        fields = job.arguments["overrides"]
        assert fields["loop.steps"] == "50" and fields["optim.lr"] == "1e-3"
        assert fields["loop.save_every"] == "10" and fields["optim.warmup"] == "5"
        assert job.minutes == pytest.approx(0.75)
        assert changed.fingerprints[name] != plan().fingerprints[name]  # a study of other settings
    for name in ("encoder/1", "judge"):
        assert changed.job(name) == plan().job(name)
    requested = override(plan(), {f"{STAGE}.loop.steps": "50", f"{STAGE}.loop.save_every": "7"}, preset)
    assert requested.job("voice/a").arguments["overrides"]["loop.save_every"] == "7"


def test_an_arm_without_training_stays_without() -> None:
    changed = override(plan(), {"prosody.mlm.loop.steps": "50"}, preset)
    steps = [changed.job(f"encoder/{n}").arguments["overrides"]["loop.steps"] for n in ("random", "1")]
    assert steps == ["0", "50"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loop.steps", "5", r"--loop\.steps: a study trains several stages.*--prosody\.gradtts\.loop\.steps"),
        ("prosody.gradtt.loop.steps", "5", 'did you mean "prosody.gradtts"'),
        (f"{STAGE}.loop.stepps", "5", 'unknown config key "loop.stepps"; did you mean "steps"'),
        (f"{STAGE}.loop.steps", "few", "expected int"),
        (f"{STAGE}.loop.seed", "5", "--seeds"),
        (f"{STAGE}.encoder_rate", "0.5", "arms differ in this field: 1, 0"),
        (f"{STAGE}.size", "paper", "the study sets this field"),
    ],
)
def test_what_a_study_cannot_take_is_explained(field: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        override(plan(), {field: value}, preset)


def test_flags_with_a_dot_are_fields() -> None:
    line = "prosody --data a.b -o=c.d --prosody.mlm.loop.steps 5 --prosody.mlm.model.share-all --dry-run"
    options, fields = split(line.split())
    assert options == ["prosody", "--data", "a.b", "-o=c.d", "--dry-run"]
    assert fields == {"prosody.mlm.loop.steps": "5", "prosody.mlm.model.share_all": "true"}
    with pytest.raises(UserError, match="given twice"):
        split(["--a.b.c", "1", "--a.b.c=2"])
