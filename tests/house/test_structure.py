"""`scripts/structure.py`: its figures of a package small enough to count by hand, and of this one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = {
    "__init__.py": "",
    "a.py": '''
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tiny.b import Thing

class Shape:
    """tiny.c:run is no string of the program."""
''',
    "b.py": """
import tiny.a

class Thing: ...

class Shape: ...
""",
    "c.py": """
HERE = "tiny.d"
TABLE = {"run": f"{HERE}:run", "study": "tiny.b of some kind"}
""",
    "d.py": """
import functools

@functools.cache
def run(text_found, rate=1):
    from . import c

    made = c.TABLE
    return made


def profound(): return run(text_found=2)
""",
    "systems/__init__.py": "",
    "systems/one/__init__.py": "",
    "systems/one/stage.py": "from tiny.studies.plan import Plan\n",
    "systems/one/other.py": 'NAMES = ["a study of something", "steady"]\n',
    "systems/one/another.py": 'KIND = "study"\n',
    "systems/one/one_study.py": "from .stage import Plan\n",
    "studies/__init__.py": "",
    "studies/plan.py": "class Plan: ...\n",
}


@pytest.fixture(scope="module")
def structure(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", root / "scripts/structure.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.removeprefix("\n"), encoding="utf-8")
    return tmp_path / "tiny"


def test_counts_of_a_package_that_can_be_counted_by_hand(structure: ModuleType, tiny: Path) -> None:
    report = structure.measure(tiny)
    lists = report["lists"]
    assert report["files"] == 13
    assert report["lines"] == 7 + 5 + 2 + 11 + 5 and report["median file"] == 1
    assert (report["longest file"], lists["longest file"]) == (11, "d.py")
    assert (report["longest function"], lists["longest function"]) == (6, "tiny.d:run")
    assert lists["duplicate class names"] == {"Shape": ["tiny.a", "tiny.b"]}
    # `text_found` is a parameter and a keyword argument; `made` is assigned and read; "profound" is one word.
    assert lists["private names"] == {"text_found": 2, "made": 2}
    assert report["private names"] == 4
    # a: annotations, TYPE_CHECKING twice, Thing, Shape. b: tiny, Thing, Shape. c: HERE twice, TABLE.
    # d: functools twice, cache, run twice, text_found twice, rate, c twice, made twice, TABLE, profound.
    # stage and one_study: Plan; other: NAMES; another: KIND; plan: Plan.
    assert report["names"] == 5 + 3 + 3 + 14 + 5
    assert report["share of private names"] == 4 / 30


def test_cycles_are_those_of_statements_anywhere_and_of_strings(structure: ModuleType, tiny: Path) -> None:
    lists = structure.measure(tiny)["lists"]
    assert lists["import cycles"] == [["tiny.a", "tiny.b"]]
    assert lists["import cycles with strings"] == [["tiny.a", "tiny.b"], ["tiny.c", "tiny.d"]]


def test_components_are_found_whatever_the_order(structure: ModuleType) -> None:
    ring = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert structure.cycles(ring) == [["a", "b", "c"], ["d", "e"]]
    renamed = dict(zip("abcdef", "fedcba", strict=True))
    turned = {renamed[k]: {renamed[x] for x in v} for k, v in ring.items()}
    assert structure.cycles(turned) == [["b", "c"], ["d", "e", "f"]]
    assert structure.cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_who_knows_a_study(structure: ModuleType, tiny: Path) -> None:
    report = structure.measure(tiny)
    assert report["files under systems/"] == 6
    assert report["lists"]["of them studies"] == ["tiny.systems.one.one_study"]
    assert report["lists"]["of the others, files that know a study"] == [
        "tiny.systems.one.another",
        "tiny.systems.one.stage",
    ]


def test_modules_loaded_by_speaking(structure: ModuleType, tiny: Path) -> None:
    with pytest.raises(RuntimeError, match="load"):
        structure.say_modules(tiny)
    lines = [
        "class Voice:",
        " def say(self, text, steps):",
        "  import tiny.b",
        "def load(name): return Voice()",
    ]
    (tiny / "__init__.py").write_text("\n".join(lines), encoding="utf-8")
    assert structure.say_modules(tiny) == ["tiny", "tiny.a", "tiny.b"]


def test_it_runs_on_this_repository(
    structure: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["structure.py", "--no-say", "--list"])
    structure.main()
    shown = capsys.readouterr().out
    first = shown.splitlines()[0].split()
    assert first == ["files", str(len(list((root / "src/intona").rglob("*.py"))))]
    assert "share of private names" in shown and "import cycles with strings" in shown


def test_the_source_is_one_that_others_can_read(structure: ModuleType, root: Path) -> None:
    """Names say what a thing is, a class name occurs once, nothing imports in circles."""
    report = structure.measure(root / "src/intona")
    assert report["share of private names"] < 0.001, report["lists"]["private names"]
    assert report["lists"]["duplicate class names"] == {}
    assert report["lists"]["import cycles with strings"] == []
    assert report["lists"]["of them studies"] == []
    assert report["lists"]["of the others, files that know a study"] == []
    assert report["longest file"] < 430, report["lists"]["longest file"]
