"""The documents: every link leads somewhere, every file, make target and Python name in them exists."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from intona import cli

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    p for pattern in ("*.md", "docs/**/*.md", "models/**/*.md", "src/**/*.md") for p in ROOT.glob(pattern)
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
GENERATED = {ROOT / "docs/reference/cli.md", ROOT / "docs/reference/stages.md"}  # by scripts/docs_hook.py


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    text = document.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        exists = file in GENERATED or file.exists()
        if not exists or (anchor and not file.is_dir() and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(file: Path) -> set[str]:
    """Anchors of a Markdown file's headings, as the common forges make them, and of its Python objects."""
    if file in GENERATED:
        return {f"intona-{verb}" for verb in cli.VERBS} if file.stem == "cli" else set()
    text = file.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    headings = {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}
    return headings | set(python_names(text))


def python_names(text: str) -> list[str]:
    """What mkdocstrings shows on a page: the name after `:::`, and its `members`."""
    names = []
    for name, options in re.findall(r"^::: (\S+)\n((?:[ \t].*\n)*)", text + "\n", flags=re.MULTILINE):
        members = re.search(r"members: \[(.*)\]", options)
        names.append(name)
        names += [f"{name}.{member.strip()}" for member in members[1].split(",")] if members else []
    return names


@pytest.mark.parametrize(
    "name", sorted({n for p in DOCUMENTS for n in python_names(p.read_text(encoding="utf-8"))})
)
def test_python_names_of_the_reference_exist(name: str):
    """The module is in the source, and the rest of the name is defined in it. Nothing is imported."""
    module, rest = name, []
    while (file := file_of(module)) is None:
        module, _, last = module.rpartition(".")
        rest.insert(0, last)
        assert module, f"no module of {name}"
    body: list[ast.stmt] = ast.parse(file.read_text(encoding="utf-8")).body
    for word in rest:
        definition = next((node for node in body if getattr(node, "name", None) == word), None)
        assert definition is not None, f"{name}: {word} is not defined there"
        body = getattr(definition, "body", [])


def file_of(module: str) -> Path | None:
    path = ROOT / "src" / module.replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def test_every_page_is_in_the_navigation_or_leads_on():
    pages = {str(p.relative_to(ROOT / "docs")) for p in ROOT.glob("docs/**/*.md")}
    pages |= {str(p.relative_to(ROOT / "docs")) for p in GENERATED}
    navigation = SITE.partition("\nnav:")[2]
    listed = re.findall(r"- (?:[^:\n]+: )?(\S+\.md)", navigation)
    moved = re.findall(r"^  /(\S+\.md)$", SITE, flags=re.MULTILINE)
    assert sorted([*listed, *moved]) == sorted(pages)


def test_the_site_loads_nothing_from_the_network():
    assert "font: false" in SITE and "extra_javascript" not in SITE
    assert "- offline" not in SITE  # it loads a script for pages that are opened from disk
    assert not re.search(
        r"https?://", SITE + (ROOT / "docs/stylesheets/intona.css").read_text(encoding="utf-8")
    )


def test_pages_that_model_cards_name_exist():
    named = {
        page
        for card in ROOT.glob("models/*/card.json")
        for page in re.findall(r"docs/[\w/-]+\.md", card.read_text(encoding="utf-8"))
    }
    assert named and [page for page in sorted(named) if not (ROOT / page).is_file()] == []


def test_pages_that_the_source_names_exist():
    moved = {"docs/results.md", "docs/ditto.md", "docs/vocoder.md"}  # kept for model cards alone
    wrong = []
    for folder in ("src", "scripts", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            for page in re.findall(r"\bdocs/[\w/-]+\.md", file.read_text(encoding="utf-8")):
                if page in moved or not (ROOT / page in GENERATED or (ROOT / page).is_file()):
                    wrong.append(f"{file.relative_to(ROOT)}: {page}")
    assert wrong == []


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
    "target",
    ["demo", "test", "check", "check-quick", "rounding", "bench", "docs", "corpus-ru", "offline", "help"],
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
