"""The training loop. It knows a task, a feed and a config, and nothing about speech."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intona import checkpoint, devices
from intona import config as configs
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.nn.precision import Precision, set_fast_matmul, wants_bf16
from intona.nn.random import derive_seed
from intona.training import state
from intona.training.ema import EMA
from intona.training.guards import refuse_non_finite
from intona.training.optim import OptimConfig, build_optimizer, lr_at
from intona.training.ranks import Ranks
from intona.training.recompute import recompute
from intona.training.sharding import is_sharded, mean_over_ranks, whole
from intona.training.stopping import StopSignals
from intona.training.task import Feed, Task
from intona.training.tracking import Tracker
from intona.training.validation import validate


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Length, precision and intervals of a training.

    `precision` "auto" is bf16 where that is faster (`nn.precision`).
    `accumulate` micro-batches make one update; their mean losses are averaged.
    `validate_within`: a validation ends once the 95 % interval of the dev loss is within this share of it,
    such as 0.02; 0 uses the whole dev set.
    `recompute`: gradient checkpointing. The activations inside of a layer are not kept but computed again in
    the backward pass: less memory, about a third more time, the same gradients.
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
    validate_within: float = 0.0
    save_every: int = 1000
    demo_every: int = 0
    keep: int = 2
    best: str = ""
    recompute: bool = False

    def __post_init__(self) -> None:
        configs.at_least(self, steps=0, seed=0, accumulate=1, ema=0, demo_every=0, keep=1)
        configs.at_least(self, validate_within=0)
        configs.at_least(self, log_every=1, validate_every=1, save_every=1)
        if self.ema >= 1:
            raise ValueError(f"ema is {self.ema}: it must be below 1, or nothing is learnt")


class Objective(nn.Module):
    """A task whose losses are tensors in plain containers: DDP and FSDP do not see into `Losses`.

    `forward` gives term -> (total, count, weight).
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, batch: Any, step: int) -> dict[str, tuple[Tensor, Tensor, float]]:
        return {k: (p.total, p.count, p.weight) for k, p in self.task(batch, step).parts.items()}


def fit(
    task: Task,
    config: LoopConfig,
    optim: OptimConfig,
    run: Path,
    *,
    feed: Callable[[int, int], Feed],
    run_config: Any,
    limit_minutes: float | None = None,
    ranks: Ranks | None = None,
) -> Path:
    """Train up to `config.steps`, or resume a run.

    Args:
        task: built with the seed of the run; on a resume its weights are replaced by those of the checkpoint.
        config, optim: length of the training, and the optimizer.
        run: run directory; it is resumed if it holds a checkpoint of the same `run_config`.
        feed: (rank, world size) -> Feed.
        run_config: the whole resolved config, which is saved and compared.
        limit_minutes: stop after this wall time, with a checkpoint, as on Ctrl-C or SIGTERM (`StopSignals`).
        ranks: of a launched Fabric, for several processes; one process if None.

    Returns:
        the newest checkpoint directory.

    Raises:
        UserError: the run was started with another config, another process of the run has ended, or a loss
            or gradient is not finite.
    """
    from lightning.fabric import Fabric

    started = time.monotonic()
    run = Path(run)
    set_fast_matmul()
    ranks = ranks or Ranks()
    fabric = ranks.fabric or Fabric(accelerator="auto", devices=1, precision="32-true")
    rank, world, device = ranks.rank, ranks.world, fabric.device
    batches = ranks.together(lambda: feed(rank, world))
    if config.recompute:
        recompute(task.blocks())
    objective = Objective(task)
    model = fabric.setup_module(objective)
    sharded = is_sharded(task)
    if sharded and config.demo_every:
        with ranks.alike():
            what = "a demo needs the whole model on one device"
            raise UserError(what, where="--loop.demo-every", hint="use --strategy ddp")
    ema = EMA(task, config.ema)
    optimizer = build_optimizer(optim, task, rates=task.rates())
    bf16 = ranks.first(_bf16(config.precision, run, device))
    done = ranks.together(lambda: state.resume(run, task, ema, optimizer, batches, run_config, rank=rank))
    tracker = Tracker(run, config.steps, start=done, active=rank == 0)

    def lower() -> torch.autocast:
        # Not Fabric's autocast: it would cast the result of forward and cannot look into `Losses`.
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)

    def save() -> None:
        state.save(
            run, done, task, ema, optimizer, batches, run_config, ranks=ranks, keep=config.keep, bf16=bf16
        )

    how: dict[str, Any] = {"within": config.validate_within, "seed": config.seed}
    dev_losses = partial(validate, objective, ranks=ranks, device=device, precision=lower, **how)

    def validate_both() -> None:
        raw = dev_losses(batches.validation())
        with ema.swapped_in(task):
            averaged = dev_losses(batches.validation())
        for kind, result in (("dev_raw", raw), ("dev_ema", averaged)):
            tracker.log(done, kind, result.values)
            for group, part in result.groups.items():
                tracker.log(done, f"{kind}_{group}", part.values)
        if averaged.half_width is not None and (config.validate_within or done == config.steps):
            tracker.message(
                f"dev loss of the averaged weights {averaged.loss:.4g} ± {averaged.half_width:.2g} "
                f"(95 %), {averaged.batches} batches"
            )
        if config.best and averaged.values:
            with ranks.alike():
                state.keep_best(run, done, task, ema, config.best, averaged.values, run_config, ranks=ranks)

    with StopSignals() as signals, ranks.ending_together(run, lambda: f", at step {done}"):
        try:
            if done == 0:
                with lower():
                    peak = _rehearse(model, fabric, batches, device)
                tracker.message(f"longest batch rehearsed; peak memory {peak:.2f} GiB")
                validate_both()
                save()
            audio, clock = 0.0, time.monotonic()
            window_start = done
            while done < config.steps:
                optimizer.zero_grad(set_to_none=True)
                # Dropout: a pure function of (seed, step, rank), so no RNG state needs saving.
                torch.manual_seed(derive_seed(config.seed, "dropout", done, rank))
                logged: dict[str, Tensor] = {}
                batch: Any = None
                for part in range(config.accumulate):
                    batch = batches.next().to(device)
                    audio += batches.seconds(batch)
                    step = done * config.accumulate + part
                    with fabric.no_backward_sync(model, enabled=part < config.accumulate - 1):
                        means = _backward(model, batch, step, fabric, lower, share=1 / config.accumulate)
                    for k, mean in means.items():
                        logged[k] = logged.get(k, torch.zeros_like(mean)) + mean / config.accumulate
                if sharded:
                    mean_over_ranks(task)
                norm = whole(torch.nn.utils.clip_grad_norm_(task.parameters(), optim.clip))
                values = {k: float(v) for k, v in logged.items()} | {"grad_norm": float(norm)}
                with ranks.alike():
                    refuse_non_finite(values, step=done, rank=rank, batch=batch, run=run)
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
                    validate_both()
                ends = done == config.steps
                if config.demo_every and (done % config.demo_every == 0 or ends) and rank == 0:
                    with ema.swapped_in(task), torch.random.fork_rng():
                        task.eval()
                        task.demonstrate(run / "demo" / f"step-{done:08d}", done)
                        task.train()
                late = limit_minutes is not None and time.monotonic() - started > 60 * limit_minutes
                late = ranks.any(late or signals.requested)
                if done % config.save_every == 0 or ends or late:
                    save()
                if late and not ends:
                    minutes = (time.monotonic() - started) / 60
                    tracker.message(
                        f"stopped after {minutes:.3g} minutes at step {done}; the same command goes on"
                    )
                    break
        finally:
            tracker.close()
    return checkpoint.resolve(run)


def _backward(
    model: Any, batch: Any, step: int, fabric: Any, precision: Callable[[], Any], *, share: float
) -> dict[str, Tensor]:
    """Add the gradients of a batch, times `share`; the mean of each loss over the batches of all ranks."""
    world = fabric.world_size
    with precision():
        losses = _losses(model(batch, step))
        counts = _sum_over_ranks({k: p.count for k, p in losses.parts.items()}, world)
        losses = losses.with_counts(counts)
    # DDP averages gradients over ranks; the loss is a sum over ranks / global count.
    fabric.backward(losses.total * (world * share))
    totals = _sum_over_ranks({k: p.total for k, p in losses.parts.items()}, world)
    return {k: totals[k] / p.count.clamp(min=1) for k, p in losses.parts.items()}


def _losses(terms: dict[str, tuple[Tensor, Tensor, float]]) -> Losses:
    return Losses(parts={k: Part(total=t, count=n, weight=w) for k, (t, n, w) in terms.items()})


def _sum_over_ranks(values: dict[str, Tensor], world: int) -> dict[str, Tensor]:
    """Each value, a scalar, summed over all ranks; without a gradient."""
    values = {k: v.detach() for k, v in values.items()}
    if world == 1 or not values:
        return values
    sums = torch.stack([v.double() for v in values.values()])
    torch.distributed.all_reduce(sums)
    return {k: x.to(v.dtype) for (k, v), x in zip(values.items(), sums, strict=True)}


def _rehearse(model: Any, fabric: Any, batches: Feed, device: torch.device) -> float:
    """Forward and backward of the longest batch: a lack of memory shows at once. Peak memory in GiB."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    losses = _losses(model(batches.longest().to(device), -1))
    fabric.backward(losses.total)
    model.zero_grad(set_to_none=True)
    with torch.no_grad():  # running statistics of a batch normalisation do not remember the rehearsal
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return devices.peak_bytes(device) / 2**30


def _bf16(precision: Precision, run: Path, device: torch.device) -> bool:
    """Whether to use bf16. "auto" is measured once, when the run starts; a resumed run keeps the result."""
    saved = state.saved_bf16(run) if precision == "auto" else None
    return wants_bf16(precision, device.type) if saved is None else saved
