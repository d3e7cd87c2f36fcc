"""A vocoder beside HiFi-GAN: how fast, and how near to the recording.

    python benchmarks/vocoder.py speed --vocoder models/vocoder-draft
    python benchmarks/vocoder.py quality --vocoder models/vocoder-draft --data DATA --out runs/heard

`speed` decodes 5 s of mel in turns. `quality` does copy synthesis of held-out utterances: the mel of a
recording through both vocoders. Everything is paired; intervals are over utterances. Sounds and scores of the
reference vocoder and of the recordings are kept in --out, so that another checkpoint costs its own time only.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import timing
import torch

from intona.audio import Audio, f0_contour, log_mel, read_audio
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.evaluation.judges.distillmos import DistillMosJudge
from intona.evaluation.stats import paired_difference, ratio_interval
from intona.nn.precision import bf16_wins
from intona.vocoder import Vocoder, load_vocoder

MEASURES = {
    "distillmos": "DistillMOS",
    "mel": "mel error, nats",
    "f0_cents": "F0 RMSE, cents",
    "voicing": "voicing error",
    "periodicity": "periodicity RMSE",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("speed", "quality"):
        part = verbs.add_parser(verb)
        part.add_argument("--vocoder", required=True, help="name or directory")
        part.add_argument("--reference", default="hifigan")
        if verb == "speed":
            part.add_argument("--threads", type=int, nargs="+", default=[1, 2])
            part.add_argument("--frames", type=int, default=430)
            part.add_argument("--budget", type=float, default=20, help="seconds a row")
        else:
            part.add_argument("--data", type=Path, required=True, help="prepared corpus")
            part.add_argument("--split", default="dev", choices=("dev", "test"))
            part.add_argument("--limit", type=int, default=7, help="utterances a reader")
            part.add_argument("--seconds", type=float, default=4.0, help="of each, from its start")
            part.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        print(speed(arguments) if arguments.verb == "speed" else quality(arguments))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def speed(arguments: argparse.Namespace) -> str:
    """Seconds on the clock and of the processor, medians of turns; the ratio is the median of paired ones."""
    mel = torch.randn(1, arguments.frames, 80, generator=torch.Generator().manual_seed(0)) - 5
    lines = [
        "| threads | precision | vocoder | s [10 %, 90 %] | times faster | n |",
        "|---|---|---|---|---|---|",
    ]
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for bf16 in (False, True):
            vocoders = {n: load_vocoder(n, bf16=bf16) for n in (arguments.reference, arguments.vocoder)}
            calls: dict[str, timing.Call] = {n: partial(v.decode, mel) for n, v in vocoders.items()}
            times = timing.turns(calls, budget=arguments.budget, least=5)
            ratio = timing.paired_ratio(times, arguments.reference, arguments.vocoder)
            for name, seconds in times.items():
                t = timing.timing(seconds)
                faster = f"{ratio:.1f}" if name == arguments.vocoder else ""
                precision = "bf16" if bf16 else "fp32"
                lines.append(
                    f"| {threads} | {precision} | {Path(name).name} "
                    f"| {t.median:.4f} [{t.low:.4f}, {t.high:.4f}] | {faster} | {t.n} |"
                )
    return "\n".join([*lines, "", f"bf16 is what this machine chooses: {bf16_wins()}"])


def quality(arguments: argparse.Namespace) -> str:
    torch.set_num_threads(1)
    prepared = Prepared.open(arguments.data)
    items = chosen(prepared, arguments.split, arguments.limit)
    rate = prepared.spec.sample_rate
    recordings = {
        i.id: Audio(read_audio(prepared.audio_path(i)).samples[: round(arguments.seconds * rate)], rate)
        for i in items
    }
    judge = DistillMosJudge()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept_file = arguments.out / f"{arguments.split}-{arguments.seconds:g}s.json"
    kept = json.loads(kept_file.read_text()) if kept_file.is_file() else {}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name in ("recording", arguments.reference, arguments.vocoder):
        vocoder = None if name == "recording" else load_vocoder(name)
        label = Path(name).name
        scores[label] = {}
        for item in items:
            key = f"{label}:{item.id}"
            if name == arguments.vocoder or key not in kept:
                audio = heard(
                    vocoder, recordings[item.id], prepared, arguments.out / label / f"{item.name}.wav"
                )
                kept[key] = measure(audio, recordings[item.id], prepared, judge)
            scores[label][item.id] = kept[key]
        kept_file.write_text(json.dumps(kept))
    return table(scores, items, prepared, Path(arguments.reference).name, Path(arguments.vocoder).name)


def chosen(prepared: Prepared, split: str, limit: int) -> list[Item]:
    """Up to `limit` utterances of each reader, in the order of their ids, none shorter than a second."""
    items = sorted((i for i in prepared.items(split) if i.seconds >= 1), key=lambda i: (i.speaker, i.id))
    return [i for _, group in groupby(items, key=lambda i: i.speaker) for i in list(group)[:limit]]


def heard(vocoder: Vocoder | None, recording: Audio, prepared: Prepared, path: Path) -> Audio:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = recording
    if vocoder is not None:
        audio = vocoder.speak(log_mel(recording, prepared.spec), prepared.spec)
    audio.write(path)
    return audio


def measure(audio: Audio, recording: Audio, prepared: Prepared, judge: DistillMosJudge) -> dict[str, float]:
    """F0 and periodicity are compared frame by frame: copy synthesis keeps the time."""
    ours, theirs = f0_contour(audio).f0, f0_contour(recording).f0
    n = min(len(ours), len(theirs))
    ours, theirs = ours[:n], theirs[:n]
    both = (ours > 0) & (theirs > 0)
    cents = 1200 * np.log2(ours[both] / theirs[both])
    a, b = (periodicity(x, theirs) for x in (audio, recording))
    mels = [log_mel(x, prepared.spec) for x in (audio, recording)]
    t = min(map(len, mels))
    return {
        "distillmos": judge.predict(audio),
        "mel": float(np.abs(mels[0][:t] - mels[1][:t]).mean()),
        "f0_cents": float(np.sqrt(np.mean(cents**2))) if both.any() else 0.0,
        "voicing": float(np.mean((ours > 0) != (theirs > 0))),
        "periodicity": float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else 0.0,
    }


def periodicity(audio: Audio, f0: np.ndarray) -> np.ndarray:
    """Normalised correlation of the two periods about each voiced frame's centre, in -1 to 1."""
    x, rate = audio.samples.astype(np.float64), audio.sample_rate
    out = []
    for t in np.flatnonzero(f0 > 0):
        centre, period = round((t + 0.5) * 256 * rate / 22050), round(rate / f0[t])
        if period <= centre <= len(x) - period:
            a, b = x[centre - period : centre], x[centre : centre + period]
            out.append(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-9))
        else:
            out.append(0.0)
    return np.asarray(out)


def table(
    scores: dict[str, dict[str, dict[str, float]]],
    items: list[Item],
    prepared: Prepared,
    reference: str,
    name: str,
) -> str:
    readers: list[tuple[str, list[Item]]] = [("all", items)]
    readers += [(s, [i for i in items if i.speaker == k]) for k, s in enumerate(prepared.speakers)]
    lines = [
        f"| reader | measure | recording | {reference} | {name} | difference [95 %] | N |",
        "|---|---|---|---|---|---|---|",
    ]
    for reader, group in readers:
        for key, title in MEASURES.items():
            columns: dict[str, list[float]] = {v: [s[i.id][key] for i in group] for v, s in scores.items()}
            means = [f"{ratio_interval(c).estimate:.3f}" for c in columns.values()]
            d: Any = paired_difference((columns[name], None), (columns[reference], None))
            spread = "" if d.low is None else f" [{d.low:+.3f}, {d.high:+.3f}]"
            lines.append(
                f"| {reader} | {title} | {' | '.join(means)} | {d.difference:+.3f}{spread} | {len(group)} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
