"""benchmarks/peers.py: figures and table of made-up timings, processes, rows without a synthesizer."""

from __future__ import annotations

import importlib
import json
import sys
import wave
from pathlib import Path
from types import ModuleType

import pytest

from intona.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    return module


def timing(text: str, wall: float, number: int) -> dict[str, object]:
    return {
        "system": "a-ru",
        "text": text,
        "round": number,
        "wall": wall,
        "cpu": 2 * wall,
        "memory": 100.0,
        "speech": 4.0,
    }


def test_medians(load):
    table = load("peer_table")
    assert table.median([3.0, 1.0, 8.0]) == {"median": 3.0, "low": 1.0, "high": 8.0, "n": 3}
    many = table.median([float(x) for x in range(21)])
    assert many["median"] == 10 and many["n"] == 21
    assert 3 <= many["low"] < 10 < many["high"] <= 17
    assert table.median([5.0] * 9)["low"] == 5


def test_runs_are_summed_up_by_text(load):
    cost = load("peer_table").summarize(
        [timing("6 s", w, i) for i, w in enumerate((1.0, 2.0, 9.0))] + [timing("short", 0.5, 0)]
    )
    assert list(cost) == ["6 s", "short"]
    assert cost["6 s"]["wall"] == {"median": 2.0, "low": 1.0, "high": 9.0, "n": 3}
    assert cost["6 s"]["cpu"]["median"] == 4 and cost["6 s"]["wall per second"]["median"] == 0.5
    assert cost["short"]["cpu per second"]["median"] == 0.25


def test_every_system_has_a_row(load):
    table = load("peer_table")
    measured = {
        "name": "intona ru",
        "language": "ru",
        "problem": "",
        "quality": {"cer": {"estimate": 0.0389, "low": 0.02, "high": 0.06, "n": 20}, "distillmos": None},
        "cost": table.summarize([timing("6 s", 1.0, 0), timing("short", 0.5, 0)]),
        "first": table.median([0.2, 0.3]),
        "size": {"voice": 13.1, "installed": 212.4},
    }
    absent = {"name": "Piper", "language": "ru", "problem": "no Russian voice"}
    text = table.markdown({"machine": {"cores": 2}, "systems": [measured, absent]})
    heading, _, first, second = text.splitlines()[:4]
    assert {line.count("|") for line in (heading, first, second)} == {len(table.COLUMNS) + 1}
    assert "| 0.039 [0.020, 0.060], N = 20 | not measured | not measured |" in first
    assert "| 1.00 [1.00, 1.00], N = 1 / 4.0 |" in first and "| 250 [200, 300], N = 2 | 13 | 212 |" in first
    assert "not measured: no Russian voice" in second
    assert text.endswith("cores 2.")


def test_figures_of_a_report_count_failures(load):
    counted, scored = {"estimate": 0.5}, {"estimate": 0.1}
    cells = {"cer": {"counted": counted, "scored": scored}, "f0": {"counted": None, "scored": scored}}
    cells["distillmos"] = {"counted": None, "scored": scored}
    rows = load("peers").figures({"rows": [{"name": "a-ru", "cells": cells}]})
    assert rows == {"a-ru": {"cer": counted, "distillmos": scored}}


WRITES = """
import sys, wave
with wave.open(sys.argv[1], "wb") as f:
    f.setnchannels(1); f.setsampwidth(2); f.setframerate(8000); f.writeframes(bytes(32000))
"""


def test_a_process_is_timed(load, tmp_path: Path):
    output = tmp_path / "out.wav"
    measured = load("peers").time_process([sys.executable, "-c", WRITES, str(output)], output)
    assert measured["speech"] == 2 and measured["wall"] > 0 and measured["cpu"] > 0
    assert 1 < measured["memory"] < 1000


@pytest.mark.parametrize("code", ["import sys; sys.exit('no such voice')", "print('done, without a wav')"])
def test_a_process_that_fails_is_named(load, tmp_path: Path, code: str):
    with pytest.raises(UserError, match=r"no such voice|no message"):
        load("peers").time_process([sys.executable, "-c", code], tmp_path / "out.wav")


def test_timed_runs_are_not_repeated(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    peers, peer_systems = load("peers"), load("peer_systems")
    rows = [
        peer_systems.System(kind="espeak-ng", name=name, language="en", python="", voice="en-us")
        for name in ("a", "b")
    ]
    order: list[str] = []

    def fake(command: list[str], output: Path) -> dict[str, float]:
        order.append(command[-1])
        return {"wall": 1.0, "cpu": 1.0, "memory": 1.0, "speech": 1.0}

    monkeypatch.setattr(peers, "time_process", fake)
    first = peers.time_all(rows, tmp_path, 1, ["short"])
    assert [r["system"] for r in first] == ["a-en", "b-en"]
    runs = peers.time_all(rows, tmp_path, 2, ["short"])
    assert [(r["system"], r["round"]) for r in runs] == [("a-en", 0), ("b-en", 0), ("a-en", 1), ("b-en", 1)]
    assert len(order) == 4 and len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4


def test_what_cannot_be_installed_keeps_its_row(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    peer_systems = load("peer_systems")
    problems = {"piper-tts": "no matching distribution", "hibari-tts": "no network"}
    monkeypatch.setattr(peer_systems, "install", lambda directory: problems)
    monkeypatch.setattr(peer_systems.shutil, "which", lambda name: None)
    rows = peer_systems.systems(tmp_path, ["ru", "nobody"], [tmp_path / "ru_RU-x.onnx"])
    reasons = {(r.name, r.language): r.problem for r in rows}
    assert reasons.pop(("intona ru", "ru")) == ""
    assert "nobody" in reasons["intona nobody", "ru"]
    assert reasons["Piper joe (medium)", "en"] == reasons["Piper ru_RU-x", "ru"] == "no matching distribution"
    assert reasons["hibari heart", "en"] == "no network"
    assert "apt-get" in reasons["espeak-ng", "ru"]


def test_sentences_are_spoken_once(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    peers, peer_systems = load("peers"), load("peer_systems")
    row = peer_systems.System(kind="fake", name="a", language="en", python=sys.executable, voice="v")
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, pathlib, sys\n"
        "request = json.loads(sys.argv[2])\n"
        "folder = pathlib.Path(request['output']); folder.mkdir(parents=True, exist_ok=True)\n"
        "for name in request['texts']: (folder / f'{name}.wav').write_bytes(b'')\n"
        "print(json.dumps({'load': 1.0, 'first': [float(len(request['texts']))]}))\n"
    )
    monkeypatch.setattr(peers, "WORKER", worker)
    assert peers.speak(row, tmp_path, 3, 1) == [3.0]
    assert peers.speak(row, tmp_path, 3, 1) == [3.0]  # kept
    assert peers.speak(row, tmp_path, 5, 1) == [2.0]
    worker.write_text("import sys; sys.exit('no such voice')")
    with pytest.raises(UserError, match="no such voice"):
        peers.speak(row, tmp_path, 6, 1)


def test_a_recording_is_written_whole(load, tmp_path: Path):
    load("peer_worker").write(tmp_path / "a.wav", [(bytes(4), 8000), (bytes(8), 8000)])
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnframes(), file.getframerate()) == (6, 8000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_texts_are_plain_and_distinct(load):
    texts = load("peer_texts")
    for language, sentences in texts.SENTENCES.items():
        assert len(set(sentences)) == 20 and not any(c.isdigit() for s in sentences for c in s)
        assert json.dumps(texts.timed(language))
