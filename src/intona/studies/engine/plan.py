"""The plan of a study: its jobs, declared before any of them runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from intona import config as configs
from intona.errors import UserError, unknown
from intona.studies.engine.names import hashed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_.-]*(/[A-Za-z0-9][A-Za-z0-9+_.-]*)*")


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """One function call in a separate process; its folder is OUT/jobs/NAME.

    Args:
        call: "package.module:function". The function gets `out` (its folder), `needs` (name -> folder of each
            job that it builds on), `limit_minutes` (None = no limit) and the `arguments`. It returns False if
            it stopped at the limit: it is called again later and continues from what it kept in `out`.
        arguments: of JSON types.
        needs: jobs that must be done before this one.
        wants: jobs whose results it uses where they are done. It waits until each is done or has failed, gets
            the folders of those done among `needs`, and is called again when further ones are done. So a job
            that judges all arms continues when an arm is added.
        minutes: estimated minutes of one core; not a limit.
        gpus: GPUs that the job has for itself on a cluster. They change no result.
    """

    name: str
    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    arm: str = ""
    seed: int | None = None
    minutes: float = 0.0
    gpus: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or ".." in self.name:
            raise ValueError(f'"{self.name}" is not a valid job name')
        if self.call.count(":") != 1:
            raise ValueError(f'"{self.call}" is not module:function')


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of the study's tables. `what`: in a sentence, how it differs from the others."""

    name: str
    what: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """Jobs in an order in which they can run."""

    study: str
    arms: tuple[Arm, ...]
    jobs: tuple[StudyJob, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for job in self.jobs:
            if job.name in seen:
                raise ValueError(f'two jobs are named "{job.name}"')
            for need in (*job.needs, *job.wants):
                if need not in seen:
                    raise ValueError(f'"{job.name}" needs "{need}", which no earlier job provides')
            seen.add(job.name)

    def job(self, name: str) -> StudyJob:
        for job in self.jobs:
            if job.name == name:
                return job
        unknown("job", name, [j.name for j in self.jobs])

    @property
    def minutes(self) -> float:
        """Of one core, over all jobs."""
        return sum(j.minutes for j in self.jobs)

    def chain(self, name: str) -> tuple[StudyJob, ...]:
        """A job and all jobs that it needs, in the order of the plan, without those in `wants`."""
        names = {name}
        for job in reversed(self.jobs):
            if job.name in names:
                names.update(job.needs)
        return tuple(j for j in self.jobs if j.name in names)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Job -> hash of its call, its arguments and all jobs that it needs."""
        out: dict[str, str] = {}
        for job in self.jobs:
            parts = (*hashed(job.call, job.arguments), [out[n] for n in job.needs])
            text = json.dumps(parts, sort_keys=True)
            out[job.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return out

    def save(self, path: Path) -> None:
        configs.write_json(path, configs.to_dict(self))

    @classmethod
    def load(cls, path: Path) -> StudyPlan:
        """Raises: UserError: no plan there, or one that this version cannot read."""
        if not path.is_file():
            raise UserError("no study there", where=path.parent, hint="start it with `intona study`")
        return configs.load(cls, path)


def with_gpus(plan: StudyPlan, gpus: int) -> StudyPlan:
    """The plan with so many GPUs for each job that trains."""
    jobs = (dataclasses.replace(j, gpus=gpus) if j.call.endswith(":train") else j for j in plan.jobs)
    return dataclasses.replace(plan, jobs=tuple(jobs))
