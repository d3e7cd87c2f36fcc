"""What restyling costs: real-time factor and memory of each size and number of steps, with random weights.

    python benchmarks/restyle.py [VOICE] [--threads N]      VOICE: "piper" (default), a directory or a hub id

Each line is a process of its own with N threads (2): text to Z_text, the network at guidance 3, decoder.
RTF is seconds by the clock a second of speech, core-s are those of all threads; peak is that of the process,
the frozen voice and the libraries included. The first line is the voice without restyling. A network of
"paper" is measured for one step: its time grows with the steps, its memory does not.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from intona.encoders.style import ProsodyStyle
from intona.nn.random import ItemRandom
from intona.systems.restyle import Restyle, bridge, palette, vits
from intona.systems.restyle.latents import z_text_of

TEXT = "The north wind and the sun were disputing which was the stronger, when a traveller came along."
STAGES = {"palette": palette, "bridge": bridge}
STEPS = {"small": (5, 10, 20), "paper": (1,)}
PLANS = [("", "", 0), *((stage, size, n) for stage in STAGES for size, some in STEPS.items() for n in some)]
TIMES = 3


def one(voice: str, stage: str, size: str, steps: int) -> dict[str, float]:
    """The best of `TIMES` runs after one that does not count."""
    space = vits.load(voice)
    style = torch.from_numpy(ProsodyStyle().of_text("calm, low"))[None]
    model = Restyle(STAGES[stage].SIZES[size]().model).eval() if stage else None
    seconds, runs = 0.0, []
    for _ in range(TIMES + 1):
        wall, core = time.perf_counter(), time.process_time()
        z = z_text_of(space, TEXT, "0", seed=0)[None]
        frames = torch.tensor([z.shape[1]])
        if model is not None:
            z = model.sample(z, frames, style, guidance=3.0, steps=steps, noise=ItemRandom(0, 0, ["0"]))
        space.audio(z, frames)
        seconds = z.shape[1] / space.frame_rate
        runs.append(((time.perf_counter() - wall) / seconds, (time.process_time() - core) / seconds))
    rtf, core = min(runs[1:])
    millions = 0.0 if model is None else sum(p.numel() for p in model.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rtf": rtf, "core": core, "millions": millions, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("voice", nargs="?", default="piper")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=3, metavar=("STAGE", "SIZE", "STEPS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one is not None:
        stage, size, steps = given.one
        print(json.dumps(one(given.voice, stage, size, int(steps))))
        return
    print(f"{given.threads} threads, guidance 3, one sentence; best of {TIMES}")
    for stage, size, steps in PLANS:
        command = [sys.executable, __file__, given.voice, "--threads", str(given.threads)]
        command += ["--one", stage, size, str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        name = f"{stage} {size} ({found['millions']:.1f} M), {steps} steps" if stage else "without restyling"
        print(
            f"{name}: RTF {found['rtf']:.3f}, core-s {found['core']:.3f}, peak {found['peak']:.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
