"""Overrides of a stage's config from the command line: the same for every arm, and part of the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intona import config as configs
from intona.errors import UserError, unknown
from intona.studies.engine.plan import StudyJob, StudyPlan

STEPS, SEED = "loop.steps", "loop.seed"
# Fields that the plans set as a share of the steps.
SHARES = ("loop.save_every", "loop.validate_every", "optim.warmup")
SET_BY_THE_STUDY = ("stage", "size", "corpus", "init")


def override(plan: StudyPlan, assignments: Mapping[str, str], preset: Callable[[str, str], Any]) -> StudyPlan:
    """The plan with `{"prosody.gradtts.loop.steps": "100"}` applied to every job that trains that stage.

    When the steps change, the fields that are a share of them (warm-up, how often it saves and validates) and
    the planned minutes change with them. A stage that an arm leaves untrained, with 0 steps, stays untrained.

    Args:
        preset: (stage, size) -> the config that the overrides of a job start from.

    Raises:
        UserError: not a stage of the study, not a field of its config, a bad value; a field in which the arms
            differ, or which the study sets by itself.
    """
    stages = list(dict.fromkeys(j.arguments["stage"] for j in plan.jobs if "stage" in j.arguments))
    by_stage: dict[str, dict[str, str]] = {}
    for name, value in assignments.items():
        system, _, rest = name.partition(".")
        kind, _, field = rest.partition(".")
        stage = f"{system}.{kind}"
        if stage not in stages:
            if system in {s.partition(".")[0] for s in stages}:
                unknown("stage", stage, stages, where=f"study {plan.study}")
            raise UserError(
                "a study trains several stages: name one of them",
                where=f"--{name}",
                hint=f"for example --{stages[-1]}.{name}; stages: {', '.join(stages)}",
            )
        _require_free(plan, stage, field, where=f"--{name}")
        by_stage.setdefault(stage, {})[field] = value
    jobs = [_overridden(job, by_stage.get(job.arguments.get("stage", ""), {}), preset) for job in plan.jobs]
    return dataclasses.replace(plan, jobs=tuple(jobs))


def _require_free(plan: StudyPlan, stage: str, field: str, *, where: str) -> None:
    if field == SEED:
        raise UserError("a study sets the seeds", where=where, hint="use --seeds 0,1")
    if not field or field in SET_BY_THE_STUDY:
        raise UserError("the study sets this field", where=where)
    trained = [j for j in plan.jobs if j.arguments.get("stage") == stage and not _is_untrained(j)]
    values = dict.fromkeys(j.arguments["overrides"].get(field) for j in trained)
    if len(values) > 1:
        shown = ", ".join("the preset's" if v is None else v for v in values)
        raise UserError(
            f"the arms differ in this field: {shown}", where=where, hint="choose one of them with --arms"
        )


def _is_untrained(job: StudyJob) -> bool:
    return job.arguments["overrides"].get(STEPS) == "0"


def _overridden(job: StudyJob, fields: Mapping[str, str], preset: Callable[[str, str], Any]) -> StudyJob:
    if not fields:
        return job
    before, minutes = job.arguments["overrides"], job.minutes
    after = {**before, **fields}
    if _is_untrained(job):
        after[STEPS] = "0"
    base = preset(job.arguments["stage"], job.arguments["size"])
    config = configs.override(base, after, where=f"--{job.arguments['stage']}")
    if STEPS in fields and not _is_untrained(job):
        old, new = int(configs.override(base, before).loop.steps), int(config.loop.steps)
        share = new / max(1, old)
        after |= {name: str(max(1, round(int(before[name]) * share))) for name in _shares(before, fields)}
        minutes *= share
    return dataclasses.replace(job, arguments={**job.arguments, "overrides": after}, minutes=minutes)


def _shares(before: Mapping[str, str], fields: Mapping[str, str]) -> Sequence[str]:
    return [name for name in SHARES if name in before and name not in fields]
