"""The section of the probes (`probes.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag

Cells = list[str | Html | None]
KINDS = ("linear", "nearest")


def section(results: Mapping[str, Any] | None) -> Section:
    title = "Probes: which space tells what"
    if results is None:
        return Section(id="probes", title=title, body=tag("p", "Not probed yet."))
    tables = [_content(results), _style(results)]
    if results["speakers"] > 1:
        tables.append(_speaker(results))
    else:
        tables.append(tag("p", "Speaker: not applicable, because the corpus has one speaker."))
    tables.append(_correlation(results))
    lead = (
        f"Fitted on {results['fitted']} recordings of train, scored on {results['scored']} of test; 95 % "
        "intervals over recordings. Linear: ridge regression; nearest: five neighbours."
    )
    if left_out := results.get("left out"):
        name, why = next(iter(left_out.items()))
        lead += f" Left out: {len(left_out)}, such as {name} ({why})."
    return Section(id="probes", title=title, lead=lead, body=join(tables))


def _content(results: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [
        [
            name,
            *(parts.interval(of[k], digits=3) for k in KINDS),
            parts.interval(results["content chance"][name], digits=3),
        ]
        for name, of in results["content"].items()
    ]
    caption = (
        "Content: share of frames whose symbol is predicted; chance: always the commonest of train. Z_text "
        "has predicted durations, so that its symbols are known; those of Z_audio follow from the alignment. "
        "A style vector is the same for the whole recording."
    )
    return parts.table(caption, ["space", *KINDS, "chance"], rows, label="content probes", tight=True)


def _style(results: Mapping[str, Any]) -> Html:
    rows: list[Cells] = []
    attributes: list[str] = []
    for name, kinds in results["style"].items():
        for kind, of in kinds.items():
            attributes = list(of)
            rows.append([name, kind, *(parts.interval(v, digits=2) for v in of.values())])
    caption = "Style: R² of the attributes measured on the recording; chance is 0 (always the mean of train)."
    return parts.table(caption, ["space", "probe", *attributes], rows, label="style probes", tight=True)


def _speaker(results: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [
        [name, *(parts.interval(of[k], digits=3) for k in KINDS)] for name, of in results["speaker"].items()
    ]
    rows.append(
        ["chance: the commonest", *(parts.interval(results["speaker chance"], digits=3) for _ in KINDS)]
    )
    caption = f"Speaker: share of recordings whose speaker, one of {results['speakers']}, is predicted."
    return parts.table(caption, ["space", *KINDS], rows, label="speaker probes", tight=True)


def _correlation(results: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [[how, parts.interval(v, digits=3)] for how, v in results["correlation"].items()]
    caption = (
        "Correlation of Z_text with Z_audio over time, mean over channels and recordings. Aligned: to the "
        "recording; unaligned: predicted durations, cut or padded, as in the paper; another text: of similar "
        "length, aligned to the same recording, which shows what the alignment alone contributes."
    )
    return parts.table(caption, ["Z_text", "r"], rows, label="correlation", tight=True)
