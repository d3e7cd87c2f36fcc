"""The engine: order, resume, failures that stop only what builds on them, and the time it counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intona.cluster import LocalEngine
from intona.errors import UserError
from intona.studies.engine.job import LOCK, folder, is_done, spent
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan, with_gpus
from intona.studies.engine.runner import SAVING_SECONDS, run

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))


def job(
    name: str, what: str, *needs: str, arm: str = "", minutes: float = 1, **arguments: object
) -> StudyJob:
    return StudyJob(
        name=name, call=f"study_jobs:{what}", arguments=arguments, needs=needs, arm=arm, minutes=minutes
    )


def plan(*jobs: StudyJob) -> StudyPlan:
    return StudyPlan(study="test", arms=(Arm(name="a"),), jobs=jobs)


def written(out: Path, name: str) -> str:
    return (folder(out, name) / "made.txt").read_text()


def test_order_resume_and_time(tmp_path: Path) -> None:
    declared = plan(
        job("a", "write", text="a"),
        job("b/c", "write", "a", text="b"),
        job("d", "write", "b/c", "a", text="d"),
    )
    lines: list[str] = []
    assert run(declared, tmp_path, workers=2, report=lines.append).complete
    assert written(tmp_path, "d") == "aabd"
    assert all(spent(tmp_path, n)[0] > 0 for n in ("a", "b/c", "d"))
    again = run(declared, tmp_path)
    assert again.complete and written(tmp_path, "d") == "aabd"  # nothing ran twice
    assert any(line.startswith("d done: ") for line in lines)


def test_the_note_of_a_job_is_reported_at_once(tmp_path: Path) -> None:
    lines: list[str] = []
    declared = plan(job("a", "warn", text="THE GATE IS SHUT\n"), job("b", "write", "a", text="b"))
    assert run(declared, tmp_path, report=lines.append).complete
    assert lines.index("THE GATE IS SHUT") < lines.index("b starts")


def test_a_job_that_stops_early_is_called_again(tmp_path: Path) -> None:
    declared = plan(job("a", "in_parts", parts=3), job("b", "write", "a", text="b"))
    first, second = run(declared, tmp_path), run(declared, tmp_path)
    assert first.left == second.left == ("a", "b") and not first.failed
    assert run(declared, tmp_path).complete
    assert written(tmp_path, "b") == "xxxb"


def test_a_failure_stops_what_builds_on_it_and_nothing_else(tmp_path: Path) -> None:
    declared = plan(
        job("bad", "refuse"),
        job("killed", "die", times=1),
        job("x", "write", "bad", text="x"),
        job("y", "write", "x", text="y"),
        job("fine", "write", text="f"),
    )
    ended = run(declared, tmp_path)
    assert ended.failed["bad"] == "no good; none" and "SIGKILL" in ended.failed["killed"]
    assert ended.blocked == ("x", "y") and ended.done == ("fine",) and not ended.complete
    again = run(declared, tmp_path)
    assert "killed" in again.done and list(again.failed) == ["bad"]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    run(plan(job("a", "write", text="a"), job("b", "write", "a", text="b")), tmp_path)
    changed = plan(job("a", "write", text="A"), job("b", "write", "a", text="b"))
    with pytest.raises(UserError, match='"a" ran with other settings'):
        run(changed, tmp_path)
    # b's own arguments are the same, but it builds on what changed.
    assert (
        changed.fingerprints["b"]
        != plan(
            *changed.jobs[1:0], *plan(job("a", "write", text="a"), job("b", "write", "a", text="b")).jobs
        ).fingerprints["b"]
    )


def test_gpus_go_to_jobs_that_train_and_change_no_fingerprint() -> None:
    train = StudyJob(name="t", call="intona.studies.engine.stages:train")
    declared = plan(train, job("a", "write", "t", text="a"))
    changed = with_gpus(declared, 2)
    assert [j.gpus for j in changed.jobs] == [2, 0]
    assert changed.fingerprints == declared.fingerprints


def test_a_job_waits_for_another_process_in_its_folder(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    declared = plan(job("a", "write", text="a"))
    declared.save(tmp_path / "plan.json")
    directory = folder(tmp_path, "a")
    directory.mkdir(parents=True)
    log = tmp_path / "log"
    with open(directory / LOCK, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        process = LocalEngine().start(
            ["-m", "intona.studies.engine", str(tmp_path), "a"], log=log, environment={}
        )
        for _ in range(3000):
            if "waiting: another process" in log.read_text():
                break
            assert process.poll() is None
            time.sleep(0.1)
        assert not (directory / "made.txt").exists()
    process.end(300)
    assert process.poll() == 0 and written(tmp_path, "a") == "a"


def test_the_time_limit_starts_nothing_more(tmp_path: Path) -> None:
    declared = plan(job("a", "write", text="a"))
    assert run(declared, tmp_path, limit_minutes=0).left == ("a",)
    assert not is_done(tmp_path, declared, "a")


def test_processes_of_a_job_count_among_its_time(tmp_path: Path) -> None:
    assert run(plan(job("a", "in_a_pool")), tmp_path).complete
    # Beyond the processor time of the job's own process there are the 0.6 s that its worker has spun.
    assert spent(tmp_path, "a")[1] - float(written(tmp_path, "a")) > 0.55


def test_several_workers_have_one_thread_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run(plan(job("one", "threads")), tmp_path / "1", workers=1)
    run(plan(job("one", "threads")), tmp_path / "2", workers=2)
    assert written(tmp_path / "1", "one") == "2" and written(tmp_path / "2", "one") == "1"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_or_killed_study_leaves_no_job_behind(how: signal.Signals, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from intona.studies.engine.plan import StudyJob, StudyPlan;"
        "from intona.studies.engine.runner import run;"
        "run(StudyPlan(study='t', arms=(), jobs=(StudyJob(name='w', call='study_jobs:wait'),)),"
        "    Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys;" + code, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        # Tests that run in the background of a shell inherit Ctrl-C as ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid_file = folder(tmp_path, "w") / "pid"
    for _ in range(3000):
        if pid_file.is_file() and pid_file.read_text():
            break
        time.sleep(0.1)
    child = int(pid_file.read_text())
    process.send_signal(how)
    process.wait(SAVING_SECONDS + 300)  # what the engine gives a job to save in, and a slow machine
    for _ in range(3000):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the job still runs")
    assert spent(tmp_path, "w")[0] > 0  # what it took is not forgotten


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([("a", ()), ("a", ())], "two jobs"),
        ([("a", ("b",)), ("b", ())], "which no earlier job provides"),
        ([("../a", ())], "not a valid job name"),
        ([("a/../../b", ())], "not a valid job name"),
    ],
)
def test_a_bad_plan_is_refused(jobs: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(*(StudyJob(name=n, call="m:f", needs=needs) for n, needs in jobs))


def test_the_budget_is_added_up() -> None:
    declared = plan(
        job("s", "write", minutes=5), job("x", "write", arm="x", minutes=2), job("y", "write", arm="y")
    )
    assert declared.minutes == 8


def test_optional_jobs_are_waited_for_and_left_out_when_they_fail(tmp_path: Path) -> None:
    def declared(*more: StudyJob, wants: tuple[str, ...] = ()) -> StudyPlan:
        last = StudyJob(
            name="all", call="study_jobs:collect", needs=("a",), wants=("killed", "x", *wants), minutes=1
        )
        return plan(
            job("a", "write", text="a"),
            job("killed", "die", times=1),
            job("x", "write", "killed", text="x"),
            *more,
            last,
        )

    first = run(declared(), tmp_path)
    assert list(first.failed) == ["killed"] and first.blocked == ("x",) and "all" in first.done
    assert written(tmp_path, "all") == "a;"
    assert run(declared(), tmp_path).complete  # what failed is mended: it is called again, once
    assert run(declared(), tmp_path).complete
    assert written(tmp_path, "all") == "a;a+killed+x;"
    # One arm more is no other study.
    assert run(declared(job("b", "write", text="b"), wants=("b",)), tmp_path).complete
    assert written(tmp_path, "all").endswith(";a+b+killed+x;")


def test_an_optional_job_that_is_not_done_yet_holds_a_job_back(tmp_path: Path) -> None:
    last = StudyJob(name="all", call="study_jobs:collect", wants=("slow",))
    declared = plan(job("slow", "in_parts", parts=2), last)
    assert run(declared, tmp_path).left == ("slow", "all")
    assert run(declared, tmp_path).complete and written(tmp_path, "all") == "slow;"


def test_the_chain_of_a_job() -> None:
    declared = plan(
        job("a", "write"), job("b", "write", "a"), job("c", "write"), job("d", "write", "b", minutes=3)
    )
    assert [j.name for j in declared.chain("d")] == ["a", "b", "d"]
