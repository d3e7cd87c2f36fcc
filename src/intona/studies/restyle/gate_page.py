"""The section of what the posterior leaves to be gained (`gate.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag
from intona.studies.restyle import gate

Cells = list[str | Html | None]
TITLE = "The posterior: what any model could reach"


def section(found: Mapping[str, Any] | None) -> Section:
    if found is None:
        return Section(id="gate", title=TITLE, body=tag("p", "Not measured, or not yet."))
    words: list[Cells] = [
        ["copy synthesis, WER", parts.interval(found["copy wer"], digits=3)],
        ["decode(Z_text), WER", parts.interval(found["text wer"], digits=3)],
        ["difference, paired", parts.interval(found["lost"], digits=3, signed=True)],
    ]
    style: list[Cells] = [
        [f"share of {name}", parts.interval(value, digits=2, signed=True)]
        for name, value in found["ceiling"].items()
    ]
    style.append(["correlation of log F0", parts.interval(found["f0"], digits=2)])
    style.append(["log-mel L1", parts.interval(found["mel"], digits=3)])
    recall: list[Cells] = [
        [name, parts.interval(found[key], digits=3)]
        for name, key in (
            ("the voice's own speech", "own"),
            ("recordings of the test", "foreign"),
            ("two unlike sentences", "unlike"),
        )
    ]
    tables = [
        parts.table(
            "Words of what models are taught to give.", ["row", "found"], words, label="words", tight=True
        ),
        parts.table(
            f"Style of the {found['references']} references, decoded from their own latents: the share of "
            "the asked shift that they show themselves.",
            ["of", "found"],
            style,
            label="ceiling of style",
            tight=True,
        ),
        parts.table(
            "decode(posterior(sound)): mean absolute difference of log mels, natural log.",
            ["of", "found"],
            recall,
            label="reconstruction",
            tight=True,
        ),
    ]
    lead = "Measured before any model was trained. 95 % over sentences, references or recordings."
    if said := gate.told(found):
        lead += f" {said}."
    return Section(id="gate", title=TITLE, lead=lead, body=join(tables))
