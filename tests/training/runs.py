"""A tiny training run as a process of its own: killed, resumed, or spread over ranks by the tests."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import torch

from intona import logs


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("data", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--save-every", type=int, default=4)
    p.add_argument("--kill-at", type=int, default=0, help="a signal to itself before this update")
    p.add_argument("--signal", default="SIGKILL")
    p.add_argument("--kill-rank", type=int, default=0, help="which rank does")
    p.add_argument("--ranks", type=int, default=1)
    p.add_argument("--nan-at", type=int, default=-1)
    p.add_argument("--override", action="append", default=[])
    a = p.parse_args()
    torch.set_num_threads(1)

    from intona.systems.gradtts import stage as gradtts
    from intona.training.stage import train

    if a.kill_at or a.nan_at >= 0:
        real = gradtts.GradTTSTask.forward

        def forward(self, batch, step):
            rank = int(os.environ.get("LOCAL_RANK", "0"))
            if a.kill_at and step == a.kill_at and rank == a.kill_rank:
                os.kill(os.getpid(), signal.Signals[a.signal])
            if step == a.nan_at:
                batch.mels[0, 0, 0] = float("nan")
            return real(self, batch, step)

        gradtts.GradTTSTask.forward = forward  # type: ignore[method-assign]
    fabric = None
    if a.ranks > 1:
        from intona.training.launch import Processes, launch

        fabric = launch(Processes(device="cpu", devices=a.ranks))
    overrides = {
        "loop.steps": str(a.steps),
        "loop.save_every": str(a.save_every),
        "loop.validate_every": "100",
        "loop.precision": "fp32",
        "loop.log_every": "1",
        "max_frames": "1100",
    }
    overrides |= dict(o.split("=", 1) for o in a.override)
    train(gradtts.STAGE, size="toy", data=a.data, out=a.out, overrides=overrides, fabric=fabric)


if __name__ == "__main__":
    from intona.errors import UserError

    try:
        with logs.on_stderr():
            main()
    except UserError as e:
        raise SystemExit(f"intona: error: {e}") from None
