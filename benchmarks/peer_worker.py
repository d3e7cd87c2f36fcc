"""Speaks texts with one synthesizer as a library. Runs in the synthesizer's Python: only the standard library
and the synthesizer are imported.

    python peer_worker.py KIND '{"voice": …, "language": …, "texts": {id: text}, "output": DIR, "first": […]}'
    python peer_worker.py size DISTRIBUTION
    python peer_worker.py time '["program", "argument"]'

The last line of stdout is JSON: seconds to load it, and from a text to the first samples of its speech; the
size of an installed distribution; or what a program costs. The program is started from here because a process
counts the memory of the one that started it until it has loaded its own program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Chunks = Iterator[tuple[bytes, int]]  # 16-bit samples, sample rate
Stream = Callable[[str], Chunks]


def main() -> None:
    kind, argument = sys.argv[1:]
    if kind == "size":
        print(json.dumps({"megabytes": installed_megabytes(argument)}))
        return
    request = json.loads(argument)
    if kind == "time":
        print(json.dumps(cost(request)))
        return
    began = time.perf_counter()
    options = {"vocoder": request["vocoder"]} if request.get("vocoder") else {}
    stream = KINDS[kind](request["voice"], request["language"], **options)
    load = time.perf_counter() - began
    output = Path(request["output"])
    output.mkdir(parents=True, exist_ok=True)
    for name, text in request["texts"].items():
        write(output / f"{name}.wav", list(stream(text)))
    seconds = []
    if request["first"]:
        next(stream(request["first"][0]))  # a warm-up
    for text in request["first"]:
        began = time.perf_counter()
        next(stream(text))
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"load": load, "first": seconds}))


def write(path: Path, chunks: list[tuple[bytes, int]]) -> None:
    """A wav under its final name only once it is whole."""
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(chunks[0][1])
        for samples, _ in chunks:
            file.writeframes(samples)
    part.rename(path)


def pcm16(samples: Any) -> bytes:
    import numpy as np

    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def intona(voice: str, language: str, vocoder: str | None = None) -> Stream:
    import intona

    loaded = intona.load(voice, vocoder=vocoder)
    options: dict[str, Any] = {"seed": 0}
    if loaded.capabilities.takes("language"):
        options["language"] = language

    def stream(text: str) -> Chunks:
        for audio in loaded.stream(text, **options):
            yield pcm16(audio.samples), audio.sample_rate

    return stream


def piper(voice: str, language: str) -> Stream:
    from piper import PiperVoice  # pyright: ignore[reportMissingImports]

    loaded = PiperVoice.load(voice)

    def stream(text: str) -> Chunks:
        for chunk in loaded.synthesize(text):
            yield chunk.audio_int16_bytes, chunk.sample_rate

    return stream


def hibari(voice: str, language: str) -> Stream:
    from hibari import Hibari  # pyright: ignore[reportMissingImports]

    loaded = Hibari(voice=voice)

    def stream(text: str) -> Chunks:
        for samples in loaded.stream(text, seed=0):
            yield pcm16(samples), 24_000

    return stream


def espeak(voice: str, language: str) -> Stream:
    """A program, not a library: each text is a process, and its first samples are those it writes first."""

    def stream(text: str) -> Chunks:
        command = ["espeak-ng", "-v", voice, "--stdout", text]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            header = process.stdout.read(44)
            rate = int.from_bytes(header[24:28], "little")
            while samples := process.stdout.read(4096):
                yield samples, rate

    return stream


KINDS: dict[str, Callable[..., Stream]] = {
    "intona": intona,
    "piper": piper,
    "hibari": hibari,
    "espeak-ng": espeak,
}


def cost(command: list[str]) -> dict[str, Any]:
    """Wall and processor seconds and peak memory (MiB) of a process with its children, and how it ended."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read().decode(errors="replace").strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        "exit": process.returncode,
        "error": errors[-1] if errors else "no message",
    }


def installed_megabytes(name: str) -> float:
    """Size of a distribution and of everything that it requires, in MB (10^6 bytes)."""
    from importlib import metadata

    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]
    waiting, total, counted = [name], 0, set()
    while waiting:
        current = waiting.pop().lower().replace("_", "-")
        if current in counted:
            continue
        counted.add(current)
        try:
            distribution = metadata.distribution(current)
        except metadata.PackageNotFoundError:
            continue  # optional on this machine
        for file in distribution.files or ():
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.is_file() else 0
        for line in distribution.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return total / 1e6


if __name__ == "__main__":
    main()
