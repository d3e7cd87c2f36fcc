"""Fields of a stage's config that a study is given: the same for every arm, and part of the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intona import config as configs
from intona.errors import UserError, unknown
from intona.studies.engine.plan import Job, Plan

STEPS, SEED = "loop.steps", "loop.seed"
# What the plans set as a share of the steps.
SHARES = ("loop.save_every", "loop.validate_every", "optim.warmup")
SET_BY_THE_STUDY = ("stage", "size", "corpus", "init")


def override(plan: Plan, assignments: Mapping[str, str], preset: Callable[[str, str], Any]) -> Plan:
    """The plan with `{"prosody.gradtts.loop.steps": "100"}` applied to every job that trains that stage.

    A stage of other steps keeps its shares of them (warm-up, how often it saves and validates), and its
    planned minutes follow. A stage that is left untrained, with 0 steps, stays so.

    Args:
        preset: (stage, size) -> the config that the overrides of a job start from.

    Raises:
        UserError: no stage of the study, no field of its config, a value that the field does not take; a
            field in which the arms differ, or that the study has an option for.
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
                "a study trains several stages: name the one that is meant",
                where=f"--{name}",
                hint=f"such as --{stages[-1]}.{name}; stages: {', '.join(stages)}",
            )
        _require_free(plan, stage, field, where=f"--{name}")
        by_stage.setdefault(stage, {})[field] = value
    jobs = [_overridden(job, by_stage.get(job.arguments.get("stage", ""), {}), preset) for job in plan.jobs]
    return dataclasses.replace(plan, jobs=tuple(jobs))


def _require_free(plan: Plan, stage: str, field: str, *, where: str) -> None:
    if field == SEED:
        raise UserError("a study has seeds of its own", where=where, hint="--seeds 0,1")
    if not field or field in SET_BY_THE_STUDY:
        raise UserError("is what the study says", where=where)
    trained = [j for j in plan.jobs if j.arguments.get("stage") == stage and not _is_untrained(j)]
    values = dict.fromkeys(j.arguments["overrides"].get(field) for j in trained)
    if len(values) > 1:
        shown = ", ".join("the preset's" if v is None else v for v in values)
        raise UserError(f"arms differ in it: {shown}", where=where, hint="name one of them with --arms")


def _is_untrained(job: Job) -> bool:
    return job.arguments["overrides"].get(STEPS) == "0"


def _overridden(job: Job, fields: Mapping[str, str], preset: Callable[[str, str], Any]) -> Job:
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
