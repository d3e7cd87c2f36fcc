"""Two Ray nodes on loopback: the same bytes as the local pool, also when workers and nodes are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intona import cli
from intona.cluster import Engine, LocalEngine, open_engine
from intona.data.prepare import PrepareConfig, prepare
from intona.errors import UserError
from intona.pool import DeadWorker

sys.path.insert(0, str(Path(__file__).parent))
import cluster_work as work

pytestmark = pytest.mark.slow
CORPUS = Path(__file__).parents[1] / "assets/festvox-ru-small"
TEXTS = ("Мама.", "Кот спит.", "Дом.", "Снег.", "Да.")
MANIFEST = "".join(f"u{i}|{text}|x\n" for i, text in enumerate(TEXTS))
TIMES = ("elapsed_seconds", "speed")
AddNode = Callable[[], Any]


@pytest.fixture
def address(ray_cluster: Any) -> str:
    return ray_cluster.address


class Saboteur:
    """An engine whose first map loses a worker and a node."""

    def __init__(self, engine: Engine, folder: Path, doomed: int) -> None:
        self.engine, self.folder, self.doomed = engine, folder, doomed
        folder.mkdir()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def map(self, function: Any, items: Iterable[Any], **settings: Any) -> Iterator[Any]:
        sabotage = work.Sabotage(function, self.folder, self.doomed)
        return self.engine.map(sabotage, enumerate(items), **settings)

    def check(self) -> None:
        assert (self.folder / "worker").exists() and (self.folder / "node").exists()


def raylet_pid(node: Any) -> int:
    return node.all_processes["raylet"][0].process.pid


def written(folder: Path) -> dict[str, bytes]:
    """All files, without what records how long something took."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    files.pop("times.jsonl", None)
    if "report.json" in files:
        report = json.loads(files["report.json"])
        files["report.json"] = repr({k: v for k, v in report.items() if k not in TIMES}).encode()
    return files


def test_prepare_synthesize_and_evaluate_equal_the_local_pool(
    address: str, add_node: AddNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As typed, with relative paths."""
    add_node()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text(MANIFEST, encoding="utf-8")
    for place, options in (("local", ("--workers", "2")), ("ray", ("--cluster", address))):
        for command in (
            ("prepare", "festvox", str(CORPUS), f"{place}-data", "--language", "ru"),
            ("synthesize-set", "ru", "-m", "m.csv", "-o", f"{place}-wavs", "--batch", "2"),
            ("evaluate", f"ours={place}-wavs", "-m", "m.csv", "-o", f"{place}-report", "--judges", "f0",
             "--no-controls", "--no-html", "--asr", "none"),
        ):  # fmt: skip
            assert cli.main([*command, *options]) == 0, command
    assert len(list((tmp_path / "ray-wavs").glob("*.wav"))) == 5
    for what in ("data", "wavs", "report"):
        assert written(tmp_path / f"ray-{what}") == written(tmp_path / f"local-{what}")
    assert not list(tmp_path.glob(".intona-*"))


def test_prepare_with_a_lost_worker_and_a_lost_node(address: str, add_node: AddNode, tmp_path: Path) -> None:
    config = PrepareConfig(language="ru", workers=0)
    prepare("festvox", CORPUS, tmp_path / "local", config)
    with open_engine(address, files=[CORPUS, tmp_path / "ray"], workers=2) as engine:
        saboteur = Saboteur(engine, tmp_path / "sabotage", raylet_pid(add_node()))
        prepare("festvox", CORPUS, tmp_path / "ray", config, engine=saboteur)
    saboteur.check()
    assert written(tmp_path / "ray") == written(tmp_path / "local")


def test_a_set_with_a_lost_worker_and_a_lost_node(address: str, add_node: AddNode, tmp_path: Path) -> None:
    from functools import partial

    from intona import synth
    from intona.evaluation import read_manifest
    from intona.synth.batch import SetConfig, synthesize_set

    (tmp_path / "m.csv").write_text(MANIFEST, encoding="utf-8")
    manifest, load = read_manifest(tmp_path / "m.csv"), partial(synth.load, "ru")
    voice, config = load(), SetConfig(batch=1)
    synthesize_set(voice, manifest, tmp_path / "local", config)
    with open_engine(address, files=[tmp_path], workers=2) as engine:
        saboteur = Saboteur(engine, tmp_path / "sabotage", raylet_pid(add_node()))
        result = synthesize_set(voice, manifest, tmp_path / "ray", config, engine=saboteur, reload=load)
    saboteur.check()
    assert (result.n, result.spoken, result.failures) == (5, 5, ())
    assert written(tmp_path / "ray") == written(tmp_path / "local")


def test_evaluate_with_a_lost_worker_and_a_lost_node(address: str, add_node: AddNode, tmp_path: Path) -> None:
    from intona.audio import read_audio
    from intona.evaluation import EvaluationConfig, Manifest, Row, evaluate
    from intona.evaluation.judges.f0 import F0Judge

    names = sorted(p.stem for p in (CORPUS / "wav").glob("*.wav"))[:6]
    manifest = Manifest(rows=tuple(Row(id=name, text="текст") for name in names))
    (tmp_path / "wavs").mkdir()
    for name in names:
        read_audio(CORPUS / f"wav/{name}.wav").write(tmp_path / f"wavs/{name}.wav")
    settings: dict[str, Any] = {"judges": [F0Judge()], "config": EvaluationConfig(resamples=200)}
    systems = {"ours": tmp_path / "wavs"}
    evaluate(systems, manifest, out=tmp_path / "local", workers=2, **settings)
    with open_engine(address, files=[tmp_path], workers=2) as engine:
        saboteur = Saboteur(engine, tmp_path / "sabotage", raylet_pid(add_node()))
        evaluate(systems, manifest, out=tmp_path / "ray", engine=saboteur, **settings)
    saboteur.check()
    assert written(tmp_path / "ray") == written(tmp_path / "local")


def test_what_workers_say_and_raise(address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One node: states, warnings, errors that are not tried again, and workers that always die."""
    counter = work.Counter(tmp_path / "loads")
    with open_engine(address, files=[tmp_path], workers=1) as engine:
        assert engine.workers == 1 and engine.device == "cpu" and not engine.in_process(1)
        assert list(engine.map(work.add, range(10), state=counter)) == list(range(100, 110))
        assert len((tmp_path / "loads").read_text().split()) == 1
        with pytest.warns(UserWarning, match="item 3 is odd"):
            assert list(engine.map(work.warn, [3])) == [3]
        with pytest.raises(UserError) as caught:
            list(engine.map(work.refuse, range(9), state=tmp_path / "refused"))
        assert str(caught.value) == "item 2: no good; none"
        assert (tmp_path / "refused").read_text().split()[:3] == ["0", "1", "2"]
        assert (tmp_path / "refused").read_text().split().count("2") == 1
        caplog.clear()
        with pytest.raises(DeadWorker, match="3 workers died of the same item"):
            list(engine.map(work.die, range(3)))
        losses = [r.getMessage() for r in caplog.records]
        # The result before the last item may be lost with the worker.
        assert len(losses) >= 3 and all("was lost" in line for line in losses)
    with open_engine(address, files=[tmp_path / "not" / "there"]) as engine:
        assert list(engine.map(work.square, [3])) == [9]  # a folder that is yet to be written


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_worker(address: str, tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from intona.cli import run\nfrom intona.cluster import open_engine\n"
        "import cluster_work as work\n"
        "def action():\n"
        "    with open_engine(sys.argv[1]) as engine:\n"
        "        list(engine.map(work.hold, range(3), state=Path(sys.argv[2])))\n"
        "raise SystemExit(run(action))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    log = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", code, address, str(log)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: log.is_file() and log.read_text().endswith("\n"))
    process.send_signal(how)
    _, err = process.communicate(timeout=work.DEADLINE)
    if how == signal.SIGINT:
        assert process.returncode == 130 and err == "intona: stopped\n"
    worker = int(log.read_text().split()[0])
    until(lambda: not alive(worker))


def test_messages_of_a_command_that_loses_workers(address: str, tmp_path: Path) -> None:
    """A line per loss and one for the error, on stderr; what Ray has to say about it is not shown."""
    code = (
        "import sys\n"
        "from intona import logs\nfrom intona.cli import run\nfrom intona.cluster import open_engine\n"
        "import cluster_work as work\n"
        "def action():\n"
        "    with open_engine(sys.argv[1], workers=1) as engine:\n"
        "        list(engine.map(work.die, range(3)))\n"
        "with logs.on_stderr(): raise SystemExit(run(action))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "") and len(lines) >= 4, done.stderr
    assert all("was lost; others do its work again" in line for line in lines[:-1])
    assert lines[-1].startswith("intona: error: 3 workers died of the same item")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + work.DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_study_on_two_nodes_resumes(address: str, add_node: AddNode, tmp_path: Path) -> None:
    from intona.studies.engine.job import folder
    from intona.studies.engine.plan import StudyJob, StudyPlan
    from intona.studies.engine.runner import run

    def job(name: str, what: str, *needs: str, **arguments: Any) -> StudyJob:
        return StudyJob(name=name, call=f"study_jobs:{what}", needs=needs, arguments=arguments)

    plan = StudyPlan(
        study="t",
        arms=(),
        jobs=(
            job("a", "write", text="a"),
            job("bad", "refuse"),
            job("killed", "die", times=1),
            job("b", "write", "a", text="b"),
            job("parts", "in_parts", parts=2),
        ),
    )
    add_node()
    for place, engine in (("local", LocalEngine()), ("ray", open_engine(address, files=[tmp_path]))):
        with engine:
            outcomes = [run(plan, tmp_path / place, workers=2, engine=engine) for _ in range(2)]
        assert outcomes[0].failed["bad"] == "no good; none" and "SIGKILL" in outcomes[0].failed["killed"]
        assert outcomes[1].done and set(outcomes[1].failed) == {"bad"} and not outcomes[1].left
        texts = [
            (folder(tmp_path / place, n) / "made.txt").read_text() for n in ("a", "b", "killed", "parts")
        ]
        assert texts == ["a", "ab", "xx", "xx"]


def test_a_command_starts_again_when_its_node_is_lost(
    address: str, add_node: AddNode, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "mark, doomed = Path(sys.argv[1]), int(sys.argv[2])\n"
        "raylet = int(Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2].split()[1])\n"
        "with open(mark, 'a') as f: f.write(f'{raylet}\\n')\n"
        "if raylet == doomed:\n"
        "    os.kill(doomed, signal.SIGKILL)\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    os._exit(1)\n"
        "while str(doomed) not in mark.read_text(): time.sleep(0.1)\n"
    )
    doomed = raylet_pid(add_node())
    with open_engine(address, files=[tmp_path]) as engine:
        arguments = [str(script), str(tmp_path / "mark"), str(doomed)]
        processes = [engine.start(arguments, log=tmp_path / f"log{i}", environment={}) for i in range(2)]
        until(lambda: [p.poll() for p in processes] == [0, 0])  # each poll may notice a loss
    ran = (tmp_path / "mark").read_text().split()
    assert len(ran) == 3 and ran.count(str(doomed)) == 1
