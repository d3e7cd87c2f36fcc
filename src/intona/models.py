"""Shipped models: where they are, what they are, and how a name or directory is resolved.

A model is a folder of `models/` with a `card.json` (or a MODEL_CARD.md that starts with `key: value` front
matter between two `---` lines). Folders are searched in `$INTONA_MODELS` (several are separated as in PATH),
in a source checkout, and in the installed package. `hf://OWNER/NAME` is a model of the Hugging Face Hub.

A voice of several languages may have further names, under which it speaks one of them. Its card lists them:
`"aliases": {"ru": "ru", "en": "en"}` (name: language). A folder goes before an alias of the same name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from intona import hf
from intona.config import MAX_CONFIG_BYTES, read_json
from intona.errors import UserError, nearest

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
DEFAULT_VOCODER = "hifigan"
_FIELDS = ("kind", "language", "system", "summary", "trained_on", "licence")


@dataclass(frozen=True, kw_only=True)
class Card:
    """The description of a model; `more` holds all other keys of its card.

    `alias_of` is the model's own name where `name` is an alias; `language` is then that of the alias.
    """

    name: str
    path: Path
    kind: str = "voice"
    language: str = ""
    system: str = ""
    summary: str = ""
    trained_on: str = ""
    licence: str = ""
    alias_of: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        """Size of the folder on disk, in MB (10^6 bytes)."""
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file()) / 1e6


def default_vocoder(card: Mapping[str, Any], *, where: str | Path) -> str:
    """The vocoder of a voice where none is requested: its card's `default_vocoder`, else "hifigan".

    Raises:
        UserError: the field is not a name.
    """
    name = card.get("default_vocoder", DEFAULT_VOCODER)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError("must be the name of a shipped vocoder", where=f"{where}: default_vocoder")
    return name


def folders() -> list[Path]:
    """The existing folders that hold models, in search order."""
    named = [Path(p) for p in os.environ.get("INTONA_MODELS", "").split(os.pathsep) if p]
    package = Path(__file__).resolve().parent
    candidates = [*named, package.parents[1] / "models", package / "_models"]
    return [p for p in candidates if p.is_dir()]


def shipped(kind: str | None = None, *, aliases: bool = True) -> list[Card]:
    """Every model with a card, sorted by name; the first of those with the same name.

    Args:
        aliases: include a card for each alias.
    """
    cards: dict[str, Card] = {}
    for folder in folders():
        for path in sorted(folder.iterdir()):
            if NAME.fullmatch(path.name) and path.name not in cards and _card_file(path) is not None:
                cards[path.name] = read_card(path)
    if aliases:
        folder_names = {p.name for folder in folders() for p in folder.iterdir() if p.is_dir()}
        for card in [c for _, c in sorted(cards.items())]:
            for name, language in aliases_in(card).items():
                if name not in folder_names:
                    alias = replace(card, name=name, language=language, alias_of=card.name)
                    cards.setdefault(name, alias)
    return [c for _, c in sorted(cards.items()) if kind is None or c.kind == kind]


def alias(name: str | os.PathLike[str]) -> Card | None:
    """The card of an alias; None for what is no alias, such as the name of a folder or a path."""
    text = os.fspath(name)
    if not NAME.fullmatch(text) or any((folder / text).is_dir() for folder in folders()):
        return None
    return next((c for c in shipped() if c.alias_of and c.name == text), None)


def aliases_in(card: Card) -> dict[str, str]:
    """The aliases of a model: name -> language.

    Raises:
        UserError: the field of the card is no such table.
    """
    table = card.more.get("aliases", {})
    valid = isinstance(table, dict) and all(isinstance(v, str) and v for v in table.values())
    if not valid or not all(NAME.fullmatch(name) for name in table):
        raise UserError('write {"NAME": "LANGUAGE"}', where=f"{card.path}: card: aliases")
    return table


def find(name_or_dir: str | os.PathLike[str], *, kind: str | None = None) -> Path:
    """The directory of a model: the name of a shipped model or an alias, a path, or an address of the hub.

    A shipped model takes precedence over a folder of the same name in the working directory. A model of the
    hub is downloaded unless it is in the cache; addresses come from people, never out of a file.

    Raises:
        UserError: neither a shipped model (the nearest name is suggested) nor an existing directory; a model
            of the hub that cannot be downloaded, is damaged, or is of another kind.
    """
    text = os.fspath(name_or_dir)
    if hf.is_address(text):
        path = hf.download(text)
        if kind is not None and (actual := _kind(path)) not in (kind, None):
            raise UserError(f"is a model of kind {actual}, not {kind}", where=text)
        return path
    if NAME.fullmatch(text):
        for folder in folders():
            path = folder / text
            if path.is_dir() and (kind is None or _kind(path) in (kind, None)):
                return path
        if (card := alias(text)) is not None and kind in (card.kind, None):
            return card.path
    try:
        if text and Path(text).is_dir():
            return Path(text)
    except (OSError, ValueError):  # too long for a path, or a NUL in it
        pass
    if os.sep in text or text.startswith("."):
        raise UserError("no such model directory", where=text)
    known = [c.name for c in shipped(kind)]
    raise UserError(
        f'no shipped {kind or "model"} and no directory is named "{text[:80]}"', hint=nearest(text, known)
    )


def read_card(path: Path) -> Card:
    """The card of a model folder; without a card file it has only a name."""
    raw = card_fields(path)
    known = {k: _text(raw[k]) for k in _FIELDS if raw.get(k) is not None}
    more = {k: v for k, v in raw.items() if k not in _FIELDS and k != "name"}
    return Card(name=path.name, path=path, more=more, **known)


def card_fields(path: Path) -> dict[str, Any]:
    """The unparsed fields of the card of a model folder; {} without a card."""
    file = _card_file(path)
    if file is None:
        return {}
    raw = read_json(file) if file.suffix == ".json" else front_matter(file)
    if not isinstance(raw, dict):
        raise UserError("a model card is a table of fields", where=file)
    return raw


def front_matter(file: Path) -> dict[str, str]:
    """`key: value` lines between two `---` lines at the start of a Markdown file; {} without them."""
    with open(file, encoding="utf-8", errors="replace") as f:
        lines = f.read(MAX_CONFIG_BYTES).split("\n")[:200]
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}
    pairs = (line.partition(":") for line in lines[1 : lines.index("---", 1)] if line[:1].strip(" #-"))
    return {k.strip().replace("license", "licence"): v.strip().strip("\"'") for k, _, v in pairs if k.strip()}


def _card_file(path: Path) -> Path | None:
    for name in ("card.json", "MODEL_CARD.md"):
        if (path / name).is_file():
            return path / name
    return None


def _kind(path: Path) -> str | None:
    return None if _card_file(path) is None else read_card(path).kind


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
