"""From the values that a variance adaptor predicts to those that are spoken.

Pitch, voicing and energy of each symbol; all arrays are tensors of torch or NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intona import arrays
from intona.synth.controls import Controls
from intona.text.question import QuestionPlan

VOICED = 0.5  # share of voiced frames from which a symbol has a pitch
RAISED = 0.95  # voiced share, at least, of the symbols that a question raises


@dataclass(frozen=True, kw_only=True)
class Values:
    """Standardised values per symbol, each (B, N).

    pitch, energy: deviations from the speaker's mean. voiced: share of voiced frames. Symbols without a pitch
    or without frames have interpolated values.
    """

    pitch: Any
    voiced: Any
    energy: Any


def values_of(pitch: Any, voiced: Any, energy: Any, mask: Any) -> Values:
    """The values that a prediction stands for.

    Args:
        pitch, energy: (B, N) standardised. voiced: (B, N) share of voiced frames. mask: (B, N).
    """
    voiced = voiced * mask
    return Values(pitch=interpolated(pitch, (voiced >= VOICED) & mask), voiced=voiced, energy=energy * mask)


def spoken_values(
    values: Values,
    mask: Any,
    *,
    pitch_std: Any,
    energy_std: Any,
    statement: Values | None = None,
    questions: Sequence[QuestionPlan | None] = (),
    controls: Controls | None = None,
) -> Values:
    """Predicted values with the contour of questions, then steered.

    Args:
        mask: (B, N). pitch_std, energy_std: (B, 1) deviations of the speakers, in semitones and dB.
        statement: what is predicted for the same words as a statement, needed with questions.
        questions: the default contour of each item, None for none.
        controls: pitch, range and energy are obeyed. The range is that of the whole contour around the
            speaker's mean, questions included.
    """
    pitch, voiced, energy = values.pitch, values.voiced, values.energy
    if statement is not None:
        pitch = _with_questions(pitch * pitch_std, statement.pitch * pitch_std, mask, questions) / pitch_std
        voiced = _with_voice(voiced, questions)
    if controls is not None:
        if controls.range is not None:
            pitch = pitch * controls.range
        if controls.pitch is not None:
            pitch = pitch + controls.pitch / pitch_std
        if controls.energy is not None:
            energy = energy + controls.energy / energy_std
    return Values(pitch=pitch * mask, voiced=voiced, energy=energy * mask)


def _with_questions(pitch: Any, statement: Any, mask: Any, questions: Sequence[QuestionPlan | None]) -> Any:
    """Contours (B, N) in semitones above the speaker's mean, with the rules of their questions."""
    out, as_statement = arrays.to_numpy(pitch).copy(), arrays.to_numpy(statement)
    for row, other, plan, n in zip(out, as_statement, questions, mask.sum(1).tolist(), strict=True):
        if plan is not None:
            row[:n] = plan.apply(row[:n], other[:n])
    return arrays.from_numpy(out, pitch)


def _with_voice(voiced: Any, questions: Sequence[QuestionPlan | None]) -> Any:
    """Shares of voiced frames (B, N), high where the rules of questions need a pitch."""
    out = arrays.to_numpy(voiced).copy()
    for row, plan in zip(out, questions, strict=True):
        if plan is not None and plan.voiced:
            index = list(plan.voiced)
            row[index] = np.maximum(row[index], RAISED)
    return arrays.from_numpy(out, voiced)


def interpolated(values: Any, known: Any) -> Any:
    """Values (B, N) with those that are not known on a line between their known neighbours.

    Before the first and after the last known value they equal it; a row without any is 0.
    """
    xp, n = arrays.namespace(values), values.shape[1]
    index = arrays.arange(0, n, values)
    before = arrays.running_maximum(xp.where(known, index, -1))
    after = n - 1 - xp.flip(arrays.running_maximum(xp.where(xp.flip(known, (1,)), index, -1)), (1,))
    left = xp.clip(xp.where(before >= 0, before, after), None, n - 1)
    right = xp.clip(xp.where(after < n, after, before), 0, None)
    share = arrays.as_type(index - left, "float32") / xp.clip(right - left, 1, None)
    low, high = arrays.take_along(values, left), arrays.take_along(values, right)
    return (low + arrays.as_type(share, "float32") * (high - low)) * known.any(1)[:, None]
