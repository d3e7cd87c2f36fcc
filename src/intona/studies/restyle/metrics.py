"""Figures of restyled speech, compared with the style that each row of the test set requests."""

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
    """Share of the requested shift over sentences; None if no shift was requested.

    Args:
        rows: manifest id -> `speech.figures`, of which "z" is used: deviations (NAMES), not clipped.
    """
    places = [NAMES.index(a) for a in attributes]
    realized, requested = [], []
    for d, e in differences(rows, conditions):
        if (size := float(np.abs(d[places]).sum())) >= 1e-6:
            requested.append(size)
            realized.append(float((np.sign(d) * e)[places].sum()))
    return ratio_interval(realized, requested) if realized else None


def differences(
    rows: Mapping[str, Mapping[str, Any]], conditions: Conditions
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(d, e) of each sentence, high minus low: the requested and the measured difference, e within `FAR`."""
    out = []
    for id, style in conditions.rows.items():
        if style.pole != "high":
            continue
        low = f"{style.sentence}.low"
        d = np.subtract(style.z, conditions.rows[low].z)
        first, last = (rows.get(key, {}).get("z") for key in (low, id))
        if first is None or last is None:
            e = np.zeros(len(d))
        else:
            e = np.clip(np.subtract(last, first), -FAR, FAR)
        out.append((d, e))
    return out


def moved(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, attribute: str) -> Interval | None:
    """Mean measured difference between the two styles in one attribute, requested or not, in deviations."""
    place = NAMES.index(attribute)
    values = [float(e[place]) for _, e in differences(rows, conditions)]
    return ratio_interval(values) if values else None


def shift_sums(
    rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, attribute: str
) -> dict[str, tuple[float, float]]:
    """Sentence -> its part of the numerator and of the denominator of `shift` of one attribute."""
    place, out = NAMES.index(attribute), {}
    names = [w.sentence for w in conditions.rows.values() if w.pole == "high"]
    for name, (d, e) in zip(names, differences(rows, conditions), strict=True):
        if abs(d[place]) >= 1e-6:
            out[name] = (float(np.sign(d[place]) * e[place]), float(abs(d[place])))
    return out


def direction(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> Interval | None:
    """Cosine of measured and requested difference over all attributes: 1 = the same direction.

    The differences are between the two styles of a sentence, so whatever both have in common cancels out,
    such as the distance between the voice and the recorded speaker.
    """
    cosines = [cosine(e, d) for d, e in differences(rows, conditions) if np.linalg.norm(d) > 1e-6]
    return ratio_interval(cosines) if cosines else None


def encoder_direction(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> Interval | None:
    """`direction` in the space of the arm's style encoder, from "own" and "asked" of both rows."""
    cosines = []
    for id, style in conditions.rows.items():
        pair = [rows.get(key, {}) for key in (f"{style.sentence}.low", id)]
        if style.pole == "high" and all(r.get("own") and r.get("asked") for r in pair):
            e, d = (np.subtract(pair[1][k], pair[0][k]) for k in ("own", "asked"))
            cosines.append(cosine(e, d))
    return ratio_interval(cosines) if cosines else None


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
    """Mean of a figure of `speech.figures` where it is defined; rows of a sentence are resampled together."""
    values = [(r[name], conditions.rows[id].sentence) for id, r in rows.items() if r.get(name) is not None]
    return ratio_interval([v for v, _ in values], None, [s for _, s in values]) if values else None
