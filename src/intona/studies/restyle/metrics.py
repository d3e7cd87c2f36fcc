"""Figures of restyled speech beside what each row of the test requested."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from intona.encoders.style import NAMES
from intona.evaluation.stats import Interval, ratio_interval
from intona.studies.restyle.conditions import Conditions
from intona.studies.restyle.verdict import STEERED

FAR = 4.0  # deviations of which no difference counts more


def shift(
    rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, attributes: Iterable[str] = STEERED
) -> Interval | None:
    """Share of the asked shift over sentences; None where nothing was asked for.

    Args:
        rows: manifest id -> what `sweep.say` found, of which "z" counts: unclipped deviations (NAMES).
    """
    places = [NAMES.index(a) for a in attributes]
    got, asked = [], []
    for d, e in differences(rows, conditions):
        if (size := float(np.abs(d[places]).sum())) >= 1e-6:
            asked.append(size)
            got.append(float((np.sign(d) * e)[places].sum()))
    return ratio_interval(got, asked) if got else None


def differences(
    rows: Mapping[str, Mapping[str, Any]], conditions: Conditions
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(d, e) of each sentence, high minus low: what was asked for and what was heard, at most `FAR`."""
    out = []
    for id, wanted in conditions.rows.items():
        if wanted.pole != "high":
            continue
        low = f"{wanted.sentence}.low"
        d = np.subtract(wanted.z, conditions.rows[low].z)
        first, last = (rows.get(key, {}).get("z") for key in (low, id))
        if first is None or last is None:
            e = np.zeros(len(d))
        else:
            e = np.clip(np.subtract(last, first), -FAR, FAR)
        out.append((d, e))
    return out


def direction(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> Interval | None:
    """Cosine of what was heard with what was asked for, all attributes: 1 is the same direction, 0 none.

    Of the differences between a sentence's two styles: what both have in common, the voice against the
    reader and whatever a model does to every sentence, is not in it.
    """
    found = [cosine(e, d) for d, e in differences(rows, conditions) if np.linalg.norm(d) > 1e-6]
    return ratio_interval(found) if found else None


def own_direction(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> Interval | None:
    """The same in the arm's own style space, between the vectors "own" and "asked" of the two rows."""
    found = []
    for id, wanted in conditions.rows.items():
        pair = [rows.get(key, {}) for key in (f"{wanted.sentence}.low", id)]
        if wanted.pole == "high" and all(r.get("own") and r.get("asked") for r in pair):
            e, d = (np.subtract(pair[1][k], pair[0][k]) for k in ("own", "asked"))
            found.append(cosine(e, d))
    return ratio_interval(found) if found else None


def described(conditions: Conditions, ends: Mapping[str, Sequence[float]]) -> Conditions:
    """The conditions with another style at each pole: `ends`, pole -> deviations (NAMES)."""
    rows = {
        id: dataclasses.replace(w, z=tuple(float(v) for v in ends[w.pole]))
        for id, w in conditions.rows.items()
    }
    return dataclasses.replace(conditions, rows=rows)


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return round(float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9)), 4)


def mean_of(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, name: str) -> Interval | None:
    """Mean of a figure of `sweep.figures` where it is defined; rows of a sentence are resampled together."""
    found = [(r[name], conditions.rows[id].sentence) for id, r in rows.items() if r.get(name) is not None]
    return ratio_interval([v for v, _ in found], None, [s for _, s in found]) if found else None
