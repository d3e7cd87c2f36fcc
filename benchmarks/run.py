"""Speed of each part on this machine: `make bench`, or `python benchmarks/run.py --only text,say`.

Prints a Markdown table, each part's rows as they are measured, and with --out writes the same as JSON.
Figures are medians; variants of one part take turns, and their ratio is the median over turns. A part that
is not there yet says so in its row.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from pathlib import Path

# Threads that spin make everything beside them several times slower; before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import parts
import prosody
import torch

CASES = (
    "start",
    "text",
    "features",
    "networks",
    "acoustic",
    "vocoder",
    "say",
    "attention",
    "training",
    "pretraining",
    "prepare",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(CASES), help="some of " + ",".join(CASES))
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each row")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--voice", default="ru")
    parser.add_argument("--out", type=Path, help="write JSON here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = arguments.only.split(",")
    if wrong := [w for w in wanted if w not in CASES]:
        parser.error(f"unknown part {', '.join(wrong)}; known: {', '.join(CASES)}")
    machine = describe_machine(arguments.threads)
    print("\n".join(heading(machine)), flush=True)
    results: list[parts.Result] = []
    missing: dict[str, str] = {}
    for case in wanted:
        print(f"{case} …", file=sys.stderr, flush=True)
        try:
            extra = {"voice": arguments.voice} if case == "say" else {}
            module = prosody if case == "pretraining" else parts
            found = getattr(module, case)(arguments.seconds, **extra)
            results += found
            print("\n".join(row(r) for r in found), flush=True)
        except Exception as e:  # one part that fails, or is not there, must not hide the others
            missing[case] = " ".join(f"{type(e).__name__}: {e}".split())
            print(f"| {case} | not measured: {missing[case][:160]} | | | | | | |", flush=True)
        if arguments.out:  # after each part: a run that is cut keeps what it has
            value = {
                "machine": machine,
                "results": [dataclasses.asdict(r) for r in results],
                "missing": missing,
            }
            arguments.out.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return 1 if missing else 0


def describe_machine(threads: int) -> dict[str, object]:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_average": round(load, 1),
    }


def heading(machine: dict[str, object]) -> list[str]:
    return [
        ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in machine.items()),
        "",
        "| part | what | median | 10–90 % | n | RTF | rate | faster than |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]


def row(r: parts.Result) -> str:
    rtf = f"{r.rtf:.4f}" if r.rtf is not None else ""
    ratio = f"{r.ratio:.2f} × {r.ratio_to}" if r.ratio is not None else ""
    span = f"{clock(r.time.low)}–{clock(r.time.high)}"
    cells = [r.part, r.what, clock(r.time.median), span, str(r.time.n), rtf, r.rate, ratio]
    return "| " + " | ".join(cells) + " |"


def clock(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
