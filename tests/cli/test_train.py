"""`intona train`: which arguments are the verb's own and which are fields of the config."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from intona import cli
from intona.cli.train import split
from intona.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "own", "overrides"),
    [
        ("prosody.gradtts --data d --output r", "prosody.gradtts --data d --output r", {}),
        ("--optim.lr 1e-4 prosody.gradtts", "prosody.gradtts", {"optim.lr": "1e-4"}),
        ("a.b --optim.lr=1e-4 --size toy", "a.b --size toy", {"optim.lr": "1e-4"}),
        ("a.b --model.use-prior --output r", "a.b --output r", {"model.use_prior": "true"}),
        ("a.b --model.shift -0.5", "a.b", {"model.shift": "-0.5"}),
        ("a.b --batch-frames 100", "a.b", {"batch_frames": "100"}),
        ("a.b --encoder_rate 0", "a.b", {"encoder_rate": "0"}),
        ("a.b --limit_minutes 3", "a.b --limit-minutes 3", {}),
        ("a.b --text=a=b", "a.b", {"text": "a=b"}),
        ("a.b --verbose --optim.lr 1", "a.b --verbose", {"optim.lr": "1"}),
        ("a.b --devices 2 --strategy=ddp", "a.b --devices 2 --strategy=ddp", {}),
        ("--help", "--help", {}),
    ],
)
def test_split(arguments: str, own: str, overrides: dict[str, str]):
    assert split(arguments.split()) == (own.split(), overrides)


def test_a_misspelt_flag_is_not_an_override():
    with pytest.raises(UserError, match=r'unknown flag "--dat"; did you mean --data\?'):
        split(["a.b", "--dat", "d"])


def test_a_field_given_twice_is_refused():
    with pytest.raises(UserError, match=r"--optim\.lr: given twice"):
        split(["--optim.lr", "1", "--optim.lr=2"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    import intona

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    systems = types.ModuleType("intona.systems")
    systems.train = lambda *a, **k: calls.append((a, k))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "intona.systems", systems)
    monkeypatch.setattr(intona, "systems", systems, raising=False)
    monkeypatch.delenv("INTONA_DEBUG", raising=False)
    return calls


def test_train_is_called(calls, tmp_path: Path):
    data, run = str(tmp_path), str(tmp_path / "run")
    line = [
        "train",
        "prosody.gradtts",
        "--data",
        data,
        "--output",
        run,
        "--limit-minutes",
        "2",
        "--optim.lr",
        "1e-4",
    ]
    assert cli.main(line) == 0
    assert calls == [
        (
            ("prosody.gradtts",),
            {
                "size": "small",
                "data": tmp_path,
                "out": tmp_path / "run",
                "overrides": {"optim.lr": "1e-4"},
                "limit_minutes": 2.0,
                "init": None,
                "encoder": None,
                "device": "auto",
                "devices": None,
                "nodes": None,
                "strategy": "auto",
            },
        )
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--limit-minutes": "0"}, "--limit-minutes: 0 is not a number of minutes"),
        ({"--limit-minutes": "nan"}, "--limit-minutes: nan is not a number of minutes"),
        ({"--data": "nowhere"}, "nowhere: no such directory; make it with `intona prepare LAYOUT SRC OUT`"),
        ({"stage": "gradtts"}, '"gradtts" is not SYSTEM.STAGE; such as prosody.gradtts'),
    ],
)
def test_refused(
    calls, change: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    given = {"stage": "prosody.gradtts", "--data": str(tmp_path), "--output": "r", **change}
    line = ["train", given.pop("stage"), *(x for pair in given.items() for x in pair)]
    assert cli.main(line) == 1
    assert capsys.readouterr().err == f"intona: error: {message}\n"
    assert calls == []


def test_missing_flags_are_wrong_usage(calls):
    assert cli.main(["train", "prosody.gradtts"]) == 2
    assert calls == []
