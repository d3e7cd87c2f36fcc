"""Who starts the processes of a run, how many, and on what. Those that start commands are slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from intona import checkpoint
from intona.errors import UserError
from intona.training.launch import Processes, _accelerator, _environment, launch

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "3"}
SRUN = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_NTASKS_PER_NODE": "1",  # of the job, not of the step
    "SLURM_JOB_ID": "77",
}
BATCH_SCRIPT = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_")) or name in (*TORCHRUN, "NODE_RANK"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environ", "devices", "nodes", "kind", "expected"),
    [
        ({}, None, None, "Lightning", (1, 1)),
        ({}, 3, None, "Lightning", (3, 1)),
        ({"MASTER_ADDR": "h", "NODE_RANK": "1"}, 3, 2, "Lightning", (3, 2)),
        (BATCH_SCRIPT, 2, None, "Lightning", (2, 1)),
        (TORCHRUN, None, None, "TorchElastic", (2, 2)),
        (TORCHRUN, 2, 2, "TorchElastic", (2, 2)),
        (SRUN, None, None, "SLURM", (2, 2)),
        (SRUN, 2, None, "SLURM", (2, 2)),
    ],
)
def test_the_number_of_processes_is_that_of_whoever_starts_them(
    environ: dict[str, str],
    devices: int | None,
    nodes: int | None,
    kind: str,
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    environment, *numbers = _environment(Processes(devices=devices, nodes=nodes))
    assert type(environment).__name__ == f"{kind}Environment" and tuple(numbers) == expected


@pytest.mark.parametrize(
    ("environ", "processes", "message"),
    [
        ({}, Processes(devices=0), "--devices: 0 is less than 1"),
        ({}, Processes(nodes=2), "--nodes: 2 nodes, and nothing that starts a process on each"),
        (TORCHRUN, Processes(devices=4), "torchrun started 2 processes on each of 2 nodes; leave them out"),
        (SRUN, Processes(nodes=1), "srun started 2 processes on each of 2 nodes"),
        ({**TORCHRUN, "WORLD_SIZE": "5"}, Processes(), "torchrun started 5 processes on 2 nodes: not the"),
        ({}, Processes(strategy="fsdp"), "there is one; add --devices N"),
        ({}, Processes(device="gpu"), '--device: "gpu" is no device; auto, cpu, cuda or cuda:N'),
        ({}, Processes(device="cpu:1"), '"cpu:1" is no device'),
    ],
)
def test_what_cannot_be_started_is_refused(
    environ: dict[str, str], processes: Processes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as e:
        launch(processes)
    assert message in str(e.value)


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _accelerator("auto") == ("cpu", None)
    with pytest.raises(UserError, match="no GPU that this torch can use"):
        _accelerator("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert _accelerator("cuda:1") == ("cuda", 1) and _accelerator("auto") == ("cuda", None)
    with pytest.raises(UserError, match="there are 2 GPUs"):
        _accelerator("cuda:2")
    with pytest.raises(UserError, match="3 processes on 2 GPUs"):
        launch(Processes(device="cuda", devices=3))
    with pytest.raises(UserError, match="2 processes on one GPU"):
        launch(Processes(device="cuda:1", devices=2))


# --- as commands ---------------------------------------------------------------------------------------

SCRIPT = Path(sys.executable).with_name("intona")
MODULE = [sys.executable, "-m", "intona"]


class Command:
    """`intona train` on two gloo processes, in the background."""

    def __init__(self, start: list[str], corpus: Path, run: Path, *more: str) -> None:
        self.run = run
        self.log = run.parent / f"{run.name}.log"
        line = ["train", "prosody.gradtts", "--size", "toy", "--data", str(corpus), "--output", str(run)]
        line += ["--device", "cpu", "--devices", "2", "--max-items", "1", "--loop.precision", "fp32"]
        line += ["--loop.log-every", "1", "--loop.save-every", "100000", *more]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([*start, *line], stderr=log, stdout=log, env=env)

    def trains(self) -> Command:
        """Wait until it has made a step."""
        metrics = self.run / "metrics.jsonl"
        self._wait(
            lambda: (
                self.process.poll() is not None or (metrics.is_file() and '"train"' in metrics.read_text())
            )
        )
        assert self.process.poll() is None, self.log.read_text()
        return self

    def others(self) -> list[int]:
        """The processes that it started."""
        pid = self.process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ends(self, *others: int) -> tuple[int, list[str]]:
        """Exit code, and what all processes printed."""
        code = self.process.wait(1800)
        self._wait(lambda: not any(_runs(pid) for pid in others))
        return code, self.log.read_text().splitlines()

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 1800  # only ends a hang
        while not condition():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.2)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


LONG = ("--loop.steps", "100000")


@pytest.mark.slow
@pytest.mark.trains
def test_sigterm_stops_all_ranks_with_one_checkpoint_and_torchrun_continues(
    corpus: Path, tmp_path: Path
) -> None:
    start = [sys.executable, str(SCRIPT)] if SCRIPT.is_file() else MODULE
    command = Command(start, corpus, tmp_path / "run", *LONG).trains()
    others = command.others()
    assert len(others) == 1
    command.process.send_signal(signal.SIGTERM)
    code, lines = command.ends(*others)
    assert code == -signal.SIGTERM
    first, step = checkpoint.steps(command.run)
    assert first == 0 and step > 0
    assert sum("stopping after this step" in line for line in lines) == 1
    assert sum("the same command goes on" in line for line in lines) == 1
    assert sum(line.startswith("stage ") for line in lines) == 1
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    again = Command([*torchrun, "-m", "intona"], corpus, command.run, "--loop.steps", str(step + 1))
    code, lines = again.ends()
    assert code == 0, lines
    assert checkpoint.steps(command.run) == [step, step + 1]
    assert sum(f"resumed at step {step}" in line for line in lines) == 1


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.parametrize("dead", ["another", "first"])
def test_a_killed_rank_ends_the_others_with_one_line(dead: str, corpus: Path, tmp_path: Path) -> None:
    command = Command(MODULE, corpus, tmp_path / "run", *LONG).trains()
    others = command.others()
    os.kill(others[0] if dead == "another" else command.process.pid, signal.SIGKILL)
    code, lines = command.ends(*others)
    assert code == (1 if dead == "another" else -signal.SIGKILL)
    about = [line for line in lines if "has ended" in line]
    assert len(about) == 1 and about[0].startswith("intona: error: ") and "it resumes" in about[0], lines
    assert not any("Traceback" in line for line in lines)
