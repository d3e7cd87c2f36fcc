"""Stages: what `intona train` can run, and the one function that trains each of them.

A package registers its stages by name in the group `intona.stages` (`intona.registry`):

    STAGE = Stage(name="mine.voice", makes="voice", sizes={"small": small}, setup=setup)

    def setup(config: MyRun, request: Request) -> Setup:
        prepared = Prepared.open(request.data)
        config = dataclasses.replace(config, corpus=prepared.fingerprint)
        return Setup(
            config=config,
            task=lambda: MyTask(config, prepared),
            feed=lambda rank, world: MelFeed(prepared, seed=config.loop.seed, rank=rank, world=world, ...),
        )

The config of a run is a frozen dataclass with the fields stage, size, corpus, init, model, loop and optim.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from intona import checkpoint, models, registry
from intona import config as configs
from intona.errors import UserError, unknown
from intona.training.initial import built_as, start_from
from intona.training.loop import fit
from intona.training.opening import log_opening
from intona.training.ranks import Ranks
from intona.training.task import Feed, Task
from intona.training.text_encoder import EncoderSource

GROUP = "stages"
Makes = Literal["voice", "encoder", "vocoder", "part"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run is started with.

    Attributes:
        data: the prepared corpus. out: the run directory.
        overrides: dotted field of the config -> value, as text.
        init: directory of the model that a new run starts from.
        encoder: the text encoder that a voice is built on.
        limit_minutes: wall time after which the run stops, with a checkpoint.
    """

    data: Path
    out: Path
    overrides: Mapping[str, str] = field(default_factory=dict)
    init: Path | None = None
    encoder: EncoderSource | None = None
    limit_minutes: float | None = None

    @property
    def resumes(self) -> bool:
        """Whether the run directory holds a checkpoint already."""
        return bool(checkpoint.steps(self.out))


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A stage with its data: what is left is to train.

    Attributes:
        config: resolved; saved in each checkpoint, and compared when the run resumes.
        task: builds the task. The random numbers of its weights follow from `config.loop.seed`.
        feed: (rank, world size) -> batches.
        facts: name -> value of facts to print when the run begins. The parameters are counted beside them.
        start: (task, init); copies the weights of the model that a new run starts from.
        finish: is called with the newest checkpoint, by the first process.
        run: for a stage that has no gradients: trains, and returns the newest checkpoint. It then needs no
            task and no feed. Of several processes the first one trains, and the others wait.
    """

    config: Any
    task: Callable[[], Task] | None = None
    feed: Callable[[int, int], Feed] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    start: Callable[[Any, Path], object] = start_from
    finish: Callable[[Path], object] | None = None
    run: Callable[[], Path] | None = None


def resolve(preset: Any, request: Request) -> Any:
    """The preset, with the model of the run that it starts from (--init), and overridden.

    Raises:
        UserError: an unknown field, or a value that it does not take.
    """
    return configs.override(built_as(preset, request.init), request.overrides)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One kind of training.

    Attributes:
        name: SYSTEM.STAGE, the name that it is registered under and the `stage` of its configs.
        makes: what a finished run is. A "part" is used by other stages only.
        sizes: name -> function that returns the config of a whole run.
        setup: (config, request) -> `Setup`: opens the data and fills in what depends on it. Of several
            processes the first one is alone at first: what it computes once and keeps, the others read.
        resolve: (preset, request) -> config; see `resolve`.
        init: whether a run may, must or cannot start from a model (--init).
        encoders: what --encoder may name: a "run" of a pretraining stage, a "published" text model.
    """

    name: str
    makes: Makes
    sizes: Mapping[str, Callable[[], Any]]
    setup: Callable[[Any, Request], Setup]
    resolve: Callable[[Any, Request], Any] = resolve
    init: Literal["optional", "required", "refused"] = "optional"
    encoders: tuple[Literal["run", "published"], ...] = ()


def stage_of(name: str) -> Stage:
    """A registered stage.

    Raises:
        UserError: no stage has that name (nearest offered), or what is registered is no stage.
    """
    stage = registry.get(GROUP, name)
    if not isinstance(stage, Stage):
        raise UserError(f'"{name}" is registered as a stage and is {type(stage).__name__}')
    return stage


def train(
    stage: Stage,
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: Mapping[str, str] | None = None,
    limit_minutes: float | None = None,
    init: Path | str | None = None,
    encoder: Path | str | None = None,
    fabric: Any = None,
) -> Path:
    """Train a stage, or resume it if `out` holds a checkpoint; returns the newest checkpoint.

    Args:
        size: one of `stage.sizes`.
        init: a model (shipped name, run or checkpoint directory) whose weights a new run starts from.
        encoder: a text encoder (shipped name, run or checkpoint directory, published text model).
        fabric: a launched Lightning Fabric, for several processes (`training.launch`).

    Raises:
        UserError: unknown size or field of the config (nearest offered); a model that the stage cannot start
            from; another config than the run's; another process of the run has ended.
    """
    ranks = Ranks(fabric)

    def prepare() -> tuple[Request, Setup]:
        if size not in stage.sizes:
            unknown("size", size, stage.sizes, where=stage.name)
        request = Request(
            data=Path(data),
            out=Path(out),
            overrides=dict(overrides or {}),
            init=_init(stage, init),
            encoder=_encoder(stage, encoder),
            limit_minutes=limit_minutes,
        )
        if request.out.is_file():
            raise UserError("is a file, not a run directory", where=out)
        if request.resumes:
            checkpoint.resolve(request.out)  # says which package is missing, if one is
        return request, stage.setup(stage.resolve(stage.sizes[size](), request), request)

    with ranks.ending_together(Path(out)):
        request, setup = ranks.in_turn(prepare)
        newest = _run(setup, request, ranks)
        if setup.finish is not None and ranks.rank == 0:
            setup.finish(newest)
    return newest


def _run(setup: Setup, request: Request, ranks: Ranks) -> Path:
    config = setup.config
    flags = {
        "data": str(request.data.resolve()),
        "encoder": "" if request.encoder is None else str(request.encoder.path),
        "settings": ", ".join(f"{name} {value}" for name, value in request.overrides.items()),
    }
    if ranks.fabric is not None and ranks.world > 1:
        flags["processes"] = f"{ranks.world} on {ranks.fabric.device.type}"
    if setup.run is not None:
        if ranks.rank == 0:
            log_opening(config, request.out, setup.facts, flags)
        return ranks.first_only(setup.run)
    build = setup.task
    if build is None or setup.feed is None:
        raise ValueError(f"the setup of {config.stage} has neither `run`, nor `task` and `feed`")

    def begin() -> Task:
        torch.manual_seed(config.loop.seed)
        task = build()
        if request.init is not None:
            setup.start(task, request.init)
        return task

    task = ranks.together(begin)
    if request.init is not None:
        config = dataclasses.replace(config, init=checkpoint.identity_of(request.init))
    millions = sum(p.numel() for p in task.parameters() if p.requires_grad) / 1e6
    facts = {"parameters": f"{millions:.2f} M", **setup.facts, **task.summary()}
    if ranks.rank == 0:
        log_opening(config, request.out, facts, flags)
    return fit(
        task,
        config.loop,
        config.optim,
        request.out,
        feed=setup.feed,
        run_config=config,
        limit_minutes=request.limit_minutes,
        ranks=ranks,
    )


def _init(stage: Stage, init: Path | str | None) -> Path | None:
    if init is None:
        if stage.init == "required":
            raise UserError(f"{stage.name} starts from an earlier run", hint="name it: --init RUN")
        return None
    if stage.init == "refused":
        raise UserError(f"{stage.name} starts from its corpus, not from a model", where="--init")
    return models.find(init)


def _encoder(stage: Stage, encoder: Path | str | None) -> EncoderSource | None:
    if encoder is None:
        return None
    if not stage.encoders:
        others = []
        for name in registry.names(GROUP):
            with contextlib.suppress(UserError, ImportError):  # a broken one is not what this is about
                others += [name] if stage_of(name).encoders else []
        raise UserError(f"{stage.name} takes no --encoder", hint=f"{', '.join(others)} do")
    return EncoderSource.of(encoder, published="published" in stage.encoders)
