"""The tests on a GPU that computes on the CPU, in a process of their own (see conftest.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import APART

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("marks", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_a_process_of_their_own(marks: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {APART: "1"}
    done = subprocess.run(
        [
            *command,
            "-m",
            f"{marks} and not gpu",
            f"--basetemp={tmp_path / 'apart'}",
            str(Path(__file__).parent),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    # 5: no test has these marks.
    assert done.returncode == 0 or (marks == "slow" and done.returncode == 5), (
        done.stdout[-8000:] + done.stderr[-2000:]
    )
    print(done.stdout.strip().splitlines()[-1])
