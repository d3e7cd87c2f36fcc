"""The section about what the posterior allows a model to reach (`gate.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag
from intona.studies.restyle import gate

Cells = list[str | Html | None]
TITLE = "The posterior: what a model could reach"


def section(results: Mapping[str, Any] | None) -> Section:
    if results is None:
        return Section(id="gate", title=TITLE, body=tag("p", "Not measured yet."))
    words: list[Cells] = [
        ["copy synthesis, WER", parts.interval(results["copy wer"], digits=3)],
        ["decode(Z_text), WER", parts.interval(results["text wer"], digits=3)],
        ["difference, paired", parts.interval(results["lost"], digits=3, signed=True)],
    ]
    style: list[Cells] = [
        [f"share of {name}", parts.interval(value, digits=2, signed=True)]
        for name, value in results["ceiling"].items()
    ]
    style.append(["correlation of log F0", parts.interval(results["f0"], digits=2)])
    style.append(["log-mel L1", parts.interval(results["mel"], digits=3)])
    recall: list[Cells] = [
        [name, parts.interval(results[key], digits=3)]
        for name, key in (
            ("speech of the voice", "own"),
            ("recordings of the test set", "foreign"),
            ("two different sentences", "unlike"),
        )
    ]
    tables = [
        parts.table(
            "Words of the targets of the models.", ["row", "measured"], words, label="words", tight=True
        ),
        parts.table(
            f"Style of the {results['references']} references decoded from their latents: the share of the "
            "requested shift that they show.",
            ["of", "measured"],
            style,
            label="ceiling of style",
            tight=True,
        ),
        parts.table(
            "decode(posterior(audio)): mean absolute difference of log mels, natural log.",
            ["of", "measured"],
            recall,
            label="reconstruction",
            tight=True,
        ),
    ]
    lead = "Measured before any model was trained; 95 % intervals over sentences, references or recordings."
    if warning := gate.warning_of(results):
        lead += f" {warning}."
    return Section(id="gate", title=TITLE, lead=lead, body=join(tables))
