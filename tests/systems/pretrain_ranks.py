"""One update of a pretraining stage on some gloo ranks, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def main() -> None:
    stage, data, out, ranks, *overrides = sys.argv[1:]
    torch.set_num_threads(1)
    from intona.training.launch import Processes, launch
    from intona.training.stage import stage_of, train

    fabric = launch(Processes(device="cpu", devices=int(ranks)))
    settings = dict(o.split("=", 1) for o in overrides)
    init = settings.pop("init", None)
    train(
        stage_of(stage),
        size="toy",
        data=Path(data),
        out=Path(out),
        overrides=settings,
        init=Path(init) if init else None,
        fabric=fabric,
    )


if __name__ == "__main__":
    main()
