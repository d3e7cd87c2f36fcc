"""Latent diffusion: how fast it trains and speaks, and what its latents cost in sound.

    python benchmarks/ditto.py speed --size small --threads 2
    python benchmarks/ditto.py reconstruct --latents runs/melvae --data data/ru --sentences 5
    python benchmarks/ditto.py learned --run runs/ditto --data data/ru --sentences 10

`speed`: one training step, and the real-time factor of 5 s of speech at 10 and 25 steps, with and without
guidance, its parts apart, over patches of mel frames, a mel VAE and plain mels. Random weights: speed only.
`reconstruct`: on dev utterances the error of the mel through a VAE's run or patches ("mel8"), and the
predicted naturalness of the vocoder after it against the vocoder alone. `learned`: on dev utterances the
squared error of a run's velocity at several times, with and without the text, beside the best linear guess
from each dimension alone, so that it shows early whether text is heard. Times are those of the cosine
schedule, whatever the run's own: the same t is the same share of noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from timing import Cost, cost

from intona.audio import Audio, MelSpec
from intona.data import clauses
from intona.data.pieces import utterance_of
from intona.data.prepared import Item, Prepared
from intona.latents.base import LatentSpace
from intona.latents.mel import MelLatents, PatchLatents, PatchLatentsConfig
from intona.latents.mel_vae import MelVAE
from intona.nn.precision import set_fast_matmul
from intona.nn.random import ItemRandom
from intona.systems.ditto import Ditto, melvae
from intona.systems.ditto import stage as ditto
from intona.systems.ditto import voice as ditto_voice
from intona.systems.ditto.latents import open_latents
from intona.systems.ditto.voice import DittoVoice

SECONDS, SYMBOLS, BATCH = 5.0, 75, 8
TIMES = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "reconstruct", "learned"))
    parser.add_argument("--size", default="small", choices=ditto.SIZES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=("patch", "melvae", "mel"), help="of `speed`: these latents alone")
    parser.add_argument("--no-vocoder", action="store_true")
    parser.add_argument("--latents", help="a run of prosody.melvae, or mel8")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sentences", type=int, default=5)
    parser.add_argument("--out", type=Path, help="keep the wavs of `reconstruct` here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    set_fast_matmul()
    if arguments.what == "reconstruct":
        if not arguments.latents or not arguments.data:
            parser.error("reconstruct needs --latents and --data")
        return reconstruct(arguments)
    if arguments.what == "learned":
        if not arguments.run or not arguments.data:
            parser.error("learned needs --run and --data")
        return learned(arguments)
    return speed(arguments)


def speed(arguments: argparse.Namespace) -> int:
    torch.manual_seed(0)
    vae = melvae.SIZES.get(arguments.size, melvae.paper)().model
    print(
        f"size {arguments.size}, {arguments.threads} thread(s), median of {arguments.repeats}, 5 s of speech"
    )
    patches = PatchLatents(PatchLatentsConfig(), MelSpec())
    for space in (patches, MelVAE(vae, MelSpec()), MelLatents(MelSpec())):
        if arguments.only and space.kind != arguments.only:
            continue
        speed_on(space, arguments.size, arguments.repeats)
    if not arguments.no_vocoder:
        from intona.vocoder import load_vocoder

        vocoder, mel = load_vocoder("hifigan"), torch.randn(1, 431, 80) - 5
        print()
        row(
            "vocoder, to be added",
            cost(lambda: vocoder.decode(mel), most=max(2, arguments.repeats // 2)),
            rtf=True,
        )
    return 0


def speed_on(space: LatentSpace, size: str, repeats: int) -> None:
    model = Ditto(dataclasses.replace(ditto.SIZES[size]().model, n_tokens=60), space)
    learns = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    print(f"\nlatents {space.kind}: {learns:.1f} M parameters that learn, {space.rate:.2f} Hz x {space.dim}")
    print("| | wall, s | processor, s | RTF |\n|---|---|---|---|")
    length = space.latents(round(SECONDS * space.spec.frame_rate))
    tokens = torch.randint(1, 60, (BATCH, SYMBOLS))
    symbols, lengths = torch.full((BATCH,), SYMBOLS), torch.full((BATCH,), length)
    latents = torch.randn(BATCH, length, space.dim)

    def learn() -> None:
        model.train()
        losses = model.losses(
            tokens=tokens,
            token_lengths=symbols,
            latents=latents,
            latent_lengths=lengths,
            references=latents[:, : length // 2],
            reference_lengths=lengths // 2,
            random=ItemRandom(0, 0, [str(i) for i in range(BATCH)]),
        )
        losses.total.backward()

    def say(steps: int, guidance: float) -> None:
        model.eval()
        model.synthesize(
            tokens[:1],
            symbols[:1],
            latent_lengths=lengths[:1],
            steps=steps,
            guidance=guidance,
            random=ItemRandom(0, 0, ["a"]),
        )

    row(f"a training step, {BATCH} x 5 s, latents ready", cost(learn, most=repeats))
    for steps in (10, 25):
        for guidance in (1.0, 2.0):
            taken = cost(partial(say, steps, guidance), most=repeats)
            row(f"text to mel, {steps} steps, guidance {guidance:g}", taken, rtf=True)
    row("of it latents to mel", cost(lambda: space.decode(latents[:1], lengths[:1]), most=repeats), rtf=True)


def row(label: str, taken: Cost, *, rtf: bool = False) -> None:
    factor = f"{taken.cpu / SECONDS:.3f}" if rtf else ""
    print(f"| {label} | {taken.wall:.3f} | {taken.cpu:.3f} | {factor} |", flush=True)


def reconstruct(arguments: argparse.Namespace) -> int:
    from intona.evaluation.judges.base import Unavailable
    from intona.evaluation.judges.distillmos import DistillMosJudge
    from intona.systems.gradtts.stage import mel_statistics
    from intona.vocoder import load_vocoder

    prepared = Prepared.open(arguments.data)
    space = open_latents(arguments.latents, prepared)
    items = prepared.items("dev")
    std = mel_statistics(prepared)[1]
    vocoder = load_vocoder("hifigan")
    judge = DistillMosJudge() if DistillMosJudge.installed() else DistillMosJudge.unavailable()
    if isinstance(judge, Unavailable):
        print(f"no predicted naturalness: {judge}")

    def mos(mel: torch.Tensor, name: str) -> float:
        audio = Audio(vocoder.decode(mel)[0].float().numpy(), prepared.spec.sample_rate)
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            audio.write(arguments.out / name)
        return float("nan") if isinstance(judge, Unavailable) else judge.predict(audio)

    errors = []
    for item in items:
        mel = torch.from_numpy(prepared.mel(item))[None]
        error = (melvae.there_and_back(space, mel) - mel).abs()
        errors.append((float(error.mean()), float((error / std).mean())))
    nats, deviations = (statistics.mean(e) for e in zip(*errors, strict=True))
    print(f"mel L1 over {len(items)} dev utterances: {nats:.3f} nats, {deviations:.3f} deviations of the bin")
    print("| utterance | L1, nats | DistillMOS of vocoder(mel) | through the latents |\n|---|---|---|---|")
    found = []
    for item, error in list(zip(items, errors, strict=True))[: arguments.sentences]:
        mel = torch.from_numpy(prepared.mel(item))[None]
        a = mos(mel, f"{item.id}-vocoder.wav")
        b = mos(melvae.there_and_back(space, mel), f"{item.id}-latents.wav")
        found.append((a, b))
        print(f"| {item.id} | {error[0]:.3f} | {a:.2f} | {b:.2f} |", flush=True)
    losses = [a - b for a, b in found]
    spread = f", from {min(losses):.2f} to {max(losses):.2f}" if losses else ""
    a, b = (statistics.mean(x) for x in zip(*found, strict=True))
    print(f"mean {a:.2f} and {b:.2f}: a loss of {a - b:.2f}{spread} (N = {len(found)})")
    return 0


@torch.inference_mode()
def learned(arguments: argparse.Namespace) -> int:
    prepared, voice = Prepared.open(arguments.data), ditto_voice.load(arguments.run)
    whole = prepared.items("dev")[: arguments.sentences]
    for name, items in (("utterances", whole), ("clauses", clauses.cut(prepared, whole))):
        if items:
            print(f"\n{len(items)} dev {name}, squared error of the velocity")
            _learned(voice, prepared, items)
    return 0


def _learned(voice: DittoVoice, prepared: Prepared, items: Sequence[Item]) -> None:
    model, nobody = voice.model.eval(), torch.zeros(1, 0, voice.model.space.dim)
    said = []
    for item in items:
        mel = torch.from_numpy(prepared.mel(item))[None]
        latents, lengths = model.space.encode(mel, torch.tensor([mel.shape[1]]))
        said.append((latents, lengths, model.read(*voice.numbers([utterance_of(item)]))))
    squares = torch.cat([latents[0] for latents, _, _ in said]).var(0)
    print("| t | best guess of each dimension | the run | without text | gap |\n|---|---|---|---|---|")
    for t in TIMES:
        at = torch.tensor([model.process.time(1 / math.tan(math.pi / 2 * t))])
        alpha, sigma = model.process.alpha(at), model.process.sigma(at)
        guess = float((squares / (alpha.square() * squares + sigma.square())).mean())
        found = {True: 0.0, False: 0.0}
        for item, (x, lengths, text) in zip(items, said, strict=True):
            noise = ItemRandom(0, 0, [item.id]).normal(lengths.tolist(), model.space.dim)
            for keep in found:
                predicted = model.velocity(
                    alpha * x + sigma * noise,
                    at,
                    context=x,
                    context_mask=torch.zeros(x.shape[:2], dtype=torch.bool),
                    lengths=lengths,
                    reference=nobody,
                    reference_mask=torch.zeros(1, 0, dtype=torch.bool),
                    text=text,
                    keep=torch.tensor([keep]),
                )
                found[keep] += float((predicted - (alpha * noise - sigma * x)).square().sum())
        n = sum(x.numel() for x, _, _ in said)
        error, blind = found[True] / n, found[False] / n
        print(f"| {t:g} | {guess:.3f} | {error:.3f} | {blind:.3f} | {blind - error:.3f} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
