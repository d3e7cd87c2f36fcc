"""One test per bug that only use showed. A docstring says what happened."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from intona import registry


def test_assets_of_the_tests_are_not_ignored_by_git(root: Path) -> None:
    """`runs/` in .gitignore also hid tests/assets/runs: the tests passed here and failed in every clone."""
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a checkout")
    files = [str(p.relative_to(root)) for p in (root / "tests" / "assets").rglob("*") if p.is_file()]
    files = [f for f in files if "__pycache__" not in f]
    done = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        input="\n".join(files),
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_snippets_of_the_pages_are_files(root: Path) -> None:
    """A formatter rewrote `--8<--`, and the pages showed the marker in place of the code."""
    pages = [p for p in (root / "docs" / "extend").glob("*.md") if p.name not in ("index.md", "study.md")]
    assert pages
    for page in pages:
        names = re.findall(r'^--8<-- "(.+)"$', page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert names and all((root / name).is_file() for name in names), page.name


def test_a_style_scale_as_it_is_read_from_json() -> None:
    """The scale of a restyling model is lists after JSON; only tuples were declared."""
    from intona.encoders import styles
    from intona.encoders.style import ATTRIBUTES

    scale = json.loads(json.dumps({name: [float(x) for x in pair] for name, pair in ATTRIBUTES.items()}))
    described = styles.load("prosody", scale).describe()["scale"]
    assert {k: pytest.approx(v, abs=1e-5) for k, v in scale.items()} == described


def test_every_registered_part_can_be_imported() -> None:
    """Entry points name modules as text: a moved module breaks them, and only when the part is used."""
    for group in registry.GROUPS:
        for name in registry.names(group):
            if registry.distribution(group, name) == registry.HOME:
                assert registry.get(group, name) is not None


def test_the_linter_reads_every_module(root: Path) -> None:
    """`extend-exclude = ["data"]` was meant for data/ and also hid src/intona/data from ruff."""
    ruff = pytest.importorskip("ruff")
    done = subprocess.run(
        [ruff.find_ruff_bin(), "check", "--show-files", "src"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = {(root / line).resolve() for line in done.stdout.splitlines()}
    modules = {p.resolve() for p in (root / "src" / "intona").rglob("*.py")}
    assert modules <= shown
