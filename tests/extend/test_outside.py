"""A package that is not intona's registers a part of every kind; nothing inside intona knows it.

`tests/assets/outside` is installed into a folder of its own, and the commands run in a process that sees it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ASSETS = Path(__file__).resolve().parents[1] / "assets"
SOURCE = Path(__file__).resolve().parents[2] / "src"
TEXTS = ("saluton & bonan tagon", "mi parolas kaj vi aŭskultas", "la suno brilas hodiaŭ", "ni iras hejmen")
RUNNER = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from intona.cli import main
results = []
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(line)
    results.append({"code": code, "out": out.getvalue(), "err": err.getvalue()})
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `pip install --target` filled."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ASSETS / "outside", folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", str(folder / "installed")]
    done = subprocess.run([*command, str(folder / "source")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "installed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a corpus in the package's own layout."""
    folder = tmp_path_factory.mktemp("work")
    corpus = folder / "corpus"
    corpus.mkdir()
    wavs = sorted((ASSETS / "festvox-ru-small" / "wav").glob("*.wav"))[: 2 * len(TEXTS)]
    lines = []
    for number, wav in enumerate(wavs):
        shutil.copy(wav, corpus / f"u{number}.wav")
        lines.append(f"u{number}\tqx\t{TEXTS[number % len(TEXTS)]}")
    (corpus / "lines.tsv").write_text("\n".join([*lines, "broken"]) + "\n", encoding="utf-8")
    return folder


def run(folder: Path, *lines: str, package: Path | None) -> list[dict[str, str | int]]:
    """Exit code and output of command lines, one after another in one process; "~" in a word is a space."""
    paths = [*([str(package)] if package is not None else []), str(SOURCE)]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([[word.replace("~", " ") for word in line.split()] for line in lines]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "passive"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


COMMANDS = (
    "prepare outside corpus data --dev 1 --test 2 --workers 0",
    "read --language qx saluton~&~mondo",
    "train prosody.gradtts --size toy --data data --output encoder --loop.steps 2 --model.durations mas"
    " --model.encoder.kind outside --model.encoder.dim 24",
    "say --model encoder --vocoder outside --steps 1 saluton~&~mondo -o encoder.wav",
    "train outside.mean --size toy --data data --output run --loop.steps 2",
    "train outside.mean --size toy --data data --output run --loop.steps 2",
    "say --model run saluton~&~mondo -o run.wav",
    "synthesize-set run --manifest data/test.jsonl --vocoder outside --output wavs",
    "evaluate mine=wavs --manifest data/test.jsonl --asr none --judges outside_level --output report",
)


def test_every_kind_of_part(folder: Path, package: Path):
    for line, result in zip(COMMANDS, run(folder, *COMMANDS, package=package), strict=True):
        assert result["code"] == 0, f"{line}\n{result['out']}\n{result['err']}"

    newest = folder / "encoder" / "step-00000002"
    config = json.loads((newest / "config.json").read_text("utf-8"))
    assert config["model"]["encoder"] == {"kind": "outside", "dim": 24}
    assert json.loads((newest / "provenance.json").read_text("utf-8"))["parts"] == {
        "encoders/outside": "intona-outside 0.3.1"
    }
    assert "columns" in (folder / "data" / "rejected.jsonl").read_text("utf-8")
    for name in ("encoder.wav", "run.wav"):
        assert soundfile.info(folder / name).samplerate == 22_050
    table = json.loads((folder / "report" / "table.json").read_text("utf-8"))
    assert -100 < table["rows"][0]["cells"]["level"]["scored"]["estimate"] < 0

    # Without the package, a checkpoint names what it needs, and the parts are unknown.
    lines = (
        "say --model run Saluton -o x.wav",
        "say --model encoder Saluton -o x.wav",
        "train outside.mean --data data --output other",
    )
    voice, encoder, stage = run(folder, *lines, package=None)
    for result in (voice, encoder):
        assert result["code"] == 1 and "pip install intona-outside" in str(result["err"])
    assert stage["code"] == 1 and 'unknown stage "outside.mean"' in str(stage["err"])


def test_the_encoder_keeps_the_contract(package: Path):
    script = (
        "from intona.encoders.conformance import check; from outside.encoder import OutsideEncoderConfig; "
        "print(check(OutsideEncoderConfig().build(n_tokens=9, speaker_dim=4), n_tokens=9, speaker_dim=4))"
    )
    paths = os.pathsep.join([str(package), str(SOURCE)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.stdout.strip() == "[]", done.stderr
