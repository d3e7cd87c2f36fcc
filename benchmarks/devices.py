"""Speed and memory of training and of speech on a device: seconds of audio per second, for every stage.

    python benchmarks/devices.py corpus WORK --copies 68
    python benchmarks/devices.py train WORK --device cuda --size paper --stages prosody.gradtts meld.tts
    python benchmarks/devices.py speak WORK --device cuda --size paper
    python benchmarks/devices.py voices WORK --device cuda

The corpus is that of tests/assets, each copy spoken at another speed, so that batches are as full as those of
a real corpus. Weights are random, so the losses mean nothing. Each row is one line of JSON on stdout, and in
--output; a stage that fails or takes longer than --limit is a row with its error, and the others go on.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import config as configs
from intona import devices
from intona.nn.precision import set_fast_matmul
from intona.nn.random import ItemRandom
from intona.training.optim import build_optimizer
from intona.training.stage import Request, Setup, stage_of

SMALL = Path(__file__).resolve().parents[1] / "tests" / "assets" / "festvox-ru-small"
SEED = 0
# compiled: bf16 with torch.compile. flops: no time, only floating-point operations per second of audio.
MODES = ("fp32", "bf16", "compiled", "flops")
PAIRS = {"speaker": "none"}
OVERRIDES: dict[str, dict[str, str]] = {
    "prosody.contrastive": PAIRS,
    "prosody.refine": PAIRS,
    "prosody.ditto": {"latents": "mel4"},
    "meld.joint": {"listen_from": "1"},
    "restyle.posterior": {"pairs": "64"},
}
STAGES = (
    "prosody.mlm",
    "prosody.contrastive",
    "prosody.refine",
    "prosody.gradtts",
    "prosody.melvae",
    "prosody.ditto",
    "meld.tts",
    "meld.stt",
    "meld.joint",
    "vocoder.vocos",
    "vocoder.source_filter",
    "restyle.style",
    "restyle.bridge",
    "restyle.palette",
    "restyle.posterior",
    "restyle.decoder",
)
SENTENCE = "Зимой здесь рано темнеет, и жители посёлка зажигают фонари, когда дети идут домой."


class TimeUp(Exception):
    """A stage took longer than its limit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("corpus", "train", "speak", "voices"))
    parser.add_argument("work", type=Path, help="folder of the corpus and of what is made from it")
    parser.add_argument("--copies", type=int, default=3, help="of the 14 utterances, each at another speed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", default="paper")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--modes", nargs="+", default=["fp32", "bf16"], choices=MODES)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of all configs")
    parser.add_argument("--seconds", type=float, default=4.0, help="to measure each row, after it is warm")
    parser.add_argument("--limit", type=int, default=60, help="seconds for each stage and mode in all")
    parser.add_argument("--output", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    if arguments.what == "corpus":
        make_corpus(arguments.work, arguments.copies)
        return
    set_fast_matmul()
    device = devices.device_of(arguments.device)
    for row in {"train": training, "speak": speech, "voices": shipped}[arguments.what](arguments, device):
        line = json.dumps({"device": str(device), "size": arguments.size, **row}, ensure_ascii=False)
        print(line, flush=True)
        if arguments.output is not None:
            with open(arguments.output, "a", encoding="utf-8") as f:
                f.write(line + "\n")


# ------------------------------------------------------------------ the corpus


def make_corpus(work: Path, copies: int) -> None:
    """WORK/data, prepared and aligned; WORK/targets for vocoders; WORK/vits, a random voice for restyle."""
    from intona.audio import Audio, read_audio
    from intona.data.prepare import PrepareConfig, prepare
    from intona.data.transfer import transfer
    from intona.pool import default_workers

    source, data = work / "festvox", work / "data"
    for name in ("wav", "lab", "etc"):
        (source / name).mkdir(parents=True, exist_ok=True)
    texts = (SMALL / "etc" / "txt.done.data").read_text(encoding="utf-8").splitlines()
    lines = []
    for k in range(copies):
        speed = 1.0 if not k else float(np.random.default_rng(k).uniform(0.9, 1.1))
        for wav in sorted((SMALL / "wav").glob("*.wav")):
            name = f"{wav.stem}_{k:03d}"
            audio = read_audio(wav)
            faster = Audio(audio.samples, round(audio.sample_rate * speed)).resample(audio.sample_rate)
            faster.write(source / "wav" / f"{name}.wav")
            label = (SMALL / "lab" / f"{wav.stem}.lab").read_text(encoding="utf-8")
            (source / "lab" / f"{name}.lab").write_text(_scaled(label, 1 / speed), encoding="utf-8")
            lines += [t.replace(wav.stem, name) for t in texts if wav.stem in t]
    (source / "etc" / "txt.done.data").write_text("\n".join(lines) + "\n", encoding="utf-8")
    began = time.perf_counter()
    workers = default_workers() if copies > 3 else 0
    prepare(
        "festvox", source, data, PrepareConfig(language="ru", stress="none", dev=2, test=3, workers=workers)
    )
    transfer(data)
    print(f"{len(lines)} utterances prepared in {time.perf_counter() - began:.1f} s, {workers} workers")


def _scaled(label: str, factor: float) -> str:
    """A label file with other times: the first of the columns after the line with "#"."""
    out = []
    for line in label.splitlines():
        parts = line.split(maxsplit=1)
        try:
            out.append(f"{float(parts[0]) * factor:.6f} {parts[1]}")
        except (IndexError, ValueError):
            out.append(line)
    return "\n".join(out) + "\n"


def random_vits(work: Path, *, toy: bool) -> Path:
    """A frozen voice with random weights: of MMS's sizes, or tiny."""
    from transformers import VitsConfig, VitsModel

    out = work / "vits"
    if out.is_dir():
        return out
    letters = " абвгдежзийклмнопрстуфхцчшщъыьэюяё"
    tiny: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "ffn_dim": 16,
        "flow_size": 16,
        "upsample_initial_channel": 16,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1]],
        "posterior_encoder_num_wavenet_layers": 1,
        "prior_encoder_num_wavenet_layers": 1,
    }
    torch.manual_seed(SEED)
    config = VitsConfig(
        vocab_size=len(letters) + 1,
        sampling_rate=22050,
        spectrogram_bins=513,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        **(tiny if toy else {}),
    )
    model: Any = VitsModel(config)
    with torch.no_grad():  # random weights drawl
        model.duration_predictor.flows[0].translate[0] += 1.2
    model.save_pretrained(out)
    (out / "vocab.json").write_text(json.dumps({c: i + 1 for i, c in enumerate(letters)} | {"<pad>": 0}))
    tokens = {"phonemize": False, "add_blank": True, "normalize": True, "language": "rus"}
    (out / "tokenizer_config.json").write_text(json.dumps(tokens))
    return out


def mute_vits(voice: Path) -> Path:
    """The same voice without its posterior encoder, as some are published."""
    from safetensors.torch import load_file, save_file

    out = voice.with_name("mute")
    if not out.is_dir():
        shutil.copytree(voice, out)
        state = load_file(out / "model.safetensors")
        kept = {k: v for k, v in state.items() if not k.startswith("posterior_encoder")}
        save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
    return out


def vocoder_targets(work: Path, *, toy: bool) -> Path:
    """Targets of a vocoder: two minutes of a shipped one's output, or seconds of it."""
    from intona.systems.vocoder.targets import TargetsConfig, make

    out = work / "targets"
    config = TargetsConfig(teacher=_vocoder_name(), recorded_minutes=0.1 if toy else 1.0)
    return make(work / "data", out, minutes=0.1 if toy else 2.0, config=config)


def _vocoder_name() -> str:
    """A shipped vocoder: the small one, which is many times faster, where it is there."""
    from intona import models

    names = [card.name for card in models.shipped(kind="vocoder")]
    if not names:
        raise LookupError("no vocoder is shipped with this checkout")
    return "vocoder-draft" if "vocoder-draft" in names else names[0]


# ------------------------------------------------------------------ training


def opened(name: str, size: str, work: Path, fields: Sequence[str] = ()) -> Setup:
    """A stage with the corpus, ready to build its task; `fields` are FIELD=VALUE of its config."""
    from intona import systems

    toy = size == "toy"
    data, how = work / "data", dict(OVERRIDES.get(name, {}))
    if name.startswith("restyle") and name != "restyle.style":
        voice = random_vits(work, toy=toy)
        how["vits"] = str(mute_vits(voice) if name == "restyle.posterior" else voice)
    if name.startswith("vocoder"):
        data = vocoder_targets(work, toy=toy)
    if name.startswith("meld"):
        book = work / f"codebook-{size}"
        if not book.is_dir():  # two iterations give useless codes in the time of two
            systems.train(
                "meld.codebook", size=size, data=data, out=book, overrides={"kmeans.iterations": "2"}
            )
        how |= {"bpe": "64", "codebook": str(book)}
    how |= dict(field.split("=", 1) for field in fields)
    stage = stage_of(name)
    preset = stage.sizes.get(size, stage.sizes["small"])  # not every stage is published
    config = configs.override(preset(), how)
    return stage.setup(config, Request(data=data, out=work / "runs" / name, overrides=how))


def training(arguments: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row per stage and mode."""
    for name in arguments.stages:
        row: dict[str, Any] = {"stage": name}
        began = time.perf_counter()
        try:
            with limited(arguments.limit):
                setup = opened(name, arguments.size, arguments.work, arguments.set)
                torch.manual_seed(SEED)
                assert setup.task is not None and setup.feed is not None
                task, feed = setup.task(), setup.feed(0, 1)
                batches = [feed.longest(), *(feed.next() for _ in range(3))]
        except (Exception, TimeUp) as e:
            yield row | _failure(e)
            continue
        row["millions"] = round(sum(p.numel() for p in task.parameters() if p.requires_grad) / 1e6, 2)
        row["setup_seconds"] = round(time.perf_counter() - began, 2)
        seconds = [float(feed.seconds(b)) for b in batches]
        for mode in arguments.modes:
            try:
                with limited(arguments.limit):
                    yield (
                        row
                        | {"mode": mode}
                        | _steps(task, setup.config, batches, seconds, device, mode, arguments.seconds)
                    )
            except (Exception, TimeUp) as e:
                yield row | {"mode": mode} | _failure(e)
            devices.release_cache(device)


def _steps(
    task: Any,
    config: Any,
    batches: list[Any],
    seconds: list[float],
    device: torch.device,
    mode: str,
    budget: float,
) -> dict[str, Any]:
    """Updates as in the training loop: forward, backward, clipping, optimizer."""
    task = copy.deepcopy(task).to(device).train()
    if mode == "flops":
        return _operations(task, batches[1].to(device), seconds[1])
    optimizer = build_optimizer(config.optim, task, rates=task.rates())
    if mode == "compiled":
        compile_largest(task)
    batches = [b.to(device) for b in batches]

    def update(i: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=mode != "fp32"):
            losses = task(batches[i % len(batches)], i)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), config.optim.clip)
        optimizer.step()

    with devices.PeakMemory(device) as peak:
        began = time.perf_counter()
        for i in range(len(batches)):
            update(i)
        synchronize(device)
        warm = time.perf_counter() - began
    count, elapsed = repeated(update, device, budget, least=len(batches))
    audio = sum(seconds[i % len(batches)] for i in range(count))
    return {
        "steps": count,
        "steps_per_hour": round(3600 * count / elapsed),
        "audio_per_second": round(audio / elapsed, 2),
        "audio_per_batch": round(sum(seconds) / len(seconds), 2),
        "warm_seconds": round(warm, 2),
        "peak_gib": round(peak.bytes / 2**30, 3),
    }


def compile_largest(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Compile the part with the most parameters, block by block if it is a list."""
    while len(children := list(module.children())) == 1:  # a task around its model
        module = children[0]
    largest = max(children, key=lambda m: sum(p.numel() for p in m.parameters()), default=module)
    largest = getattr(module, "score", largest)  # of Grad-TTS, however small: it runs once per step
    blocks = list(largest) if isinstance(largest, torch.nn.ModuleList) else [largest]
    for block in blocks:
        block.compile(dynamic=True)
    return blocks


def _operations(task: Any, batch: Any, seconds: float) -> dict[str, Any]:
    """Of matrix products and convolutions, forward and backward; torch counts two per multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        task(batch, 0).total.backward()
    total = counter.get_total_flops()
    row = {"audio_per_batch": round(seconds, 2), "gflop": round(total / 1e9, 2)}
    return row | ({"gflop_per_audio_second": round(total / 1e9 / seconds, 3)} if seconds else {})


# ------------------------------------------------------------------ speech


def speech(arguments: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row per system, mode and batch: models of this size with random weights, up to the mel."""
    for name, speaker in (("prosody.gradtts", _gradtts), ("prosody.ditto", _ditto), ("meld.tts", _meld)):
        if name not in arguments.stages:
            continue
        try:
            with limited(arguments.limit):
                setup = opened(name, arguments.size, arguments.work, arguments.set)
                torch.manual_seed(SEED)
                assert setup.task is not None
                task: Any = setup.task()
                model = task.model.to(device).eval()
        except (Exception, TimeUp) as e:
            yield {"speak": name} | _failure(e)
            continue
        spec = configs.read_json(arguments.work / "data" / "features.json")
        rate = spec["sample_rate"] / spec["hop_length"] if isinstance(spec, dict) else 86.13
        for mode in arguments.modes:
            for batch in (1, 16) if name != "meld.tts" else (1,):
                row = {"speak": name, "mode": mode, "batch": batch}
                try:
                    with limited(arguments.limit):
                        yield row | _speaking(
                            speaker(model, device, batch), rate, device, mode, model, arguments
                        )
                except (Exception, TimeUp) as e:
                    yield row | _failure(e)
                devices.release_cache(device)


def _speaking(
    say: Callable[[], int],
    rate: float,
    device: torch.device,
    mode: str,
    model: Any,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    blocks = compile_largest(model) if mode == "compiled" else []
    frames = 0

    def call(i: int) -> None:
        nonlocal frames
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mode != "fp32"):
            frames = say()

    try:
        with devices.PeakMemory(device) as peak:
            began = time.perf_counter()
            call(0)
            synchronize(device)
            warm = time.perf_counter() - began
        count, elapsed = repeated(call, device, arguments.seconds, least=1)
    finally:
        for block in blocks:
            block._compiled_call_impl = None  # eager again
    return {
        "audio_seconds": round(frames / rate, 2),
        "audio_per_second": round(count * frames / rate / elapsed, 2),
        "warm_seconds": round(warm, 2),
        "peak_gib": round(peak.bytes / 2**30, 3),
    }


TOKENS, FRAMES_PER_TOKEN = 80, 5  # of a sentence of some five seconds


def _text(n_tokens: int, batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    tokens = torch.randint(2, n_tokens, (batch, TOKENS), generator=generator)
    return tokens.to(device), torch.full((batch,), TOKENS, device=device)


def _random(batch: int) -> ItemRandom:
    return ItemRandom(SEED, 0, [str(i) for i in range(batch)])


def _gradtts(model: Any, device: torch.device, batch: int) -> Callable[[], int]:
    tokens, lengths = _text(model.config.n_tokens, batch, device)
    durations = torch.full((batch, TOKENS), FRAMES_PER_TOKEN, device=device)

    def say() -> int:
        speech = model.synthesize(tokens, lengths, durations=durations, random=_random(batch), steps=10)
        return int(speech.lengths.sum())

    return say


def _ditto(model: Any, device: torch.device, batch: int) -> Callable[[], int]:
    tokens, lengths = _text(model.config.n_tokens, batch, device)
    count = TOKENS * FRAMES_PER_TOKEN // model.space.compression
    latents = torch.full((batch,), count, device=device)

    def say() -> int:
        speech = model.synthesize(tokens, lengths, latent_lengths=latents, random=_random(batch), steps=25)
        return int(speech.lengths.sum())

    return say


def _meld(model: Any, device: torch.device, batch: int) -> Callable[[], int]:
    from intona.systems.meld.generate import generate

    text = torch.randint(2, 40, (TOKENS // 2,), generator=torch.Generator().manual_seed(SEED)).to(device)
    steps = TOKENS * FRAMES_PER_TOKEN // model.config.group

    def say() -> int:
        spans = torch.full((len(text),), 2.0 * FRAMES_PER_TOKEN / model.config.group, device=device)
        return len(generate(model, text, max_steps=steps, random=_random(1), spans=spans).mel)

    return say


def shipped(arguments: argparse.Namespace, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row per shipped voice, vocoder and batch: whole speech, and the time to the first audio."""
    import intona
    from intona import models

    vocoders = [card.name for card in models.shipped(kind="vocoder")]
    batches = (1, 8, 64)
    if device.type == "cpu":
        vocoders, batches = [_vocoder_name()], (1, 2)
    for name in ("ru", "ditto", "meld-ru"):
        for vocoder in vocoders:
            row: dict[str, Any] = {"voice": name, "vocoder": vocoder}
            try:
                with limited(arguments.limit):
                    voice: Any = intona.load(name, device=device, backend="torch", vocoder=vocoder)
                    voice.preload()
            except (Exception, TimeUp) as e:
                yield row | _failure(e)
                continue
            for batch in batches if voice.capabilities.batches else (1,):
                try:
                    with limited(arguments.limit):
                        yield row | {"batch": batch} | _whole(voice, batch, device, arguments.seconds)
                except (Exception, TimeUp) as e:
                    yield row | {"batch": batch} | _failure(e)


def _whole(voice: Any, batch: int, device: torch.device, budget: float) -> dict[str, Any]:
    readings = [voice.read(SENTENCE, seed=i) for i in range(batch)]
    audio = 0.0

    def call(i: int) -> None:
        nonlocal audio
        audio = sum(a.duration for a in voice.speak_batch(readings))

    call(0)
    synchronize(device)
    with devices.PeakMemory(device) as peak:
        count, elapsed = repeated(call, device, budget, least=1)
    row = {
        "audio_per_second": round(count * audio / elapsed, 2),
        "peak_gib": round(peak.bytes / 2**30, 3),
    }
    if batch == 1:
        firsts = []
        for i in range(3):
            began = time.perf_counter()
            next(iter(voice.stream(SENTENCE, seed=i)))
            firsts.append(time.perf_counter() - began)
        row["first_audio_seconds"] = round(sorted(firsts)[1], 4)
    return row


# ------------------------------------------------------------------ measuring


def repeated(
    call: Callable[[int], None], device: torch.device, budget: float, *, least: int
) -> tuple[int, float]:
    """(calls, seconds): again and again until `budget` seconds have passed, `least` times at least."""
    synchronize(device)
    count, began = 0, time.perf_counter()
    while count < least or time.perf_counter() - began < budget:
        call(count)
        synchronize(device)
        count += 1
    return count, time.perf_counter() - began


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `TimeUp` inside after this time."""

    def stop(*_: object) -> None:
        raise TimeUp(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _failure(error: BaseException) -> dict[str, Any]:
    traceback.print_exception(error, file=sys.stderr)
    return {"error": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
