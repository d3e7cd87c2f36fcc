"""What every engine promises, by processes of this machine; and how work is handed out, on a cluster that is
simulated."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intona import __version__
from intona.cluster import LocalEngine, open_engine, remote
from intona.cluster.dispatch import QUEUE, Dispatch
from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.pool import DeadWorker
from intona.synth.batch import synthesize_set

sys.path.insert(0, str(Path(__file__).parent))
import cluster_work as work


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_a_state_that_is_loaded_once_per_process(workers: int, tmp_path: Path) -> None:
    counter = work.Counter(tmp_path / "log")
    with open_engine("local", workers=workers) as engine:
        assert list(engine.map(work.add, range(20), state=counter)) == list(range(100, 120))
    loads = (tmp_path / "log").read_text().split()
    assert 1 <= len(loads) == len(set(loads)) <= max(1, workers)


def test_few_items_stay_in_this_process(tmp_path: Path) -> None:
    engine, counter = LocalEngine(4), work.Counter(tmp_path / "log")
    assert engine.in_process(9, least=10) and not engine.in_process(10, least=10)
    assert list(engine.map(work.add, range(9), state=counter, least=10)) == list(range(100, 109))
    assert "loaded" in vars(counter)  # the state itself, not a copy


def test_a_set_spoken_by_two_processes(tmp_path: Path) -> None:
    manifest = Manifest(rows=tuple(Row(id=f"u{i}", text="да" * i or "1") for i in range(6)))
    results = [
        synthesize_set(
            work.ToyVoice(), manifest, tmp_path / str(n), engine=LocalEngine(n), reload=work.ToyVoice
        )
        for n in (0, 2)
    ]
    assert results[0] == results[1]
    assert (results[0].spoken, [f.id for f in results[0].failures]) == (5, ["u0"])
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("0", "2"))
    times = [json.loads(line) for line in two.pop("times.jsonl").splitlines()]
    assert [row["ids"] for row in times] == [[f"u{i}"] for i in range(6)]
    assert {**one, "times.jsonl": b""} == {**two, "times.jsonl": b""}


def test_a_command(tmp_path: Path) -> None:
    code = "import os; print(os.environ['KEY'], flush=True); raise SystemExit(3)"
    process = LocalEngine().start(["-c", code], log=tmp_path / "log", environment={"KEY": "value"})
    process.end(60)
    assert process.poll() == 3 and (tmp_path / "log").read_text() == "value\n"
    asleep = LocalEngine().start(["-c", "import time; time.sleep(600)"], log=tmp_path / "log", environment={})
    assert asleep.poll() is None
    asleep.stop()
    asleep.end(60)
    assert asleep.poll() == -15


@pytest.mark.parametrize("address", ["", "remote", "host:", ":1", "host:0", "host:70000", "ray://host:10001"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="neither local, auto, nor HOST:PORT"):
        open_engine(address)


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"):
        open_engine("127.0.0.1:1")


def test_a_node_without_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "SECONDS_BETWEEN", 0.0)
    monkeypatch.chdir(tmp_path)
    probe = tmp_path / "probe"
    probe.write_text("a")
    site = remote.Site(version=__version__, directory=tmp_path, files={tmp_path: None, probe: "a"})
    site.enter()
    probe.write_text("b")
    with pytest.raises(UserError, match=r"does not see .*; a cluster needs one file system"):
        site.enter()  # a folder of the same name, but another one
    with pytest.raises(UserError, match=r"does not see .*missing"):
        remote.Site(version=__version__, directory=tmp_path / "missing", files={}).enter()
    with pytest.raises(UserError, match="install the same version"):
        remote.Site(version="0", directory=tmp_path, files={}).enter()


class RayError(Exception): ...


class RayActorError(RayError):
    actor_init_failed = False


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


@dataclass(eq=False)
class Method:
    """`handle.call`, or the reference that it returns."""

    handle: Handle
    item: Any = None

    def remote(self, item: Any) -> Method:
        self.handle.queue.append(reference := Method(self.handle, item))
        return reference


@dataclass(eq=False)
class Handle:
    queue: list[Method] = field(default_factory=list)
    dead: bool = False

    @property
    def call(self) -> Method:
        return Method(self)


class SimulatedRay:
    """Workers that answer in a random order and die at random; some results are lost too."""

    exceptions = SimpleNamespace(RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError)

    def __init__(self, seed: int, deaths: float = 0.0, lost_results: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.deaths, self.lost_results = deaths, lost_results
        self.handles: list[Handle] = []

    def begin(self) -> tuple[Handle, Method]:
        handle = Handle()
        self.handles.append(handle)
        return handle, handle.call.remote("begin")

    def wait(self, references: list[Method], timeout: float) -> tuple[list[Method], list[Method]]:
        assert all(sum(r.item != "begin" for r in h.queue) <= QUEUE for h in self.handles)
        # A worker works in order.
        done = self.random.choice([r for r in references if r.handle.dead or r is r.handle.queue[0]])
        if self.random.random() < self.deaths:
            done.handle.dead = True
        return [done], [r for r in references if r is not done]

    def get(self, reference: Method) -> Any:
        if reference.handle.dead:
            raise RayActorError
        reference.handle.queue.remove(reference)
        if reference.item != "begin" and self.random.random() < self.lost_results:
            raise RayError
        if isinstance(reference.item, Exception):
            raise RayTaskError(reference.item)
        return ("result", reference.item)

    def kill(self, handle: Handle) -> None:
        handle.dead = True


@pytest.mark.parametrize("seed", range(20))
def test_results_are_in_order_whoever_dies(seed: int) -> None:
    ray = SimulatedRay(seed, deaths=0.05, lost_results=0.02)
    yielded = 0

    def items() -> Any:
        for number in range(1, 101):
            assert number - yielded <= 3 * 4
            yield number

    dispatch = Dispatch(ray, ray.begin, items(), workers=3, in_flight=4, losses=50)
    for result in dispatch.results():
        yielded += 1
        assert result == ("result", yielded)
    assert yielded == 100 and all(h.dead for h in ray.handles)  # each worker has been ended
    assert len(ray.handles) > 3  # the seed lost some


def test_no_more_workers_than_items() -> None:
    ray = SimulatedRay(0)
    assert len(list(Dispatch(ray, ray.begin, range(2), workers=8, in_flight=2, losses=3).results())) == 2
    assert len(ray.handles) == 2
    assert list(Dispatch(ray, ray.begin, [], workers=8, in_flight=2, losses=3).results()) == []


def test_an_error_ends_the_work_as_it_is() -> None:
    ray = SimulatedRay(0)
    items = [1, UserError("no good", hint="none"), 3]
    results = Dispatch(ray, ray.begin, items, workers=1, in_flight=1, losses=3).results()
    assert next(results) == ("result", 1)
    with pytest.raises(UserError, match=r"^no good; none$"):
        next(results)
    assert len(ray.handles) == 1 and ray.handles[0].dead


def test_work_that_kills_every_worker_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    ray = SimulatedRay(0, deaths=1.0)
    with pytest.raises(DeadWorker, match="6 workers were lost without a result"):
        list(Dispatch(ray, ray.begin, range(9), workers=2, in_flight=2, losses=3).results())
    assert len(caplog.records) == 6  # one line per loss
