"""Ranks of a run as forked processes: a fresh interpreter would import torch for seconds."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.fabric  # noqa: F401 here, not once in each process
import torch


def on_ranks(world: int, work: Callable[[Any], Any], folder: Path, strategy: Any = "ddp") -> list[Any]:
    """The result of `work`, given a launched Fabric, on each rank: a value of JSON, or the exit code.

    The processes join like those that `intona train --devices N` starts.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    folder.mkdir(parents=True, exist_ok=True)
    processes = [
        context.Process(target=_rank, args=(rank, world, port, work, folder, strategy))
        for rank in range(world)
    ]
    for p in processes:
        p.start()
    for p in processes:
        p.join(1800)
    results = []
    for rank, p in enumerate(processes):
        result = folder / f"{rank}.json"
        results.append(json.loads(result.read_text()) if result.is_file() else p.exitcode)
    return results


def _rank(rank: int, world: int, port: int, work: Callable[[Any], Any], folder: Path, strategy: Any) -> None:
    from intona.errors import UserError
    from intona.training.launch import Processes, launch

    sys.stderr = sys.stdout = open(folder / f"{rank}.txt", "w", buffering=1)  # noqa: SIM115
    torch.set_num_threads(1)
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    code = 0
    try:
        fabric = launch(Processes(device="cpu", devices=world, strategy=strategy))
        (folder / f"{rank}.json").write_text(json.dumps(work(fabric)))
    except UserError as e:
        (folder / f"{rank}.json").write_text(json.dumps({"error": str(e)}))
    except SystemExit as e:
        code = int(e.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stderr.flush()
    os._exit(code)


def output_of(folder: Path, rank: int) -> str:
    """What a rank printed."""
    return (folder / f"{rank}.txt").read_text()
