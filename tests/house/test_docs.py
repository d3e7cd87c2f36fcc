"""The documents: every link leads somewhere, every file and make target that they name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    p for pattern in ("*.md", "docs/**/*.md", "models/**/*.md", "src/**/*.md") for p in ROOT.glob(pattern)
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    text = document.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and file.is_file() and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """Anchors of a Markdown file's headings, as the common forges make them."""
    titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


@pytest.mark.parametrize("name", ["README.md", "docs/tour.md", "docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(name: str):
    """A word in backquotes that looks like a path of the source is one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    words = re.findall(r"`((?:src|tests|scripts|docs|models)/[\w./-]*\w/?|\w+/[\w/]*\w\.py)`", text)
    roots = (ROOT, ROOT / "src/intona")
    missing = [w for w in words if "NAME" not in w and not any((r / w).exists() for r in roots)]
    assert missing == []
    assert words or name in ("README.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_make_targets_that_are_named_exist(document: Path):
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert named <= targets


def test_the_readme_is_one_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 75
    assert max(map(len, lines)) <= 140


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize(
    "target", ["demo", "test", "check", "check-quick", "rounding", "bench", "corpus-ru", "offline", "help"]
)
def test_make_understands_its_targets(target: str):
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_same_targets_as_a_person():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\S+)$", script, flags=re.MULTILINE) == ["check-quick", "test"]
    assert "set -euo pipefail" in script
