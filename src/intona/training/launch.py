"""Start the processes of a run: one per device, by Lightning Fabric, torchrun or Slurm."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import torch

from intona.errors import UserError
from intona.training.sharding import shard

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Strategy = Literal["auto", "ddp", "fsdp"]
# Of collectives between devices: rank 0 may write a checkpoint or a demo while the others wait.
TIMEOUT = timedelta(hours=2)
# Seconds for a process to notice by a collective that another has ended, and to say so.
GRACE = 60.0


@dataclass(frozen=True, kw_only=True)
class Processes:
    """How a run is spread over devices; each device has a process of its own.

    Attributes:
        device: "cpu", "cuda", "cuda:N" for one process on that GPU, or "auto": a GPU where there is one.
        devices: processes per node. nodes: number of nodes. None = what torchrun or srun started, else 1.
        strategy: "ddp" keeps the whole model on each device; "fsdp" divides its weights, their averages and
            the state of the optimizer among them (FSDP2). "auto" is ddp.
    """

    device: str = "auto"
    devices: int | None = None
    nodes: int | None = None
    strategy: Strategy = "auto"


def launch(processes: Processes) -> Fabric:
    """A launched Fabric. Called in a process that Fabric started, it joins the others.

    Raises:
        UserError: no such device; fewer devices than processes; numbers that do not fit torchrun or srun.
    """
    from lightning.fabric import Fabric

    accelerator, index = _accelerator(processes.device)
    environment, devices, nodes = _environment(processes)
    world = devices * nodes
    if world == 1:
        if processes.strategy == "fsdp":
            raise UserError("fsdp divides a model among processes, and there is one", hint="add --devices N")
        if processes.device == "auto":
            accelerator = "auto"  # also what else Fabric knows, such as mps
        return Fabric(accelerator=accelerator, devices=1 if index is None else [index], precision="32-true")
    if index is not None:
        raise UserError(f"{world} processes on one GPU", where="--device", hint="use --device cuda")
    if accelerator == "cuda" and devices > torch.cuda.device_count():
        raise UserError(
            f"{devices} processes on {torch.cuda.device_count()} GPUs",
            where="--devices",
            hint="with srun, each task has to see all GPUs of its node: --gpus-per-node",
        )
    for name in ("lightning.fabric", "lightning.pytorch"):  # their banner of the processes
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=_strategy(processes.strategy, world),
        precision="32-true",
        plugins=[environment],
    )
    parent = os.getppid()
    with _watching():
        fabric.launch()
    if fabric.global_rank:
        _be_silent()
        if not os.environ.get("TORCHELASTIC_RUN_ID") and fabric.local_rank and nodes == 1:
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return fabric


def _accelerator(device: str) -> tuple[str, int | None]:
    """The accelerator that a --device names, and the index of a GPU."""
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UserError(f'"{device}" is no device', where="--device", hint="auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError("no GPU that this torch can use", where="--device", hint="use --device cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise UserError(f"{device}: there are {torch.cuda.device_count()} GPUs", where="--device")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return kind, int(number) if number else None


def _environment(processes: Processes) -> tuple[Any, int, int]:
    """Who starts the processes, how many per node, and how many nodes."""
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    for name, number in (("--devices", processes.devices), ("--nodes", processes.nodes)):
        if number is not None and number < 1:
            raise UserError(f"{number} is less than 1", where=name)
    if TorchElasticEnvironment.detect():
        environment, who = TorchElasticEnvironment(), "torchrun"
        world, devices = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = world // devices
    # srun sets this for the tasks of a step; a command of a batch script has none and is one process.
    elif (world := int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))) > 1:
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", os.environ.get("SLURM_NNODES", "1")))
        devices = world // nodes
        # Lightning refuses tasks that were not counted per node, as by srun --ntasks.
        os.environ["SLURM_NTASKS_PER_NODE"] = str(devices)
        environment, who = SLURMEnvironment(auto_requeue=False), "srun"
    else:
        devices, nodes = processes.devices or 1, processes.nodes or 1
        if nodes > 1 and not {"MASTER_ADDR", "NODE_RANK"} <= os.environ.keys():
            raise UserError(
                f"{nodes} nodes, and nothing that starts a process on each",
                where="--nodes",
                hint="start the same command by torchrun or srun (docs/guide/train.md)",
            )
        return LightningEnvironment(), devices, nodes
    if devices * nodes != world:
        raise UserError(f"{who} started {world} processes on {nodes} nodes: not the same number on each")
    if processes.devices not in (None, devices) or processes.nodes not in (None, nodes):
        raise UserError(
            f"{who} started {devices} processes on each of {nodes} nodes",
            where="--devices, --nodes",
            hint=f"leave them out, or name the numbers that {who} is called with",
        )
    return environment, devices, nodes


def _strategy(name: Strategy, world: int) -> Any:
    from lightning.fabric.strategies.ddp import DDPStrategy
    from lightning.fabric.strategies.model_parallel import ModelParallelStrategy

    if name == "fsdp":

        def divide(objective: Any, mesh: Any) -> Any:
            return shard(objective, objective.task.blocks(), mesh["data_parallel"])

        return ModelParallelStrategy(
            divide, data_parallel_size=world, tensor_parallel_size=1, timeout=TIMEOUT
        )
    # A part that a step does not use has no gradient, as in one process.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return DDPStrategy(find_unused_parameters=True, timeout=TIMEOUT)


def _be_silent() -> None:
    """Rank 0 speaks for all; the others report only errors of their own."""
    for name in ("intona", "intona.training"):  # --verbose sets the level of the second
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


@contextmanager
def _watching() -> Iterator[None]:
    """Inside, Fabric starts processes that `_end_after` watches.

    Its own observer kills all of them without a word as soon as one has ended, often before rank 0 has
    noticed by itself and said so.
    """
    from lightning.fabric.strategies.launchers import subprocess_script

    original = subprocess_script._launch_process_observer

    def observe(others: list[Any]) -> None:
        threading.Thread(target=_end_after, args=(others,), daemon=True).start()

    subprocess_script._launch_process_observer = observe
    try:
        yield
    finally:
        subprocess_script._launch_process_observer = original


def _end_after(others: list[Any]) -> None:
    """End this process after one that it started has failed: it may wait for a device that never answers."""
    while not any(process.poll() for process in others):
        if all(process.poll() == 0 for process in others):
            return
        time.sleep(2)
    time.sleep(GRACE)
    for process in others:
        process.kill()
    line = "another process of this run has ended; start the same command again: it resumes"
    print(f"intona: error: {line}", file=sys.stderr, flush=True)
    os._exit(1)


def _end_with(parent: int) -> None:
    """End this process after the one that started it has ended."""
    while os.getppid() == parent:
        time.sleep(2)
    time.sleep(GRACE)
    os._exit(1)
