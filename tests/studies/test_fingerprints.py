"""A finished job is recognized by every later version, wherever its function stands by now."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intona.studies.engine import catalog, common
from intona.studies.engine.names import HASHED, HASHED_ARGUMENTS, HERE, hashed
from intona.studies.engine.plan import StudyJob, StudyPlan
from intona.studies.restyle import plan as restyle

# Written by the version whose studies stood under intona.systems, with every arm and two seeds.
STORED = json.loads(Path(__file__).with_name("fingerprints.json").read_text(encoding="utf-8"))
OPTIONS: dict[str, Any] = {"texts": Path("/texts"), "voice_minutes": 20.0, "vits": "piper"}


class FakeCorpus:
    fingerprint = "0123456789abcdef"
    languages = ("ru",)
    speakers = ("a", "b")

    def items(self, split: str) -> list[Any]:
        return [SimpleNamespace(language="ru", id=f"{split}/1")]

    def durations(self, item: Any) -> list[int]:
        return [1]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], StudyPlan]:
    monkeypatch.setattr(common, "Prepared", SimpleNamespace(open=lambda data: FakeCorpus()))
    monkeypatch.setattr(restyle, "require_language", lambda *_: None)
    monkeypatch.setattr(restyle, "text_tower", lambda: "words")

    def declare(name: str) -> StudyPlan:
        entry = catalog.get(name)
        module = importlib.import_module(entry.plan)
        options = {option: OPTIONS[option] for option in entry.options}
        return module.declare(
            data=Path("/data"), size="small", seeds=(0, 1), arms=tuple(module.ARMS), **options
        )

    return declare


@pytest.mark.parametrize("name", STORED)
def test_jobs_have_the_fingerprints_of_earlier_versions(
    declare: Callable[[str], StudyPlan], name: str
) -> None:
    assert dict(declare(name).fingerprints) == STORED[name]


@pytest.mark.parametrize("name", STORED)
def test_calls_are_functions_and_take_the_arguments(declare: Callable[[str], StudyPlan], name: str) -> None:
    import inspect

    for job in declare(name).jobs:
        module, _, function = job.call.partition(":")
        call = getattr(importlib.import_module(module), function)
        inspect.signature(call).bind(out=None, needs=None, limit_minutes=None, **job.arguments)


def test_every_name_that_is_mapped_exists() -> None:
    for name in HASHED:
        module, _, attribute = f"{HERE}{name}".partition(":")
        assert hasattr(importlib.import_module(module), attribute)
    assert set(HASHED_ARGUMENTS) <= set(HASHED)
    assert len(set(HASHED.values())) == len(HASHED)


def test_a_name_that_is_not_mapped_is_hashed_as_it_is() -> None:
    def fingerprint(call: str) -> str:
        return StudyPlan(study="s", arms=(), jobs=(StudyJob(name="a", call=call),)).fingerprints["a"]

    assert fingerprint("outside.jobs:train") != fingerprint("outside.jobs:speak")
    assert hashed("meld.jobs:listen", {"speech": "a"}) == ("meld.jobs:listen", {"speech": "a"})
    new, old = next(iter(HASHED.items()))
    assert fingerprint(HERE + new) == fingerprint(old)
