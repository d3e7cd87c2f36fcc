"""The generated pages of the reference."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from intona import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hook", ROOT / "scripts/docs_hook.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_help_text_becomes_a_section(hook: ModuleType):
    section = hook.verb_section("read", hook.help_text("read"))
    assert section.startswith("## intona read\n\n")
    prose, _, code = section.partition("```text\n")
    assert "╭" not in section and "│" not in section
    assert code.startswith("usage: intona read") and "--phonemes" in code and code.endswith("```")
    assert "usage:" not in prose and len(prose.split()) > 5
    assert max(map(len, code.splitlines())) <= hook.COLUMNS


def test_markdown_in_a_help_text_is_text(hook: ModuleType):
    assert hook.escaped("[[p a]] <x> a|b `c[d]`") == r"\[\[p a\]\] \<x\> a\|b `c[d]`"


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 8
    kind: str = "a|b"


@dataclass(frozen=True, kw_only=True)
class Outer:
    size: str = "small"
    texts_fingerprint: str = ""
    rate: float | None = None
    model_part: Inner = field(default_factory=Inner)


def paper() -> Outer:
    """Sizes of the paper [1].

    Cost: days.
    """
    return Outer(rate=0.5, model_part=Inner(width=64))


def test_a_stage_lists_every_setting_of_every_size(hook: ModuleType):
    section = hook.stage_section("some.stage", {"paper": paper, "small": Outer})
    assert section.splitlines() == [
        "## some.stage",
        "",
        r"- `--size paper`: Sizes of the paper \[1\].",
        "",
        "| setting | `paper` | `small` |",
        "|---|---|---|",
        "| `--rate` | `0.5` |  |",
        "| `--model-part.width` | `64` | `8` |",
        r"| `--model-part.kind` | `a\|b` | `a\|b` |",
    ]


@pytest.mark.slow
def test_every_stage_has_a_section(hook: ModuleType):
    from intona import registry

    page = hook.stages_page()
    sections = [line for line in page.splitlines() if line.startswith("## ")]
    assert sections == [f"## {stage}" for stage in registry.names("stages")]
    assert "`--optim.lr`" in page and "- `--size paper`: " in page


def test_every_verb_has_a_section(hook: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hook, "help_text", lambda verb: f"usage: intona {verb}\n\nWhat it does.\n")
    page = hook.cli_page()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        f"## intona {v}" for v in cli.VERBS
    ]


def test_links_out_of_the_site_keep_their_text_and_intervals_stay_whole(hook: ModuleType):
    page = "[NOTICE.md](../../NOTICE.md) and [data](guide/data.md).\n| .2 [.1, .3] | 5 ms |\n.2 [.1, .3]\n"
    expected = "`NOTICE.md` and [data](guide/data.md).\n| .2 [.1,\u00a0.3] | 5\u00a0ms |\n.2 [.1, .3]\n"
    assert hook.on_page_markdown(page, None) == expected
