"""What a study is going to do, written down before it does it."""

from __future__ import annotations

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
class Job:
    """One call in a process of its own; its folder is OUT/jobs/NAME.

    `call` is "package.module:function". The function gets `out` (its folder), `needs` (name -> folder of each
    job it builds on), `limit_minutes` (None = no limit) and the `arguments` (JSON types), and returns False
    when it stopped early and wants to be called again, with what it has made kept in `out`.

    `wants` are jobs it takes into account where they are done: it waits until each is done or cannot be, gets
    the folders of those done among `needs`, and is called again when there are more. A study that is given
    another arm keeps such a job and goes on with it.

    `minutes` is the time of one core that the plan gives it: an estimate for the work that must be done, a
    limit for nothing.
    """

    name: str
    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    arm: str = ""
    seed: int | None = None
    minutes: float = 0.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or ".." in self.name:
            raise ValueError(f'"{self.name}" is no name of a job')
        if self.call.count(":") != 1:
            raise ValueError(f'"{self.call}" is not module:function')


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of the study's tables. `what` says in a sentence how it differs."""

    name: str
    what: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Jobs in an order in which they can run."""

    study: str
    arms: tuple[Arm, ...]
    jobs: tuple[Job, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for job in self.jobs:
            if job.name in seen:
                raise ValueError(f'two jobs are named "{job.name}"')
            for need in (*job.needs, *job.wants):
                if need not in seen:
                    raise ValueError(f'"{job.name}" needs "{need}", which no job before it makes')
            seen.add(job.name)

    def job(self, name: str) -> Job:
        for job in self.jobs:
            if job.name == name:
                return job
        unknown("job", name, [j.name for j in self.jobs])

    @property
    def minutes(self) -> float:
        """Of one core, over all jobs."""
        return sum(j.minutes for j in self.jobs)

    def chain(self, name: str) -> tuple[Job, ...]:
        """A job and all it needs, in the order of the plan; what it only wants does not count."""
        found = {name}
        for job in reversed(self.jobs):
            if job.name in found:
                found.update(job.needs)
        return tuple(j for j in self.jobs if j.name in found)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Job -> hash of its call, its arguments and all it builds on."""
        out: dict[str, str] = {}
        for job in self.jobs:
            parts = (*hashed(job.call, job.arguments), [out[n] for n in job.needs])
            text = json.dumps(parts, sort_keys=True)
            out[job.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return out

    def save(self, path: Path) -> None:
        configs.write_json(path, configs.to_dict(self))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Raises: UserError: no plan there, or one this version does not know."""
        if not path.is_file():
            raise UserError("no study there", where=path.parent, hint="start it with `intona study`")
        return configs.load(cls, path)
