"""`intona doctor`: each missing piece is found and comes with how to fix it."""

from __future__ import annotations

import importlib.util
import shutil
from collections import namedtuple

import pytest

from intona import cli, doctor, models


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch):
    """Make modules look uninstalled."""
    real = importlib.util.find_spec

    def hide(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n in names else real(n, *a))

    return hide


def finding(part: str) -> doctor.Finding:
    return {f.part: f for f in doctor.examine()}[part]


def test_a_healthy_machine_names_versions():
    import numpy

    assert finding("core").state == "ok"
    assert f"numpy {numpy.__version__}" in finding("core").detail
    assert "threads" in finding("torch").detail


def test_missing_espeak(absent, monkeypatch: pytest.MonkeyPatch):
    absent("espeakng_loader")
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: None)
    found = finding("espeak-ng")
    assert found.state == "missing" and "espeak" in found.hint


def test_the_wheel_of_espeak_is_enough(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(doctor, "_importable", lambda name: True)
    assert finding("espeak-ng").state == "ok"


@pytest.mark.parametrize(
    ("module", "part", "hint"),
    [
        ("lightning", "extra: train", "pip install 'intona[train]'"),
        ("jiwer", "extra: eval", "pip install 'intona[eval]'"),
        ("matplotlib", "extra: plot", "pip install 'intona[plot]'"),
        ("faster_whisper", "whisper-base", "make offline"),
    ],
)
def test_a_missing_extra_is_no_error(absent, module: str, part: str, hint: str):
    absent(module)
    found = finding(part)
    assert found.state == "optional" and hint in found.hint


def test_a_missing_core_package_is_an_error(absent, capsys: pytest.CaptureFixture[str]):
    absent("soxr")
    assert finding("core").state == "missing"
    assert cli.main(["doctor"]) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if "\tcore\t" in line)
    assert row == "MISSING\tcore\tno soxr\tpip install soxr"


def test_no_models(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "folders", list)
    assert finding("voices").state == "missing" and "intona train" in finding("voices").hint
    assert finding("vocoder").state == "missing"
    assert finding("Russian stress").state == "missing"


def test_little_disk(monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    assert finding("disk").state == "optional"


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    def broken() -> list[models.Card]:
        raise RuntimeError("no card")

    monkeypatch.setattr(models, "folders", broken)
    assert finding("voices") == doctor.Finding(
        part="voices", state="missing", detail="RuntimeError: no card", hint="reinstall it"
    )
