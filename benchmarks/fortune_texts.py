"""Texts for stage 1 from Debian's fortunes-ru: `train.txt` and `held.txt`, one entry per line.

    dpkg-deb -x fortunes-ru_*_all.deb unpacked
    python benchmarks/fortune_texts.py unpacked/usr/share/games/fortunes/ru --output texts

The package is under the GPL, version 2: train on it, do not distribute it, and name it in the model's card.
`held.txt` has one entry in fifty, chosen by a hash of its letters, so that equal entries are on one side.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

HELD = 50  # one entry in so many
WORDS = (2, 120)  # of an entry
_ATTRIBUTION = re.compile(r"(?m)^\s*(?:--|—|\(c\)|©).*(?:\n\s{2,}.*)*", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*")


def clean(entry: str) -> str:
    """One line of prose, or "" where an entry is mostly something else (code, Latin, pictures)."""
    entry = re.sub(r"\x1b\[[0-9;]*m|[_*|\\<>~^`#=+{}\[\]]", " ", _ATTRIBUTION.sub("", entry))
    entry = re.sub(r"(?m)^\s*[-–—]\s*", " — ", entry)  # the turns of a dialogue
    entry = _SPACE.sub(" ", entry.replace('"', "").replace("--", " — ")).strip(" —")
    letters = sum(c.isalpha() for c in entry)
    cyrillic = sum(len(w) for w in _WORD.findall(entry))
    words = len(_WORD.findall(entry))
    usable = letters and cyrillic >= 0.97 * letters and letters >= 0.6 * len(entry)
    return entry if usable and WORDS[0] <= words <= WORDS[1] else ""


def entries(directory: Path) -> Iterator[str]:
    """Cleaned entries of all fortune files, without repetitions."""
    seen: set[str] = set()
    for path in sorted(p for p in directory.iterdir() if p.is_file() and not p.is_symlink()):
        if path.suffix == ".dat":
            continue
        for raw in re.split(r"(?m)^%\s*$", path.read_text(encoding="utf-8", errors="replace")):
            entry = clean(raw)
            if entry and (key := letters_of(entry)) not in seen:
                seen.add(key)
                yield entry


def letters_of(entry: str) -> str:
    return "".join(c for c in entry.lower() if c.isalpha())


def is_held(entry: str) -> bool:
    return int(hashlib.sha256(letters_of(entry).encode()).hexdigest(), 16) % HELD == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    request = parser.parse_args()
    both = {name: [] for name in ("train", "held")}
    for entry in entries(request.directory):
        both["held" if is_held(entry) else "train"].append(entry)
    request.output.mkdir(parents=True, exist_ok=True)
    for name, lines in both.items():
        (request.output / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines)} entries, {sum(len(_WORD.findall(x)) for x in lines)} words")


if __name__ == "__main__":
    main()
