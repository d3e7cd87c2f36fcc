"""A hook of mkdocs: the two pages of the reference that are generated, and links out of docs/.

    reference/cli.md     `intona VERB --help` of every verb
    reference/stages.md  every stage that `intona train` knows: its presets and the value of every setting

No weights are read. To print a page: `python scripts/docs_hook.py cli` (or `stages`).
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 108  # of a help text: what fits beside the navigation
BOX = re.compile(r"^╭─ (?P<title>.*?) ─*╮$|^│(?P<line>.*)│$|^╰─*╯$")
FILLED_IN = ("stage", "size", "corpus", "alignment", "init", "encoder")  # by the run itself
INTERVAL = re.compile(r"\[([+\-−]?[\d.]+), ([+\-−]?[\d.]+)\]")
UNIT = re.compile(r"(?<=\d) (?=(?:ms|s|h|M|MB|Hz|kHz|dB|st|%|×)(?!\w))")
CODE = re.compile(r"(`[^`]*`)")


def cli_page() -> str:
    from intona.cli import VERBS

    with ThreadPoolExecutor(2) as pool:
        helps = list(pool.map(help_text, VERBS))
    table = [f"| [`{name}`](#intona-{name}) | {verb.help} |" for name, verb in VERBS.items()]
    sections = [verb_section(name, text) for name, text in zip(VERBS, helps, strict=True)]
    return "\n\n".join(
        [
            "# Command line",
            "Generated from `intona VERB --help`. Data goes to stdout, progress and messages to stderr. "
            "Exit codes: 0 success, 1 an error (one line says what, where, and a hint), 2 wrong usage, "
            "130 Ctrl-C. `INTONA_DEBUG=1` shows the traceback of any error.",
            "\n".join(["| command | what it does |", "|---|---|", *table]),
            *sections,
            "",
        ]
    )


def help_text(verb: str) -> str:
    """What `intona VERB --help` prints, without colours."""
    done = subprocess.run(
        [sys.executable, "-m", "intona", verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": str(COLUMNS),
            "NO_COLOR": "1",
            "TERM": "dumb",
        },
    )
    return done.stdout


def verb_section(name: str, text: str) -> str:
    """A help text as Markdown: prose as prose, the boxes of options as code without their frames."""
    usage, _, rest = text.partition("\n")
    prose: list[str] = []
    options: list[str] = []
    for line in rest.splitlines():
        match = BOX.match(line)
        if match is None:
            prose.append(line.strip())
        elif match["title"]:
            options += ["", f"{match['title']}:"]
        elif match["line"] is not None and set(match["line"].strip()) != {"─"}:
            options.append(match["line"].rstrip())
    parts = [f"## intona {name}", "\n".join(map(escaped, prose)).strip()]
    parts.append("\n".join(["```text", usage.strip(), *options, "```"]))
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts))


def escaped(text: str) -> str:
    """Plain text as Markdown, with its `code` kept."""
    pieces = CODE.split(text)
    return "".join(p if i % 2 else re.sub(r"([\[\]<>*_|])", r"\\\1", p) for i, p in enumerate(pieces))


def stages_page() -> str:
    from intona import registry
    from intona.training.stage import stage_of

    sections = [stage_section(name, stage_of(name).sizes) for name in registry.names("stages")]
    return "\n\n".join(
        [
            "# Training stages",
            "Generated from the presets. `intona train STAGE --size SIZE` starts from one of them; every "
            "setting below is a flag, such as `--optim.lr 1e-4`. Settings that a run fills in by itself "
            "(`stage`, `size`, fingerprints) are left out; a 0 or an empty cell may mean that the data "
            "decides. See [Train a model](../guide/train.md) and [Configs](configs.md).",
            *sections,
            "",
        ]
    )


def stage_section(name: str, sizes: Mapping[str, Callable[[], Any]]) -> str:
    presets = {size: make() for size, make in sizes.items()}
    about = []
    for size, make in sizes.items():
        text = inspect.getdoc(getattr(make, "func", make)) or ""
        first = escaped(" ".join(text.split("\n\n")[0].split()))
        if first and not isinstance(make, type):
            about.append(f"- `--size {size}`: {first}")
    values = {size: flat(config) for size, config in presets.items()}
    names = list(dict.fromkeys(key for fields in values.values() for key in fields))
    rows = []
    for key in names:
        cells = [shown(values[size].get(key)) for size in presets]
        rows.append(f"| `--{key.replace('_', '-')}` | " + " | ".join(cells) + " |")
    head = "| setting | " + " | ".join(f"`{size}`" for size in presets) + " |"
    table = "\n".join([head, "|---" * (len(presets) + 1) + "|", *rows])
    return "\n\n".join([f"## {name}", *(["\n".join(about)] if about else []), table])


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every setting that a person may set."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            out |= flat(value, f"{prefix}{field.name}.")
        elif prefix or not (field.name in FILLED_IN or field.name.endswith("fingerprint")):
            out[prefix + field.name] = value
    return out


def shown(value: Any) -> str:
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "`" + text.replace("|", "\\|") + "`"


PAGES = {"reference/cli.md": cli_page, "reference/stages.md": stages_page}


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports]

    if str(ROOT / "src") not in sys.path:
        sys.path.insert(0, str(ROOT / "src"))
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Adapt a page to the site.

    A link that leaves docs/ (NOTICE.md and the like) leads nowhere on the site: its text stays. In a table
    neither an interval nor a number with its unit breaks across lines.
    """
    markdown = re.sub(r"\[([^\]]+)\]\((?:\.\./)+[A-Z]+\.md\)", r"`\1`", markdown)
    lines = markdown.splitlines(keepends=True)
    return "".join(unbroken(line) if line.startswith("|") else line for line in lines)


def unbroken(line: str) -> str:
    """A line with no-break spaces inside intervals and between numbers and units."""
    return UNIT.sub("\u00a0", INTERVAL.sub("[\\1,\u00a0\\2]", line))


if __name__ == "__main__":
    print(PAGES[f"reference/{sys.argv[1]}.md"]())
