"""The section of the probes (`probes.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag

Cells = list[str | Html | None]
KINDS = ("linear", "nearest")


def section(found: Mapping[str, Any] | None) -> Section:
    title = "Probes: what lies where"
    if found is None:
        return Section(id="probes", title=title, body=tag("p", "Not probed, or not yet."))
    tables = [_content(found), _style(found)]
    if found["speakers"] > 1:
        tables.append(_speaker(found))
    else:
        tables.append(tag("p", "Speaker: not applicable, the corpus has one."))
    tables.append(_correlation(found))
    lead = (
        f"Fitted on {found['fitted']} recordings of train, scored on {found['scored']} of test; 95 % over "
        "recordings. Linear: ridge regression; nearest: five neighbours."
    )
    if left_out := found.get("left out"):
        name, why = next(iter(left_out.items()))
        lead += f" Left out: {len(left_out)}, such as {name} ({why})."
    return Section(id="probes", title=title, lead=lead, body=join(tables))


def _content(found: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [
        [
            name,
            *(parts.interval(of[k], digits=3) for k in KINDS),
            parts.interval(found["content chance"][name], digits=3),
        ]
        for name, of in found["content"].items()
    ]
    caption = (
        "Content: share of frames whose symbol is named; chance: always the commonest of train. Z_text on "
        "the voice's own durations, whose symbols are known; Z_audio by the alignment. A style vector is one "
        "for the whole recording."
    )
    return parts.table(caption, ["space", *KINDS, "chance"], rows, label="content probes", tight=True)


def _style(found: Mapping[str, Any]) -> Html:
    rows: list[Cells] = []
    attributes: list[str] = []
    for name, kinds in found["style"].items():
        for kind, of in kinds.items():
            attributes = list(of)
            rows.append([name, kind, *(parts.interval(v, digits=2) for v in of.values())])
    caption = "Style: R² of what was measured on the recording; 0 is chance (always the mean of train)."
    return parts.table(caption, ["space", "probe", *attributes], rows, label="style probes", tight=True)


def _speaker(found: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [
        [name, *(parts.interval(of[k], digits=3) for k in KINDS)] for name, of in found["speaker"].items()
    ]
    rows.append(
        ["chance: the commonest", *(parts.interval(found["speaker chance"], digits=3) for _ in KINDS)]
    )
    caption = f"Speaker: share of recordings whose speaker, of {found['speakers']}, is named."
    return parts.table(caption, ["space", *KINDS], rows, label="speaker probes", tight=True)


def _correlation(found: Mapping[str, Any]) -> Html:
    rows: list[Cells] = [[how, parts.interval(v, digits=3)] for how, v in found["correlation"].items()]
    caption = (
        "Correlation of Z_text with Z_audio over time, mean over channels and recordings. Aligned: on the "
        "recording's own frames; unaligned: the voice's own durations, cut or padded, as in the paper; "
        "another text: of like length, aligned to the same recording, which is what alignment alone gives."
    )
    return parts.table(caption, ["Z_text", "r"], rows, label="correlation", tight=True)
