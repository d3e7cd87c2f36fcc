"""A report with audio of three systems, and a browser."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from intona.audio import Audio
from intona.evaluation.finished import remember_wavs
from intona.evaluation.records import records_digest

SYSTEMS = ("recording", "ours", "<b>theirs</b>")


@pytest.fixture(scope="session")
def chromium() -> ModuleType:
    """The module that drives Chromium; the test is skipped where none is installed."""
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find() is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return module


@pytest.fixture
def browser(chromium: ModuleType, tmp_path: Path) -> Iterator[Any]:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with chromium.Browser(tmp_path / "profile", downloads=downloads) as found:
        yield found


@pytest.fixture
def make_report(tmp_path: Path, voice: Callable[..., Audio]) -> Callable[..., Path]:
    """`make_report(items=3)`: a finished report whose wavs differ in level, rate and length."""

    def make(name: str = "report", *, systems: tuple[str, ...] = SYSTEMS, items: int = 3) -> Path:
        report = tmp_path / name
        report.mkdir()
        table = {
            "version": 1,
            "n": items,
            "speakers": 1,
            "manifest_sha256": name,
            "measures": [],
            "unavailable": {},
            "rows": [
                {"name": s, "n": items, "scored": items, "failures": {}, "extra_files": 0, "cells": {}}
                for s in systems
            ],
            "differences": [],
            "judges": {},
            "resamples": 10,
            "seed": 0,
            "recording": "recording",
            "records_sha256": records_digest(()),
        }
        (report / "table.json").write_text(json.dumps(table))
        (report / "records.jsonl").write_text("")
        rows = [json.dumps({"id": f"u{i}", "text": f"word {i}", "speaker": ""}) for i in range(items)]
        (report / "manifest.jsonl").write_text("\n".join(rows) + "\n")
        folders = {}
        for place, system in enumerate(systems):
            folder = folders[system] = tmp_path / f"{name}-wavs{place}"
            folder.mkdir()
            for i in range(items):
                sound = voice(0.3 + 0.05 * place, rate=(22050, 16000)[place % 2], f0=100 + 10 * i)
                Audio(sound.samples * (1.0, 0.3, 2.0)[place % 3], sound.sample_rate).write(
                    folder / f"u{i}.wav"
                )
        remember_wavs(report, folders)
        return report

    return make
