"""The examples in the table of docs/guide/text.md are what the front end does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intona.text.normalize import joined, normalize

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "text.md"


def examples() -> list[tuple[str, str, str]]:
    """(language, text, reading) of every `text → reading` in the table of kinds."""
    table = PAGE.read_text(encoding="utf-8").split("| kind | Russian | English |")[1].split("\n\n")[0]
    out = []
    for row in table.splitlines()[2:]:
        _, _, russian, english, _ = row.split("|")
        for language, cell in (("ru", russian), ("en", english)):
            pairs = [example.split(" → ") for example in cell.split("; ")]
            out += [(language, pair[0].strip(), pair[1].strip()) for pair in pairs if len(pair) == 2]
    return out


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:[-'][^\W\d_]+)*", text.replace("+", "").lower())


def test_the_table_has_examples_of_both_languages():
    languages = [language for language, _, _ in examples()]
    assert languages.count("ru") > 20 and languages.count("en") > 12


@pytest.mark.parametrize(("language", "text", "reading"), examples())
def test_example(language, text, reading):
    spoken = words(joined(normalize(text, language).tokens))
    expected = words(reading)
    assert spoken[: len(expected)] == expected if reading.endswith("…") else spoken == expected
