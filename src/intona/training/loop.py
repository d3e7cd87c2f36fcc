"""The training loop. It knows a task, a feed and a config, and nothing about speech."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intona import checkpoint, provenance
from intona import config as configs
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.precision import Precision, set_fast_matmul, wants_bf16
from intona.nn.random import derive_seed
from intona.training.ema import EMA
from intona.training.guards import refuse_non_finite
from intona.training.optim import OptimConfig, build_optimizer, lr_at
from intona.training.stopping import StopSignals
from intona.training.task import Feed, Task
from intona.training.tracking import Tracker

if TYPE_CHECKING:
    from lightning.fabric import Fabric

KINDS = {"voices.json": "voices", "vocoder.json": "vocoders"}  # file with a "kind" -> group of parts


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Length, precision and intervals of a training.

    `precision` "auto" is bf16 where that is faster (`nn.precision`).
    `accumulate` micro-batches make one update; their mean losses are averaged.
    `best` is a term of the dev loss, or a sum such as "kl+text": the averaged weights with the lowest value
    are kept in RUN/best, a separate model ("" keeps none).
    """

    steps: int = 10_000
    seed: int = 0
    precision: Precision = "auto"
    accumulate: int = 1
    ema: float = 0.999
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 1000
    demo_every: int = 0
    keep: int = 2
    best: str = ""

    def __post_init__(self) -> None:
        configs.at_least(self, steps=0, seed=0, accumulate=1, ema=0, demo_every=0, keep=1)
        configs.at_least(self, log_every=1, validate_every=1, save_every=1)
        if self.ema >= 1:
            raise ValueError(f"ema is {self.ema}: it must be below 1, or nothing is learnt")


def fit(
    task: Task,
    config: LoopConfig,
    optim: OptimConfig,
    run: Path,
    *,
    feed: Callable[[int, int], Feed],
    run_config: Any,
    limit_minutes: float | None = None,
    fabric: Fabric | None = None,
) -> Path:
    """Train up to `config.steps`, or resume a run.

    Args:
        task: built with the seed of the run; on a resume its weights are replaced by those of the checkpoint.
        config, optim: length of the training, and the optimizer.
        run: run directory; it is resumed if it holds a checkpoint of the same `run_config`.
        feed: (rank, world size) -> Feed.
        run_config: the whole resolved config, which is saved and compared.
        limit_minutes: stop after this wall time, with a checkpoint, as on Ctrl-C or SIGTERM (`StopSignals`).
        fabric: a launched Fabric for several processes; one process if None.

    Returns:
        the newest checkpoint directory.

    Raises:
        UserError: the run was started with another config, another process of the run has ended, or a loss
            or gradient is not finite.
    """
    from lightning.fabric import Fabric as _Fabric

    started = time.monotonic()
    run = Path(run)
    set_fast_matmul()
    bf16 = _bf16(config.precision, run)
    fabric = fabric or _Fabric(accelerator="auto", devices=1, precision="32-true")
    rank, world = fabric.global_rank, fabric.world_size
    batches = feed(rank, world)
    ema = EMA(task, config.ema)
    optimizer = build_optimizer(optim, task, rates=task.rates())
    done = _resume(task, ema, optimizer, batches, run, run_config, rank)
    model, optimizer = fabric.setup(task, optimizer)
    tracker = Tracker(run, config.steps, start=done, active=rank == 0)
    device = fabric.device

    def lower() -> torch.autocast:
        # Not Fabric's autocast: it would cast the result of forward and cannot look into `Losses`.
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)

    def save() -> None:
        feeds = _gather(batches.state_dict(), world)
        if rank == 0:
            _save(run, done, task, ema, optimizer, {"bf16": bf16, "feeds": feeds}, run_config)
            checkpoint.prune(run, keep=config.keep)
        fabric.barrier()

    def validate() -> None:
        for name in ("raw", "ema"):
            if name == "ema":
                with ema.swapped_in(task):
                    values = _validate(task, batches, device, lower)
            else:
                values = _validate(task, batches, device, lower)
            tracker.log(done, f"dev_{name}", values)
            if name == "ema" and config.best and values and rank == 0:
                _keep_best(run, done, task, ema, config.best, values, run_config)

    with StopSignals() as signals:
        try:
            if done == 0:
                with lower():
                    peak = _rehearse(model, fabric, batches, device)
                tracker.message(f"longest batch rehearsed; peak memory {peak:.2f} GiB")
                validate()
                save()
            audio, clock = 0.0, time.monotonic()
            window_start = done
            while done < config.steps:
                optimizer.zero_grad(set_to_none=True)
                # Dropout: a pure function of (seed, step, rank), so no RNG state needs saving.
                torch.manual_seed(derive_seed(config.seed, "dropout", done, rank))
                logged: dict[str, Tensor] = {}
                micro: Any = None
                for part in range(config.accumulate):
                    micro = batches.next().to(device)
                    audio += batches.seconds(micro)
                    with fabric.no_backward_sync(model, enabled=part < config.accumulate - 1):
                        with lower():
                            losses = _global(model(micro, done * config.accumulate + part), world)
                        # DDP averages gradients over ranks; the loss is a sum over ranks / global count.
                        fabric.backward(losses.total * (world / config.accumulate))
                    for k, p in losses.parts.items():
                        value = _sum_over_ranks(p.total.detach(), world) / p.count.clamp(min=1)
                        logged[k] = logged.get(k, torch.zeros_like(value)) + value / config.accumulate
                norm = torch.nn.utils.clip_grad_norm_(task.parameters(), optim.clip)
                values = {k: float(v) for k, v in logged.items()} | {"grad_norm": float(norm)}
                refuse_non_finite(values, step=done, rank=rank, batch=micro, run=run)
                lr = lr_at(optim, done, config.steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["rate"]
                optimizer.step()
                done += 1
                ema.update(task, done)
                if done % config.log_every == 0 or done == config.steps:
                    seconds = time.monotonic() - clock
                    speed = {
                        "lr": lr,
                        "steps_per_hour": 3600 * (done - window_start) / seconds,
                        "audio_per_second": audio * world / seconds,
                        "minutes_left": (config.steps - done) * seconds / (done - window_start) / 60,
                    }
                    tracker.log(done, "train", values | speed)
                    audio, clock, window_start = 0.0, time.monotonic(), done
                if done % config.validate_every == 0 or done == config.steps:
                    validate()
                if (
                    config.demo_every
                    and (done % config.demo_every == 0 or done == config.steps)
                    and rank == 0
                ):
                    with ema.swapped_in(task), torch.random.fork_rng():
                        task.eval()
                        task.demonstrate(run / "demo" / f"step-{done:08d}", done)
                        task.train()
                late = limit_minutes is not None and time.monotonic() - started > 60 * limit_minutes
                late = bool(_sum_over_ranks(torch.tensor(float(late or signals.requested)), world) > 0)
                if done % config.save_every == 0 or done == config.steps or late:
                    save()
                if late and done < config.steps:
                    minutes = (time.monotonic() - started) / 60
                    tracker.message(
                        f"stopped after {minutes:.3g} minutes at step {done}; the same command goes on"
                    )
                    break
        except RuntimeError as e:
            if world > 1 and _is_a_lost_rank(e):
                raise UserError(
                    f"another of the {world} processes of this run has ended, at step {done}",
                    where=run,
                    hint="see its messages, then start the same command again: it resumes",
                ) from None
            raise
        finally:
            tracker.close()
    return checkpoint.resolve(run)


def _is_a_lost_rank(error: RuntimeError) -> bool:
    """Whether a collective failed because a peer is gone; gloo reports it only in the message."""
    kinds = (torch.distributed.DistBackendError, torch.distributed.DistNetworkError)
    message = str(error).lower()
    return isinstance(error, kinds) or "gloo" in message or "connection closed by peer" in message


def _global(losses: Losses, world: int) -> Losses:
    return losses.with_counts({k: _sum_over_ranks(p.count.detach(), world) for k, p in losses.parts.items()})


def _sum_over_ranks(value: Tensor, world: int) -> Tensor:
    if world > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def _gather(state: dict[str, Any], world: int) -> list[dict[str, Any]]:
    if world == 1:
        return [state]
    out: list[Any] = [None] * world
    torch.distributed.all_gather_object(out, state)
    return out


def _rehearse(model: Any, fabric: Any, batches: Feed, device: torch.device) -> float:
    """Forward and backward of the longest batch: a lack of memory shows at once. Peak memory in GiB."""
    import resource

    losses: Losses = model(batches.longest().to(device), -1)
    fabric.backward(losses.total)
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@torch.no_grad()
def _validate(task: Task, batches: Feed, device: torch.device, lower: Any) -> dict[str, float]:
    """Mean losses over the whole dev set, with the same noise every time (step -2)."""
    task.eval()
    totals: dict[str, list[float]] = {}
    for batch in batches.validation():
        with lower():
            losses = task(batch.to(device), -2)
        for k, p in losses.parts.items():
            pair = totals.setdefault(k, [0.0, 0.0])
            pair[0] += float(p.total)
            pair[1] += float(p.count)
    task.train()
    return {k: total / max(count, 1.0) for k, (total, count) in totals.items()}


def files_of(run_config: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The JSON files of a checkpoint: config, provenance, and what the task adds.

    Provenance has the stage, the parts of the config, and the kind of voice or vocoder that `extra` declares.
    """
    parts = [("stages", run_config.stage), *configs.parts_of(run_config)]
    for name, group in KINDS.items():
        declared = extra.get(name)
        if isinstance(declared, dict) and isinstance(kind := declared.get("kind"), str):
            parts.append((group, kind))
    return {
        "config.json": configs.to_dict(run_config),
        provenance.FILE: provenance.describe(parts),
        **extra,
    }


def _save(
    run: Path, step: int, task: Task, ema: EMA, optimizer: Any, place: dict[str, Any], run_config: Any
) -> None:
    names = {id(p): n for n, p in task.named_parameters()}
    moments: dict[str, Tensor] = {}
    for p, state in optimizer.state.items():
        for k, v in state.items():
            moments[f"{names[id(p)]}:{k}"] = torch.as_tensor(v)
    checkpoint.save(
        run,
        step,
        tensors={"model": task.state_dict(), "ema": ema.state_dict(), "state/optimizer": moments},
        files={
            "state/loop.json": {"step": step, **place},
            **files_of(run_config, task.extra_files()),
        },
    )


def _keep_best(
    run: Path, step: int, task: Task, ema: EMA, measure: str, values: dict[str, float], run_config: Any
) -> None:
    """Save the averaged weights as RUN/best/step-N if they are better on the dev set than all before."""
    missing = [k for k in measure.split("+") if k not in values]
    if missing:
        raise UserError(
            f'no dev loss "{missing[0]}"', where="--loop.best", hint=f"one of {', '.join(values)}"
        )
    value, best = sum(values[k] for k in measure.split("+")), run / "best"
    if saved := checkpoint.steps(best):
        before = configs.read_json(best / f"step-{saved[-1]:08d}" / "best.json")
        # A killed run passes the same steps again, with the same values.
        if before["value"] <= value:
            return
    checkpoint.save(
        best,
        step,
        tensors={"model": ema.state_dict()},
        files={
            "best.json": {"measure": measure, "value": value, "step": step},
            **files_of(run_config, task.extra_files()),
        },
    )
    checkpoint.prune(best, keep=1)


def _bf16(precision: Precision, run: Path) -> bool:
    """Whether to use bf16. "auto" is measured once, when the run starts; a resumed run keeps the result."""
    saved = checkpoint.steps(run)
    if precision == "auto" and saved:
        state = configs.read_json(run / f"step-{saved[-1]:08d}" / "state" / "loop.json", max_bytes=64 << 20)
        if isinstance(state.get("bf16"), bool):
            return state["bf16"]
    return wants_bf16(precision, "cuda" if torch.cuda.is_available() else "cpu")


def _resume(
    task: Task, ema: EMA, optimizer: Any, batches: Feed, run: Path, run_config: Any, rank: int
) -> int:
    """Load the newest checkpoint if there is one. Returns the number of updates done."""
    saved = checkpoint.steps(run)
    if not saved:
        return 0
    path = run / f"step-{saved[-1]:08d}"
    checkpoint.verify(path)
    before = configs.load(type(run_config), path / "config.json")
    # A run may continue with more steps or other intervals, but with no other change.
    changed = [d for d in configs.diff(before, run_config) if not d.startswith(_FREE)]
    if changed:
        raise UserError(
            f"the run was started with another config: {'; '.join(changed[:5])}",
            where=run,
            hint="choose another --output, or use the config it was started with",
        )
    checkpoint.load_weights(task, checkpoint.read_tensors(path / "model.safetensors"), where=path)
    ema.load_state_dict(checkpoint.read_tensors(path / "ema.safetensors"))
    moments = checkpoint.read_tensors(path / "state" / "optimizer.safetensors")
    for name, p in task.named_parameters():
        state = {k.rsplit(":", 1)[1]: v for k, v in moments.items() if k.rsplit(":", 1)[0] == name}
        if state:
            optimizer.state[p] = {k: v.to(p.device) if v.dim() else v for k, v in state.items()}
    loop = configs.read_json(path / "state" / "loop.json", max_bytes=64 << 20)
    feeds = loop["feeds"]
    # With another number of ranks the weights are exact; the order of data starts from rank 0's place.
    batches.load_state_dict(feeds[rank] if rank < len(feeds) else feeds[0])
    return int(loop["step"])


_FREE = tuple(
    f"loop.{k}:" for k in ("steps", "log_every", "validate_every", "save_every", "demo_every", "keep")
)
