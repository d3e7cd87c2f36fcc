"""A corpus layout: `lines.tsv` with id, language and text, and `ID.wav` beside it."""

from __future__ import annotations

from collections.abc import Iterator

from intona.data.corpora import BadLine, Record, Source


def read(source: Source) -> Iterator[Record | BadLine]:
    """The records of a corpus, in the order of its table."""
    table = (source.root / "lines.tsv").read_text(encoding="utf-8")
    for number, line in enumerate(table.splitlines(), 1):
        columns = line.split("\t")
        if len(columns) != 3:
            yield BadLine(id=f"line {number}", reason="columns", detail=f"{len(columns)}, not 3")
            continue
        name, language, text = columns
        yield Record(
            id=name, audio=source.inside(f"{name}.wav"), text=text, speaker="reader", language=language
        )
