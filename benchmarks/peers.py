"""intona beside other synthesizers: quality, speed, memory and size in one table from one run.

    python benchmarks/peers.py /tmp/peers                                    # everything, about an hour
    python benchmarks/peers.py /tmp/peers --sentences 4 --rounds 3           # a quick look

Installs Piper, hibari and a Piper voice into DIRECTORY/venv; espeak-ng is the system's. Every synthesizer
speaks the same sentences, which whisper-base and DistillMOS judge, and is then started again and again as a
user would start it; the systems take turns. Whatever has been spoken and timed is kept in DIRECTORY: the same
command continues where an earlier one stopped. peers.json and peers.md are written there. A synthesizer that
cannot be had keeps its row, with the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

from peer_systems import WORKER, System, systems
from peer_table import markdown, median, summarize
from peer_texts import SENTENCES, timed

from intona import config
from intona.errors import UserError

MEASURES = ("cer", "wer", "distillmos")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="for the environment, the recordings and the results")
    parser.add_argument(
        "--voice", action="append", help="a voice of intona or a run, as NAME or NAME+VOCODER"
    )
    parser.add_argument("--piper-voice", action="append", type=Path, default=[], help="a further .onnx file")
    parser.add_argument("--sentences", type=int, default=20, help="per language, at most 20")
    parser.add_argument("--rounds", type=int, default=7, help="of the timings")
    parser.add_argument("--texts", default="short,6 s,60 s", help="what is timed")
    parser.add_argument("--languages", default="ru,en")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (UserError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace) -> None:
    directory: Path = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    voices = arguments.voice or ["ru-en", "ru-en+vocoder-draft", "ditto"]
    rows = systems(directory / "venv", voices, arguments.piper_voice)
    rows = [r for r in rows if r.language in arguments.languages.split(",")]
    machine = describe_machine()
    first: dict[str, list[float]] = {}
    for i, row in enumerate(rows):
        if row.problem:
            continue
        log(f"{row.name} ({row.language}): {arguments.sentences} sentences")
        try:
            first[row.folder] = speak(row, directory, arguments.sentences, arguments.rounds)
        except UserError as e:
            rows[i] = dataclasses.replace(row, problem=str(e))
    working = [r for r in rows if not r.problem]
    quality = judge(working, directory, arguments.sentences)
    runs = time_all(working, directory, arguments.rounds, arguments.texts.split(","))
    result = {
        "machine": machine,
        "systems": [
            {
                **dataclasses.asdict(row),
                "quality": quality.get(row.folder, {}),
                "cost": summarize([r for r in runs if r["system"] == row.folder]),
                "first": median(first[row.folder]) if first.get(row.folder) else None,
                "size": {} if row.problem else row.megabytes(),
            }
            for row in rows
        ],
    }
    config.write_json(directory / "peers.json", result)
    (directory / "peers.md").write_text(markdown(result) + "\n", encoding="utf-8")
    print(markdown(result))


def speak(row: System, directory: Path, sentences: int, rounds: int) -> list[float]:
    """Record the sentences that are missing; seconds to the first audio of as many texts as rounds.

    Raises:
        UserError: the synthesizer failed, with its last line.
    """
    folder = directory / "wavs" / row.folder
    texts = {f"s{i:02d}": t for i, t in enumerate(SENTENCES[row.language][:sentences])}
    missing = {name: t for name, t in texts.items() if not (folder / f"{name}.wav").is_file()}
    cached = folder.with_suffix(".json")
    earlier = config.read_json(cached)["first"] if cached.is_file() else []
    if not missing and len(earlier) >= rounds:
        return earlier[:rounds]
    minute = timed(row.language)["60 s"]
    request = {
        "voice": row.voice,
        "vocoder": row.vocoder,
        "language": row.language,
        "texts": missing,
        "output": str(folder),
        "first": [f"{t} {minute}" for t in SENTENCES[row.language][-rounds:]],
    }
    command = [row.python, str(WORKER), row.kind, json.dumps(request)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise UserError((result.stderr.strip().splitlines() or ["no message"])[-1][:200], where=row.name)
    value = json.loads(result.stdout.splitlines()[-1])
    config.write_json(cached, value)
    return value["first"]


def judge(rows: list[System], directory: Path, sentences: int) -> dict[str, dict[str, Any]]:
    """Folder -> measure -> figure of the sentences, by `intona evaluate`, which keeps what it has judged."""
    out: dict[str, dict[str, Any]] = {}
    for language in dict.fromkeys(r.language for r in rows):
        of_language = [r for r in rows if r.language == language]
        manifest = directory / f"manifest-{language}-{sentences}.txt"
        lines = [f"s{i:02d}|{t}|" for i, t in enumerate(SENTENCES[language][:sentences])]
        manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
        report = directory / f"report-{language}-{sentences}"
        folders = [f"{r.folder}={directory / 'wavs' / r.folder}" for r in of_language]
        options = ["--language", language, "--judges", "asr,distillmos", "--no-controls", "--no-html"]
        command = [sys.executable, "-m", "intona", "evaluate", *folders, "-m", str(manifest), *options]
        log(f"judging {len(of_language)} systems in {language}")
        result = subprocess.run([*command, "-o", str(report)], stdout=subprocess.PIPE, text=True)
        if result.returncode:
            log(f"not judged: intona evaluate ended with {result.returncode}")
            continue
        out |= figures(config.read_json(report / "table.json"))
    return out


def figures(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """System -> measure -> {"estimate", "low", "high", "n"} of a table.json, failures counted."""
    return {
        row["name"]: {m: c["counted"] or c["scored"] for m, c in row["cells"].items() if m in MEASURES}
        for row in table["rows"]
    }


def time_all(rows: list[System], directory: Path, rounds: int, texts: list[str]) -> list[dict[str, Any]]:
    """Whole processes of all systems, which take turns; those timed earlier are read, not repeated."""
    file = directory / "runs.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    runs = [json.loads(line) for line in lines]
    known = {(r["system"], r["text"], r["round"]) for r in runs}
    for number in range(rounds):
        for row in rows:
            for text in texts:
                if (row.folder, text, number) in known:
                    continue
                log(f"round {number + 1} of {rounds}: {row.name} ({row.language}), {text}")
                output = directory / "timed.wav"
                try:
                    measured = time_process(row.command(timed(row.language)[text], output), output)
                except UserError as e:
                    log(str(e))
                    continue
                runs.append({"system": row.folder, "text": text, "round": number, **measured})
                with open(file, "a", encoding="utf-8") as f:
                    f.write(json.dumps(runs[-1]) + "\n")
    return [r for r in runs if r["round"] < rounds and r["text"] in texts]


def time_process(command: list[str], output: Path) -> dict[str, float]:
    """Wall and processor seconds and peak memory (MiB) of a process with its children; seconds of its wav.

    Raises:
        UserError: it fails, or writes no wav.
    """
    output.unlink(missing_ok=True)
    # A bare Python: see peer_worker.py.
    launcher = [sys.executable, "-I", "-S", str(WORKER), "time", json.dumps(command)]
    run = subprocess.run(launcher, capture_output=True, text=True, check=True)
    measured = json.loads(run.stdout.splitlines()[-1])
    error = measured.pop("error")
    if measured.pop("exit") or not output.is_file():
        raise UserError(f"not timed: {error[:200]}", where=Path(command[0]).name)
    with wave.open(str(output)) as file:
        return {**measured, "speech": file.getnframes() / file.getframerate()}


def describe_machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = (line for line in cpuinfo.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").partition(":")[2].strip()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load average at the start": round(os.getloadavg()[0], 1),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "unset"),
        "Python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
