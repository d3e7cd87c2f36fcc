"""Kills, full disks and dead ranks as they come, not as a mock gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from intona import checkpoint
from intona.errors import UserError

HERE = Path(__file__).parent


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": path}


@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_sigkill_at_any_moment_of_saving(tmp_path: Path, kills: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), str(tmp_path / "run"), str(kills)],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert (found["kills"], found["whole"], found["lost"], found["partial"]) == (kills, kills, 0, 0)
    assert found["inside"] >= kills // 2  # every other kill waits for a save to be under way


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    def save(step: int, size: int) -> Path:
        tensors = {"model": {"w": torch.full((size,), float(step))}}
        return checkpoint.save(small_disk / "run", step, tensors=tensors, files={"config.json": {}})

    first = save(1, 50_000)
    with pytest.raises(UserError, match=r"No space left.*free some space") as e:
        save(2, 400_000)
    assert "\n" not in str(e.value)
    checkpoint.verify(first)
    assert [p.name for p in (small_disk / "run").iterdir()] == [first.name]
    save(2, 50_000)
    assert checkpoint.steps(small_disk / "run") == [1, 2]


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.parametrize("rank", [0, 1])
def test_a_dead_rank_ends_the_other(corpus: Path, tmp_path: Path, rank: int) -> None:
    out = tmp_path / "run"
    arguments = [
        corpus,
        out,
        "--ranks",
        2,
        "--steps",
        50,
        "--save-every",
        2,
        "--kill-at",
        5,
        "--kill-rank",
        rank,
    ]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "runs.py"), *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    # The pipe closes when both ranks are gone.
    _, said = process.communicate(timeout=900)
    assert process.returncode != 0
    assert checkpoint.steps(out)[-1] == 4
    checkpoint.verify(checkpoint.resolve(out))
    if rank == 1:
        last = said.strip().splitlines()[-1]
        assert last.startswith("intona: error:") and "Traceback" not in said, said[-1500:]
