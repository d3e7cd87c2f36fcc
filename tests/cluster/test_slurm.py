"""The scripts for Slurm, with a `srun` and a `scontrol` that run everything on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE = 600.0  # only ends a hang
SRUN = """#!/bin/bash
echo "srun $*" >> "$FAKE_LOG"
node=first
while [[ "$1" == --* ]]; do
    [[ "$1" == --nodelist=* ]] && node=${1#--nodelist=}
    shift
done
export FAKE_NODE=$node
exec "$@"
"""
SCONTROL = """#!/bin/bash
[[ "$*" == "show hostnames first,second" ]] && printf 'first\\nsecond\\n'
"""
HOSTNAME = """#!/bin/bash
echo "127.0.0.2 10.0.0.1"
"""
# As the command `ray`, on a machine that starts processes slowly and has little memory.
RAY = """#!{python}
import os, sys
sys.path.insert(0, {here!r})
import conftest
from ray.scripts.scripts import main
sys.argv += ["--object-store-memory=100000000", f"--runtime-env-agent-port={{conftest.free_port()}}"]
if "--head" not in sys.argv:
    sys.argv.append("--node-ip-address=127.0.0.2")
with conftest.patient():
    main()
"""
INTONA = """#!/bin/bash
echo "intona $*; $OMP_NUM_THREADS threads" >> "$FAKE_LOG"
trap 'echo saved >> "$FAKE_LOG"; exit 0' TERM
[ -z "${FAKE_WAIT:-}" ] || while true; do sleep 0.1; done
exit ${FAKE_CODE:-0}
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a job; `FAKE_LOG` is where calls are noted."""
    folder = tmp_path / "bin"
    folder.mkdir()
    ray = RAY.format(python=sys.executable, here=str(Path(__file__).parent))
    python = f'#!/bin/bash\nexec "{sys.executable}" "$@"\n'
    programs = {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "hostname": HOSTNAME,
        "ray": ray,
        "intona": INTONA,
        "python": python,
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "FAKE_LOG": str(tmp_path / "log"),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "first,second",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_CPUS_PER_TASK": "1",
    }


@pytest.mark.parametrize("name", ["ray", "train"])
def test_syntax_and_usage(root: Path, name: str, slurm: dict[str, str]) -> None:
    script = root / f"scripts/slurm/{name}.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    done = subprocess.run([script], env=slurm, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("usage: sbatch")


def test_training_starts_one_process_per_gpu(root: Path, tmp_path: Path, slurm: dict[str, str]) -> None:
    command = [root / "scripts/slurm/train.sbatch", "meld.tts", "--data", "a b", "--output", "r"]
    done = subprocess.run(command, env={**slurm, "FAKE_CODE": "3"}, check=False)
    assert done.returncode == 3  # as the training
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls[0].startswith(
        "srun --nodes=2 --ntasks-per-node=4 --kill-on-bad-exit=1 intona train meld.tts"
    )
    assert calls[1] == "intona train meld.tts --data a b --output r --devices 4 --nodes 2; 1 threads"


def test_the_end_of_the_time_reaches_the_training(root: Path, tmp_path: Path, slurm: dict[str, str]) -> None:
    command = [root / "scripts/slurm/train.sbatch", "meld.tts"]
    process = subprocess.Popen(command, env={**slurm, "FAKE_WAIT": "1"})
    log, end = tmp_path / "log", time.monotonic() + DEADLINE
    while not (log.is_file() and "threads" in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0  # of the training, which has saved
    assert log.read_text().endswith("saved\n")


@pytest.mark.slow
def test_a_cluster_in_a_job(root: Path, tmp_path: Path, slurm: dict[str, str], ray_settings: None) -> None:
    """A head, a worker, a command on both, and nothing is left running."""
    pytest.importorskip("ray")
    code = (
        "import os\nfrom intona.cluster import open_engine\nimport cluster_work as work\n"
        "with open_engine('auto') as engine:\n"
        "    print(engine.workers, list(engine.map(work.square, range(5))), os.environ['RAY_AUTH_MODE'])\n"
        "raise SystemExit(5)\n"
    )
    environment = {**os.environ, **{k: v for k, v in slurm.items() if k != "PYTHONPATH"}}
    environment.pop("RAY_AUTH_MODE", None)
    command = [root / "scripts/slurm/ray.sbatch", "python", "-c", code]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=2 * DEADLINE
    )
    assert done.returncode == 5, done.stderr
    assert "2 [0, 1, 4, 9, 16] token" in done.stdout
    starts = [line for line in (tmp_path / "log").read_text().splitlines() if "ray start" in line]
    assert ["--nodelist=first" in starts[0], "--nodelist=second" in starts[1]] == [True, True]
    left = subprocess.run(["pgrep", "-f", "port=20007"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
