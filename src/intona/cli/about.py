"""`intona models` and `intona doctor`: which models and parts are installed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from intona.models import Card


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the shipped models, or those that are named: what each is, what it was trained on, its licence and
    size. A model of the Hugging Face Hub is downloaded, and listed with its commit."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME|DIR")] = ()
    """Models to list: shipped ones, run directories, hf://OWNER/NAME[@REVISION]."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print all fields of the cards as JSON."""


def models_main(arguments: list[str]) -> int:
    from intona import models

    request = tyro.cli(Models, prog="intona models", args=arguments)
    cards = [_card(name) for name in request.names] if request.names else models.shipped()
    if request.json:
        rows = [
            {
                **dict(c.more),
                **{k: v for k, v in vars(c).items() if k != "more"},
                "path": str(c.path),
                "megabytes": round(c.megabytes, 1),
            }
            for c in cards
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2, default=str))
        return 0
    if not cards:
        searched = ", ".join(map(str, models.folders())) or "no folder"
        print(f"intona: no model is shipped here (searched: {searched})", file=sys.stderr)
        return 1
    rows = [
        (
            c.name,
            c.kind,
            c.language,
            c.system,
            c.trained_on or c.summary,
            c.licence,
            f"in {c.alias_of}" if c.alias_of else f"{c.megabytes:.1f} MB",
        )
        for c in cards
    ]
    _table(("name", "kind", "language", "system", "trained on", "licence", "size"), rows)
    for card in cards:
        if speakers := _speakers(card):
            print(f"\n{card.name}: {speakers}")
    print('\nspeak with one: intona say --model NAME "…"', file=sys.stderr)
    return 0


def _speakers(card: Card) -> str:
    """The speakers that a card describes, on one line: "heart (en, synthetic: hibari-tts; default of en)"."""
    from intona.synth.speakers import Speakers

    if card.kind != "voice" or card.alias_of:
        return ""
    table = Speakers.of(card.more, where=f"{card.path}: card")
    shown = []
    for name, speaker in table.described.items():
        synthetic = "synthetic" + (f": {speaker.source}" if speaker.source else "")
        notes = [speaker.language, synthetic if speaker.synthetic else speaker.description]
        notes += [f"the default of {code}" for code, default in table.defaults.items() if default == name]
        shown.append(f"{name} ({', '.join(filter(None, notes))})")
    return "; ".join(shown)


def _card(name: str) -> Card:
    """The card of a model by its name, directory or address; the pinned address is the name of the last."""
    from intona import hf, models

    if (alias := models.alias(name)) is not None:
        return alias
    path = models.find(name)
    card = models.read_card(path)
    return replace(card, name=hf.origin(path) or card.name)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Show what is installed, what is missing, and the command that fixes it.

    Exit code 1 when something that speaking needs is missing; a missing extra is no error.
    """

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the findings as JSON."""


def doctor_main(arguments: list[str]) -> int:
    request = tyro.cli(Doctor, prog="intona doctor", args=arguments)
    from intona import doctor

    findings = doctor.examine()
    if request.json:
        rows = [{"part": f.part, "state": f.state, "found": f.detail, "hint": f.hint} for f in findings]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        marks = {"ok": "ok", "missing": "MISSING", "optional": "–"}
        _table(("", "part", "found", "hint"), [(marks[f.state], f.part, f.detail, f.hint) for f in findings])
    return int(any(f.state == "missing" for f in findings))


def _table(header: tuple[str, ...], rows: list[Any]) -> None:
    """Print rows to stdout: a table on a terminal, tab-separated lines in a pipe."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            print("\t".join(" ".join(str(cell).split()) for cell in row).rstrip())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(header):
        table.add_column(name, overflow="fold", no_wrap=i < 2)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)
