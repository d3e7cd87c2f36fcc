"""Rows paired with one another: units of work, and the derangement of the destroyed-text control."""

from __future__ import annotations

import hashlib

from intona.errors import UserError
from intona.evaluation.manifest import Manifest, Row


def companions(manifest: Manifest) -> list[list[Row]]:
    """Rows in pairs (with one triple if the number is odd), each row once, all texts of a group different.

    Rows of one speaker are paired with the next in length, so that the rows of a pair differ in their text
    and in little else. Rows that are left over are paired across speakers. A row with the same text as all
    others remains alone. Depends on the manifest only.
    """
    groups: list[list[Row]] = []
    left: list[Row] = []
    for speaker in manifest.speakers:
        of_speaker = [row for row in manifest.rows if row.speaker == speaker]
        of_speaker.sort(key=lambda r: (len(r.text.split()), hashlib.sha256(r.id.encode()).hexdigest()))
        pairs, odd = _pairs(of_speaker)
        if len(odd) == 1:
            group = next((g for g in reversed(pairs) if all(r.text != odd[0].text for r in g)), None)
            if group is not None:
                group.append(odd.pop())
        groups += pairs
        left += odd
    pairs, alone = _pairs(left)
    groups += pairs
    for row in alone:
        group = next((g for g in groups if len(g) == 2 and all(r.text != row.text for r in g)), None)
        if group is not None:
            group.append(row)
        else:
            groups.append([row])
    return groups


def _pairs(rows: list[Row]) -> tuple[list[list[Row]], list[Row]]:
    """Neighbours with different texts, and the rows that remain, which all have the same text."""
    pairs: list[list[Row]] = []
    waiting: list[Row] = []
    for row in rows:
        if waiting and waiting[-1].text != row.text:
            pairs.append([waiting.pop(), row])
        else:
            waiting.append(row)
    return pairs, waiting


def destroyed_texts(manifest: Manifest) -> dict[str, str]:
    """id -> id of the row whose audio is judged in its place: a fixed derangement within `companions`.

    This control costs no synthesis. It shows the value of each measure when words and melody are unrelated to
    the text: WER near 1, pitch distances at the level of chance.

    Raises:
        UserError: a row has no other row to be swapped with.
    """
    swapped = {}
    for group in companions(manifest):
        if len(group) == 1:
            raise UserError(f'no row has another text to swap with "{group[0].id}"')
        swapped |= {a.id: b.id for a, b in zip(group, [*group[1:], group[0]], strict=True)}
    return swapped
