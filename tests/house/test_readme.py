"""The README's commands: each is understood; the cheap ones run here, the rest under `make check`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from intona import cli, models

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHEAP = ("models", "doctor")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


def intona_arguments(line: str) -> list[str]:
    """The arguments of the `intona` in a line, the program's name left out."""
    words = shlex.split(line.rpartition(" | ")[2])
    assert words[0] == ".venv/bin/intona", line
    return words[1:]


INTONA = [line for line in commands() if "intona " in line]


def has_voice() -> bool:
    return any(c.name == "ru" for c in models.shipped("voice"))


def test_there_are_commands():
    assert len(INTONA) >= 6 and len(blocks("python")) == 1
    assert all(line in INTONA or line.startswith("make ") for line in commands())


@pytest.mark.parametrize("line", INTONA)
def test_every_command_is_understood(line: str):
    verb, *rest = intona_arguments(line)
    assert verb in cli.VERBS
    if verb == "say":
        from intona.cli.say import Say as Request
    elif verb == "train":
        from intona.cli.train import Train as Request
        from intona.cli.train import split

        rest, overrides = split(rest)
        assert overrides == {}
    elif verb == "prepare":
        from intona import registry
        from intona.cli.prepare import Prepare as Request

        assert rest[0] in registry.names("layouts")
    elif verb == "align":
        from intona.cli.align import Align as Request
    elif verb == "synthesize-set":
        from intona.cli.synthesize_set import SynthesizeSet as Request
    elif verb == "evaluate":
        from intona.cli.aliases import renamed
        from intona.cli.evaluate import Evaluate as Request

        rest = renamed(rest)
    elif verb == "transcribe":
        from intona.cli.transcribe import Transcribe as Request
    elif verb == "models":
        from intona.cli.about import Models as Request
    else:
        from intona.cli.about import Doctor as Request
    tyro.cli(Request, args=rest)  # exits with 2 on a flag that is not there


@pytest.mark.parametrize("verb", CHEAP)
def test_cheap_commands_run(verb: str, tmp_path: Path):
    line = next(line for line in INTONA if intona_arguments(line)[0] == verb)
    done = run(line, tmp_path)
    assert done.returncode in (0, 1), done.stderr  # 1 where a model is not shipped yet
    assert "bug" not in done.stderr
    assert (
        done.stdout.splitlines()[0].split("\t")[:2]
        == {"models": ["name", "kind"], "doctor": ["", "part"]}[verb]
    )
    if has_voice():
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not has_voice(), reason="the voice `ru` is not shipped in this checkout")
@pytest.mark.parametrize("line", [x for x in INTONA if " say " in x and "--model" not in x])
def test_it_speaks(line: str, tmp_path: Path):
    import soundfile

    done = run(line, tmp_path)
    assert done.returncode == 0, done.stderr
    (wav,) = tmp_path.glob("*.wav")
    samples, rate = soundfile.read(wav)
    assert rate == 22_050 and 0.3 < len(samples) / rate < 20
    assert abs(samples).max() > 0.02


@pytest.mark.slow
def test_a_voice_is_taken_from_what_was_said_before(tmp_path: Path):
    first, then = INTONA[0], next(x for x in INTONA if "--reference hello.wav" in x)
    for line in (first, then):
        assert run(line, tmp_path).returncode == 0
    assert (tmp_path / "ditto.wav").stat().st_size > 40_000


@pytest.mark.slow
def test_what_meld_said_it_also_hears(tmp_path: Path):
    said, heard = (x for x in INTONA if "--model meld-ru" in x)
    assert run(said, tmp_path).returncode == 0
    done = run(heard, tmp_path)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not has_voice(), reason="the voice `ru` is not shipped in this checkout")
def test_the_python_runs(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hello.wav").stat().st_size > 10_000


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of the README in a folder of its own, with this Python's intona."""
    program = f"{shlex.quote(sys.executable)} -m intona"
    # C.UTF-8: the text in the line is Russian whatever the machine speaks.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        line.replace(".venv/bin/intona", program),
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
        check=False,
    )
