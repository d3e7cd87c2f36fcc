"""The speech language model of system meld: how fast it trains and speaks, and what a recognizer hears of it.

    python benchmarks/meld.py speed --size small
    python benchmarks/meld.py heard --run runs/meld/best --data data/ru --sentences 5
    python benchmarks/meld.py written --run runs/meld/best --data data/ru --split test --ctc 0.5 --beam 1 5

`speed`: frames a second in training, attention over padded rows against utterances packed into one, steps in
generation with and without the key-value cache at growing lengths, real-time factor. Random weights: speed
only. `heard`: character error of a recognizer on dev sentences, of the recording through the vocoder, of the
model with the true past (teacher forcing), of the model alone with words as long as the reader's, and of the
model alone; failures are counted. --penalty: of repetition, in place of the run's own. `--run RUN/best` takes
the weights that did best on the dev set. A model that listens writes the recordings down, without and
with the dropout of its prenet. `written`: what it writes down of a split by itself, at several shares of CTC
and sizes of the beam, with its errors and its time.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
from timing import Cost, cost

from intona.nn.precision import set_fast_matmul
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import SpeechLM, generate, listen, presets, spelling, whole
from intona.systems.meld.listen import CTC_SHARE

FRAME_RATE = 22050 / 256


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "heard", "written"))
    parser.add_argument("--size", default="small", choices=presets.SIZES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each row of `speed`")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sentences", type=int, default=5)
    parser.add_argument("--penalty", type=float, help="of repetition in `heard`")
    parser.add_argument("--split", default="dev", choices=("dev", "test"), help="of `written`")
    parser.add_argument("--ctc", type=float, nargs="+", default=[0.0, CTC_SHARE], help="of `written`")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 5], help="of `written`")
    parser.add_argument("--out", type=Path, help="keep the wavs of `heard` here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    set_fast_matmul()
    if arguments.what == "speed":
        return speed(arguments)
    if not arguments.run or not arguments.data:
        parser.error(f"{arguments.what} needs --run and --data")
    return heard(arguments) if arguments.what == "heard" else written(arguments)


def build(size: str) -> SpeechLM:
    config = dataclasses.replace(presets.SIZES[size]().model, n_text=256)
    torch.manual_seed(0)
    model = SpeechLM(config)
    model.codebook.centroids.normal_()
    return model


def speed(arguments: argparse.Namespace) -> int:
    model = build(arguments.size)
    budget = arguments.seconds
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {arguments.threads} threads\n"
    )
    print("| training | frames a step | s a step: CPU (wall) | frames a CPU second | x real time |")
    print("|---|---|---|---|---|")
    for name, lengths in (("3 utterances of one length", [720] * 3), ("3 of 500, 720, 940", [500, 720, 940])):
        taken = cost(lambda n=lengths: _train_step(model, n), budget=budget)
        rate = sum(lengths) / taken.cpu
        span = f"{taken.cpu:.2f} ({taken.wall:.2f})"
        print(f"| {name} | {sum(lengths)} | {span} | {rate:.0f} | {rate / FRAME_RATE:.1f} |", flush=True)
    print("\n| attention of 500, 720 and 940 frames, there and back | ms: CPU (wall) |\n|---|---|")
    for packed in (False, True):
        taken = cost(_attention(model, [500, 720, 940], packed), budget=budget)
        name = "packed into one row, block mask" if packed else "padded rows, causal"
        print(f"| {name} | {1e3 * taken.cpu:.0f} ({1e3 * taken.wall:.0f}) |", flush=True)
    print("\n| s of speech | cache: CPU ms a step (wall) | RTF of CPU time | no cache | RTF |")
    print("|---|---|---|---|---|")
    model.eval()
    for seconds in (1, 2, 4, 8):
        steps = round(seconds * FRAME_RATE / model.config.group)
        cells = []
        for cached in (True, False):
            taken = _generation(model, steps, cached)
            cells += [
                f"{1e3 * taken.cpu / steps:.1f} ({1e3 * taken.wall / steps:.1f})",
                f"{taken.cpu / seconds:.2f}",
            ]
        print(f"| {seconds} | {' | '.join(cells)} |", flush=True)
    return 0


def _train_step(model: SpeechLM, lengths: list[int]) -> None:
    model.train()
    text_lengths = torch.tensor([n // 10 for n in lengths])
    losses = model.speaking_losses(
        text=torch.randint(2, 256, (len(lengths), int(text_lengths.max()))),
        text_lengths=text_lengths,
        mels=torch.randn(len(lengths), max(lengths), model.config.n_mels),
        mel_lengths=torch.tensor(lengths),
        random=ItemRandom(0, 0, [str(i) for i in range(len(lengths))]),
    )
    losses.total.backward()
    model.zero_grad(set_to_none=True)


def _attention(model: SpeechLM, frames: list[int], packed: bool) -> Callable[[], None]:
    """One layer's attention, forward and backward, over utterances of so many frames."""
    c = model.config
    lengths = [n // c.group + n // 10 + 1 for n in frames]
    rows, size = (1, sum(lengths)) if packed else (len(lengths), max(lengths))
    q, k, v = torch.randn(3, rows, c.heads, size, c.dim // c.heads, requires_grad=True).unbind()
    mask = torch.block_diag(*[torch.ones(n, n).tril() for n in lengths]).bool() if packed else None

    def call() -> None:
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not packed)
        y.sum().backward(retain_graph=True)

    return call


def _generation(model: SpeechLM, steps: int, cached: bool) -> Cost:
    """`steps` steps once, <EOS> made impossible."""
    with torch.no_grad():
        model.trunk.norm.bias.fill_(1.0)
        model.head.weight[model.vocabulary.eos] = -1.0
    text = torch.randint(2, 256, (max(2, steps // 6),), generator=torch.Generator().manual_seed(0))
    wall, cpu = time.perf_counter(), time.process_time()
    done = generate(
        model, text, max_steps=steps, sampling=SamplingConfig(), random=ItemRandom(0, 0, ["x"]), cached=cached
    )
    assert len(done.codes) == steps
    return Cost(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def heard(arguments: argparse.Namespace) -> int:
    from intona import config as configs
    from intona.audio import Audio, read_audio
    from intona.data.prepared import Prepared
    from intona.evaluation.judges.recognizer import AsrConfig, Transcriber
    from intona.evaluation.judges.wer import character_edits
    from intona.evaluation.normalize import normalizer
    from intona.evaluation.stats import ratio_interval
    from intona.systems.meld import voice as speech_lm
    from intona.systems.meld.pace import Pace

    prepared = Prepared.open(arguments.data)
    voice = speech_lm.load(arguments.run)
    transcribe = Transcriber(AsrConfig(language=voice.languages[0], threads=arguments.threads))
    clean = normalizer(voice.languages[0])
    totals: dict[str, list[tuple[int, int]]] = {}

    def count(id: str, name: str, said: str, text: str) -> None:
        edits = character_edits(clean(said), clean(text))
        totals.setdefault(name, []).append((edits.errors, edits.reference))
        print(f"  {id} {name}: {text}")

    failures = 0
    if arguments.penalty is not None:
        voice.sampling = configs.override(voice.sampling, {"penalty": f"{arguments.penalty:g}"})
    pace = Pace.of(prepared, voice.tokenizer, "words")
    for item in prepared.items("dev")[: arguments.sentences]:
        said, pieces = voice.pieces(item.normalized)
        mel = torch.from_numpy(prepared.mel(item))
        began = time.perf_counter()
        drawn = whole(voice.mels(pieces))
        took = time.perf_counter() - began
        free = drawn.mel
        failures += not drawn.ended
        frames = pace.frames(item, pieces)
        assert frames is not None
        spans, random = torch.from_numpy(frames) / voice.model.config.group, ItemRandom(0, 0, [item.id])
        text = torch.tensor(pieces)
        with torch.inference_mode():
            forced = voice.model.resynthesized(text, mel, random, spans)
        paced = generate(
            voice.model, text, max_steps=voice.cap(spans), sampling=voice.sampling, random=random, spans=spans
        ).mel
        for name, x in (
            ("recording through the vocoder", mel),
            ("true past", forced),
            ("alone at the reader's pace", paced),
            ("alone", free),
        ):
            wave = voice.vocoder.decode(x[None])[0].numpy() if len(x) else torch.zeros(4000).numpy()
            audio = Audio(wave, voice.spec.sample_rate)
            if arguments.out:
                arguments.out.mkdir(parents=True, exist_ok=True)
                audio.write(arguments.out / f"{item.id}-{name.replace(' ', '-')}.wav")
            count(item.id, name, said, transcribe(audio).text)
        for dropout in (False, True) if voice.listens else ():
            own = voice.transcribe(read_audio(prepared.audio_path(item)), dropout=dropout)
            name = "written down by the model" + (", dropout on" if dropout else "")
            count(item.id, name, said, " ".join(w.text for w in own))
        seconds = f"{voice.spec.seconds(len(free)):.1f} s for {voice.spec.seconds(len(mel)):.1f} s"
        print(f"  {item.id}: {seconds}, made in {took:.1f} s, ended by itself: {drawn.ended}")
    print("\n| mel | CER [95 %] |\n|---|---|")
    for name, pairs in totals.items():
        errors, counts = zip(*pairs, strict=True)
        i = ratio_interval(errors, counts)
        print(f"| {name} | {i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}] (N = {len(pairs)}) |")
    print(f"\n{failures} of {len(totals['alone'])} did not end by themselves")
    return 0


def written(arguments: argparse.Namespace) -> int:
    from intona.data.prepared import Prepared
    from intona.evaluation.judges.wer import character_edits, word_edits
    from intona.evaluation.normalize import normalizer
    from intona.evaluation.stats import ratio_interval
    from intona.systems.meld import voice as speech_lm

    prepared = Prepared.open(arguments.data)
    voice = speech_lm.load(arguments.run)
    model, clean = voice.model.eval(), normalizer(voice.languages[0])
    items = prepared.items(arguments.split)[: arguments.sentences]
    seconds = sum(i.seconds for i in items)
    print(f"{arguments.split}, N = {len(items)}, {seconds:.0f} s of speech\n")
    print("| share of CTC | beam | CER [95 %] | WER [95 %] | processor seconds for one of speech |")
    print("|---|---|---|---|---|")
    for share in arguments.ctc if model.ctc is not None else [0.0]:
        for beam in arguments.beam:
            counts, began = [], time.process_time()
            for item in items:
                mel = torch.from_numpy(prepared.mel(item))
                pieces = listen(model, mel, max_pieces=400, beam=beam, ctc=share).pieces
                said, text = clean(item.normalized), clean(spelling.read(voice.tokenizer, pieces))
                counts.append((character_edits(said, text), word_edits(said, text)))
            rates = [
                ratio_interval(*zip(*((e.errors, e.reference) for e in kind), strict=True))
                for kind in zip(*counts, strict=True)
            ]
            told = " | ".join(f"{i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in rates)
            print(
                f"| {share:g} | {beam} | {told} | {(time.process_time() - began) / seconds:.2f} |", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
