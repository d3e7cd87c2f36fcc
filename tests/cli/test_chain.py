"""The whole way on real recordings, as a person types it: prepare, align, train, resume, say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[1] / "assets/festvox-ru-small"


def intona(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command in a folder of its own; `CORPUS` stands for the recordings."""
    words = [str(CORPUS) if w == "CORPUS" else w for w in line.split()]
    return subprocess.run(
        [sys.executable, "-m", "intona", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment},
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the small corpus is not in this checkout")
def test_from_recordings_to_speech(tmp_path: Path):
    pytest.importorskip("lightning")

    def run(line: str, **environment: str) -> str:
        done = intona(tmp_path, line, **environment)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def refused(line: str) -> str:
        done = intona(tmp_path, line)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    assert "kept  " in run("prepare festvox CORPUS data --language ru --dev 2 --test 2 --workers 0")
    report = json.loads((tmp_path / "data/report.json").read_text("utf-8"))
    assert report["kept"] == 14 and report["splits"] == {"train": 10, "dev": 2, "test": 2}
    train = "train prosody.gradtts --size toy --data data --output run --loop.steps 3"
    assert "run `intona align DATA` once" in refused(train)
    assert "aligned 14 utterances" in run("align data --labels")

    assert 'unknown config key "loop.stepz"' in refused(f"{train} --loop.stepz 4")
    assert 'unknown stage "prosody.gradtt"; did you mean "prosody.gradtts"?' in refused(
        train.replace("gradtts", "gradtt", 1)
    )
    run(train)
    assert (tmp_path / "run/step-00000003/model.safetensors").is_file()
    run(train)  # the same again: nothing is left to do, and nothing breaks
    assert [p.name for p in (tmp_path / "run").glob("step-*3")] == ["step-00000003"]

    # The same bits need the same arithmetic: without AVX-512 no process finds bfloat16 the faster one.
    for name in ("a.wav", "b.wav"):
        run(f"say Добрый день! --model run -o {name} --rate 0.5 --steps 2", ONEDNN_MAX_CPU_ISA="AVX2")
    wav = (tmp_path / "a.wav").read_bytes()
    assert len(wav) > 1000 and wav == (tmp_path / "b.wav").read_bytes()
    assert "unknown speaker" in refused("say a --model run --speaker nobody")

    weights = tmp_path / "run/step-00000003/ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert weights.name in refused("say a --model run/step-00000003")
