"""How well a trained posterior gives back a voice's own speech and foreign recordings.

    python benchmarks/restyle_posterior.py RUN DATA --sentences 16

RUN is a run of restyle.posterior, DATA a prepared corpus; texts and recordings are the first of its test set
that last a second or more. Own speech: the voice says the text, z is known. Log-mel L1 is the mean absolute
difference of natural-log mels between a sound and decode(posterior(sound)); the control is two unlike
sentences of the voice. Means with 95 % bootstrap intervals over sentences.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from intona.audio import MelSpec, log_mel, read_audio
from intona.data.prepared import Prepared
from intona.evaluation.stats import ratio_interval
from intona.systems.restyle import vits
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.vits import posterior as posteriors


def show(name: str, values: list[float]) -> None:
    x = ratio_interval(values)
    print(f"{name}: {x.estimate:.3f} [{x.low:.3f}, {x.high:.3f}] N={x.n}")


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--voice", default="piper", help="the frozen VITS")
    arguments = parser.parse_args()
    space = vits.load(arguments.voice)
    net = posteriors.load(arguments.run, space)
    prepared = Prepared.open(arguments.data)
    items = [i for i in prepared.items("test") if i.seconds >= 1][: arguments.sentences]
    latents = [z_text_of(space, i.text, i.id, seed=1) for i in items]
    own = [space.audio(z[None], torch.tensor([len(z)]))[0] for z in latents]
    show("own speech, log-mel L1", posteriors.reconstruction(space, net, own, synthetic=True))
    foreign = [read_audio(prepared.audio_path(i)) for i in items]
    show("foreign recordings, log-mel L1", posteriors.reconstruction(space, net, foreign))
    mels = [log_mel(a, MelSpec(sample_rate=space.sample_rate)) for a in own]
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in pairwise(mels)]
    show("two unlike sentences, log-mel L1", [float(np.abs(a - b).mean()) for a, b in pairs])
    same, error = [], []
    for z, audio in zip(latents, own, strict=True):
        x = posteriors.latents_of(space, net, audio, synthetic=True).numpy().ravel()
        y = z.numpy().ravel()
        n = min(len(x), len(y))
        same.append(float(np.corrcoef(x[:n], y[:n])[0, 1]))
        error.append(float(np.square(x[:n] - y[:n]).mean() / y[:n].var()))
    show("own speech, correlation of z with its estimate", same)
    show("own speech, squared error over variance of z", error)


if __name__ == "__main__":
    main()
