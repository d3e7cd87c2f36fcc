"""Which score network is better per second of training: the paper's 2-D U-Net or the 1-D one at frame rate.

    python benchmarks/decoders.py --data data/ru --out runs/decoders --minutes 30

Trains both for the same wall time with everything else the same (small preset: text encoder, durations,
target, learning rate, data order), each in its own process with one thread, at the same time. Then both say
the dev sentences with the recording's own durations, and the mels are compared with the recording's. The same
command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from intona import checkpoint
from intona.data.prepared import Prepared
from intona.evaluation.stats import ratio_interval
from intona.nn.random import ItemRandom
from intona.systems.gradtts import voice as gradtts

# The U-Net learns on the paper's 2 s windows (16 of them a step); whole utterances would only cost it more.
ARMS = {
    "convnext1d": {},
    "unet2d": {
        "model.decoder.kind": "unet2d",
        "model.decoder.dim": "64",
        "model.decoder.see_states": "false",
        "model.decoder.time_activation": "mish",
        "model.segment": "172",
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--arm", choices=ARMS, help="internal: train this one and return")
    arguments = parser.parse_args()
    if arguments.arm:
        return train(arguments)
    command = [sys.executable, __file__, "--data", str(arguments.data), "--out", str(arguments.out)]
    command += ["--minutes", str(arguments.minutes), "--arm"]
    if any(p.wait() for p in [subprocess.Popen([*command, arm]) for arm in ARMS]):
        return 1
    print("| network | steps | parameters, M | mel error [95 %] | s of one call, 5 s of speech |")
    print("|---|---|---|---|---|")
    for arm in ARMS:
        print(judge(arm, arguments.out / arm, Prepared.open(arguments.data)))
    return 0


def train(arguments: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    from intona import systems

    fixed = {"optim.schedule": "constant", "loop.validate_every": "1000000", "loop.save_every": "1000000"}
    systems.train(
        "prosody.gradtts",
        size="small",
        data=arguments.data,
        out=arguments.out / arguments.arm,
        overrides={**fixed, "loop.steps": "1000000", "loop.ema": "0.99", **ARMS[arguments.arm]},
        limit_minutes=arguments.minutes,
    )
    return 0


@torch.inference_mode()
def judge(arm: str, run: Path, prepared: Prepared) -> str:
    voice = gradtts.load(run)
    model = voice.model.eval()
    errors = []
    for item in prepared.items("dev"):
        durations = prepared.durations(item)
        if durations is None:
            continue
        ids = torch.tensor([list(voice.tokenizer.encode(item.phonemes).ids)])
        speech = model.synthesize(
            ids,
            torch.tensor([ids.shape[1]]),
            speakers=torch.tensor([item.speaker]),
            durations=torch.from_numpy(durations)[None],
            random=ItemRandom(0, 0, [item.id]),
        )
        errors.append(float((speech.mel[0] - torch.from_numpy(prepared.mel(item))).abs().mean()))
    x = torch.randn(1, 430, model.config.n_mels)
    states = torch.randn(1, 430, model.encoder.dim)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model.score(x, x, torch.full((1,), 0.5), torch.ones(1, 430, dtype=torch.bool), states, None)
        times.append(time.perf_counter() - start)
    interval = ratio_interval(errors)
    size = sum(p.numel() for p in model.score.parameters()) / 1e6
    steps = checkpoint.steps(run)[-1]
    spread = f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    return f"| {arm} | {steps} | {size:.2f} | {spread} (N = {len(errors)}) | {sorted(times)[2]:.3f} |"


if __name__ == "__main__":
    raise SystemExit(main())
