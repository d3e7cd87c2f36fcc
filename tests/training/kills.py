"""Kill a process that only saves, again and again, and look at what each kill leaves (see test_endurance.py).

Prints one JSON object: kills, those inside a save, checkpoints found whole, saves lost,
partial ones taken for whole.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from intona import checkpoint
from intona.errors import UserError


def stopped_inside_a_save(child: int, run: Path, rng: random.Random) -> None:
    """Halt the child while a save is under way: halted, looked at, and let go on until it is inside one."""
    while True:
        while not any(run.glob(".step-*.tmp")):
            time.sleep(0.0002)
        time.sleep(rng.uniform(0.0, 0.004))
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        if any(run.glob(".step-*.tmp")):
            return
        os.kill(child, signal.SIGCONT)


def main() -> None:
    run, kills = Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(0)
    tensors = {
        "model": {"w": torch.zeros(300, 300)},
        "ema": {"w": torch.zeros(300, 300)},
        "state/optimizer": {"m": torch.zeros(600, 300)},
    }
    found = {"kills": 0, "inside": 0, "whole": 0, "lost": 0, "partial": 0}
    checkpoint.save(run, 0, tensors=tensors, files={"config.json": {}})
    for kill in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            step = checkpoint.steps(run)[-1]
            while True:
                step += 1
                for part in tensors.values():
                    for tensor in part.values():
                        tensor.fill_(float(step))
                checkpoint.save(run, step, tensors=tensors, files={"config.json": {"step": step}})
                os.write(writer, step.to_bytes(8, "little"))  # the save has returned
                checkpoint.prune(run, keep=2)
        os.close(writer)
        if kill % 2:
            stopped_inside_a_save(child, run, rng)
        else:
            time.sleep(rng.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reader, "rb") as pipe:
            told = pipe.read()
        promised = int.from_bytes(told[-8:], "little") if told else 0
        found["kills"] += 1
        found["inside"] += any(run.glob(".step-*.tmp"))
        for step in checkpoint.steps(run):
            path = run / f"step-{step:08d}"
            try:
                checkpoint.verify(path)
                value = float(checkpoint.read_tensors(path / "model.safetensors")["w"][0, 0])
                found["partial"] += value != step
            except UserError:
                found["partial"] += 1
        newest = checkpoint.resolve(run)
        found["whole"] += 1
        # What save() has returned for must be there; what was under way may be.
        found["lost"] += int(newest.name[-8:]) < promised
    print(json.dumps(found))


if __name__ == "__main__":
    main()
