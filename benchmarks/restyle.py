"""What restyling costs: seconds of one core a second of speech, with random weights of the presets.

python benchmarks/restyle.py [VOICE]        VOICE: "piper" (default), a directory or a hub id
"""

from __future__ import annotations

import resource
import sys
import time

import torch

from intona.acoustic.restyle import Restyle
from intona.encoders.style import ProsodyStyle
from intona.latents import vits
from intona.nn.random import ItemRandom
from intona.systems.restyle import bridge, palette
from intona.systems.restyle.latents import z_text_of

TEXT = "The north wind and the sun were disputing which was the stronger, when a traveller came along."


def main() -> None:
    torch.set_num_threads(1)
    space = vits.load(sys.argv[1] if len(sys.argv) > 1 else "piper")
    style = torch.from_numpy(ProsodyStyle().of_text("calm, low"))[None]
    began = time.process_time()
    z = z_text_of(space, TEXT, "0", seed=0)[None]
    prior = time.process_time() - began
    frames = torch.tensor([z.shape[1]])
    seconds = z.shape[1] / space.frame_rate
    began = time.process_time()
    space.audio(z, frames)
    decoder = time.process_time() - began
    print(f"{seconds:.2f} s of speech; text to Z_text {prior / seconds:.3f}, decoder {decoder / seconds:.3f}")
    for name, sizes in (("palette", palette.SIZES), ("bridge", bridge.SIZES)):
        for size in ("small", "paper"):
            model = Restyle(sizes[size]().model).eval()
            millions = sum(p.numel() for p in model.parameters()) / 1e6
            for steps in (5, 10, 20) if size == "small" else (1,):
                began = time.process_time()
                model.sample(z, frames, style, guidance=3.0, steps=steps, noise=ItemRandom(0, 0, ["0"]))
                cost = (time.process_time() - began) / seconds
                print(f"{name} {size} ({millions:.1f} M), guidance 3, {steps} steps: {cost:.3f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
