"""The two backends of a voice, as whole processes that take turns: torch, and onnxruntime without torch.

    python benchmarks/runtime.py --rounds 5 --output runtime.json

Wall and processor seconds and peak memory of `intona say` for a short sentence (a cold start), 6 s and 60 s
of speech, by vocoder and steps of the sampler; then in a loaded voice, seconds to the first audio of a stream
and for a sentence. Medians over rounds; the ratios are medians of torch / onnx within a round, so that a busy
moment hits both alike. On a busy machine the processor's seconds are the truer ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHORT = "Добрый день!"
SENTENCE = "Зимой здесь рано темнеет, и жители посёлка зажигают фонари, когда дети идут домой."
LONG = " ".join([SENTENCE] * 11)
TEXTS = {"short": SHORT, "6 s": SENTENCE, "60 s": LONG}
BACKENDS = ("torch", "onnx")
INSIDE = """
import json, sys, time
import intona
backend, vocoder, steps, text = sys.argv[1:]
voice = intona.load("ru", backend=backend, vocoder=vocoder)
voice.preload()
options = {"steps": int(steps)}
voice.say("Да.", **options)
figures = {"first": [], "wall": [], "processor": []}
for i in range(5):
    began = time.perf_counter()
    next(voice.stream(text, seed=i, **options))
    figures["first"].append(time.perf_counter() - began)
    began, processor = time.perf_counter(), time.process_time()
    seconds = voice.say(text, seed=i, **options).duration
    figures["wall"].append((time.perf_counter() - began) / seconds)
    figures["processor"].append((time.process_time() - processor) / seconds)
print(json.dumps({k: sorted(v)[2] for k, v in figures.items()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vocoders", nargs="+", default=["hifigan", "vocoder-draft"])
    parser.add_argument("--steps", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--texts", nargs="+", default=list(TEXTS), choices=list(TEXTS))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for vocoder in arguments.vocoders:
        for steps in arguments.steps:
            for text in arguments.texts:
                rows.append(whole(vocoder, steps, text, arguments.rounds))
                show(rows[-1])
            rows.append(loaded(vocoder, steps, arguments.rounds))
            show(rows[-1])
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def whole(vocoder: str, steps: int, text: str, rounds: int) -> dict[str, Any]:
    """`intona say` as a process."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "intona", "say", TEXTS[text], "-o", str(Path(folder) / "out.wav")]
        command += ["--vocoder", vocoder, "--steps", str(steps)]
        runs: dict[str, list[dict[str, float]]] = {b: [] for b in BACKENDS}
        for _ in range(rounds):
            for backend in BACKENDS:
                runs[backend].append(process([sys.executable, *command, "--backend", backend]))
    return {"what": f"say, {text}", "vocoder": vocoder, "steps": steps, **summary(runs)}


def loaded(vocoder: str, steps: int, rounds: int) -> dict[str, Any]:
    """A voice that is loaded: the first audio of a short text, and seconds per second of speech."""
    runs: dict[str, list[dict[str, float]]] = {b: [] for b in BACKENDS}
    for _ in range(rounds):
        for backend in BACKENDS:
            row: dict[str, float] = {}
            for name, text in (("short", SHORT), ("long", SENTENCE)):
                command = [sys.executable, "-c", INSIDE, backend, vocoder, str(steps), text]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                row |= {f"{name} {k}": v for k, v in json.loads(done.stdout).items()}
            runs[backend].append(
                {
                    "first audio, short": row["short first"],
                    "RTF wall": row["long wall"],
                    "RTF processor": row["long processor"],
                }
            )
    return {"what": "loaded", "vocoder": vocoder, "steps": steps, **summary(runs)}


def process(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds and peak memory (MiB) of a process."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    wall = time.perf_counter() - began
    return {"wall": wall, "processor": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def summary(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians of each backend, and the medians of the ratios within a round."""
    names = runs[BACKENDS[0]][0]
    out: dict[str, Any] = {
        backend: {n: statistics.median(row[n] for row in rows) for n in names}
        for backend, rows in runs.items()
    }
    pairs = list(zip(runs["torch"], runs["onnx"], strict=True))
    out["ratio"] = {n: statistics.median(a[n] / b[n] for a, b in pairs) for n in names}
    return out


def show(row: dict[str, Any]) -> None:
    print(f"{row['what']}, {row['vocoder']}, {row['steps']} steps")
    for name in row["torch"]:
        values = f"torch {row['torch'][name]:8.3f}  onnx {row['onnx'][name]:8.3f}"
        print(f"  {name:20} {values}  ratio {row['ratio'][name]:.2f}", flush=True)


if __name__ == "__main__":
    main()
