"""Run the Containerfile without a container engine: its commands in a fresh venv, then its server.

    python scripts/check_container.py [--build-arg NAME=VALUE …] [--work DIR]

It copies what .containerignore lets through, runs each RUN of a package in the order of the file, starts
ENTRYPOINT and CMD, and checks HEALTHCHECK, access with and without the API key, speech, and SIGTERM. Not
checked: the base image, users and permissions, and what only an engine does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEY = "check-container"
ENGINE_ONLY = ("groupadd",)  # RUN commands that change the system
SECONDS = 600.0  # until the server must answer


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Containerfile in order; continued lines are joined, comments left out."""
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.split("\n"))]


def assignments(pairs: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a table."""
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def arguments(steps: list[tuple[str, str]], chosen: Mapping[str, str]) -> dict[str, str]:
    """The values of ARG: the defaults, or those of the command line.

    Raises:
        SystemExit: a value for an ARG that the file does not have.
    """
    defaults = assignments(rest for name, rest in steps if name == "ARG")
    if unknown := chosen.keys() - defaults.keys():
        raise SystemExit(f"the Containerfile has no ARG {', '.join(sorted(unknown))}")
    return {**defaults, **chosen}


def is_ignored(path: str, rules: list[str]) -> bool:
    """Whether .containerignore leaves a file of the context out; the last rule that fits decides."""
    ignored = False
    parents = [path, *(str(p) for p in Path(path).parents)][:-1]
    for rule in rules:
        pattern = rule.lstrip("!").removeprefix("**/")
        names = [Path(p).name for p in parents] if "**/" in rule else parents
        if any(fnmatch(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def rules_of(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def copy(source: str, target: Path, rules: list[str]) -> None:
    """COPY of one file or folder from the context into `target`. Raises SystemExit if nothing is copied."""
    paths = [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*"))
    files = [p for p in paths if p.is_file() and not is_ignored(p.relative_to(ROOT).as_posix(), rules)]
    if not files:
        raise SystemExit(f"COPY {source}: not in the context")
    for file in files:
        to = target / (file.relative_to(ROOT / source) if (ROOT / source).is_dir() else file.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def build(steps: list[tuple[str, str]], values: Mapping[str, str], work: Path) -> dict[str, str]:
    """Run COPY and RUN in a fresh venv; returns the environment of the image's processes."""
    venv.create(work / "venv", with_pip=True)
    path = f"{work / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(work / "venv")}
    environment.pop("PYTHONPATH", None)
    folder, rules = work / "app", rules_of(ROOT / ".containerignore")
    folder.mkdir()
    for name, rest in steps:
        if name == "ENV":
            environment = {**environment, **assignments(rest.split()), "HF_HOME": str(work / "cache")}
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy(source, folder / target, rules)
        elif name == "RUN" and not rest.startswith(ENGINE_ONLY):
            print(f"RUN {rest}", file=sys.stderr, flush=True)
            subprocess.run(["sh", "-c", rest], cwd=folder, env={**environment, **values}, check=True)
    return environment


def request(url: str, body: object = None, key: str = "") -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=300) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def serve(steps: list[tuple[str, str]], environment: Mapping[str, str], work: Path) -> None:
    """Start the server as the image does, and check what it answers."""
    last = dict(steps)
    command = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    health = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    keyless = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert keyless.returncode == 1 and "no API key is set" in keyless.stderr, keyless.stderr
    server = subprocess.Popen(command, cwd=work, env={**environment, "INTONA_API_KEY": KEY})
    try:
        started = time.monotonic()
        while subprocess.run(health, env=environment, stderr=subprocess.DEVNULL, check=False).returncode:
            assert server.poll() is None and time.monotonic() - started < SECONDS, "the server does not start"
            time.sleep(1)
        print(f"healthy after {time.monotonic() - started:.0f} s", file=sys.stderr)
        url, model = "http://127.0.0.1:8000/v1/audio/speech", command[command.index("--models") + 1]
        body = {"model": model.split(",")[0], "voice": "alloy", "input": "Добрый день!"}
        assert request(url, body)[0] == 401
        status, audio = request(url, {**body, "response_format": "wav"}, KEY)
        assert status == 200 and audio[:4] == b"RIFF" and len(audio) > 20_000, (status, audio[:200])
        print(f"{len(audio)} bytes of wav", file=sys.stderr)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, server.returncode
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--work", type=Path, metavar="DIR", help="a new folder that is kept")
    options = parser.parse_args()
    steps = instructions((ROOT / "Containerfile").read_text(encoding="utf-8"))
    values = arguments(steps, assignments(options.build_arg))
    with tempfile.TemporaryDirectory(prefix="intona-container-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=options.work is None)
        serve(steps, build(steps, values, work), work)
    print("the commands of the Containerfile work")


if __name__ == "__main__":
    main()
