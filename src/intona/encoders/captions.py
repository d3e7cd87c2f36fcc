"""Descriptions of how a recording was spoken, made from what was measured on it (`encoders.style.measure`).

No listener wrote them: a caption says that the pitch is low because it was measured low *beside the other
recordings of the corpus*, and that is all that a model trained on captions can know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from intona.encoders.style import NAMES
from intona.errors import UserError

Measured = Mapping[str, float]

# attribute -> (what it is called below the corpus's mean, above it); all are words of `encoders.style`.
WORDS: dict[str, tuple[str, str]] = {
    "pitch": ("low", "high"),
    "range": ("calm", "lively"),
    "energy": ("quiet", "loud"),
    "dynamics": ("even", "emphatic"),
    "rate": ("slow", "fast"),
    "voiced": ("breathy", "resonant"),
}
SLIGHTLY, PLAIN, VERY = 0.4, 0.8, 1.6  # deviations from which on a word is used
LANGUAGES = {"en": "English", "ru": "Russian", "de": "German", "fr": "French", "es": "Spanish"}


def corpus_scale(measured: Sequence[Measured]) -> dict[str, tuple[float, float]]:
    """Mean and deviation of every attribute over recordings: what "low" and "fast" are held against.

    Raises:
        UserError: fewer than two recordings.
    """
    if len(measured) < 2:
        raise UserError(f"{len(measured)} recordings with a style; 2 are the least")
    table = np.array([[m[n] for n in NAMES] for m in measured])
    spread = np.maximum(table.std(axis=0), 1e-3)
    return {n: (float(c), float(s)) for n, c, s in zip(NAMES, table.mean(axis=0), spread, strict=True)}


def deviations(
    measured: Measured, scale: Mapping[str, tuple[float, float]]
) -> Float[np.ndarray, " attributes"]:
    """Attributes in deviations from the corpus's mean, in the order of `encoders.style.NAMES`."""
    return np.array([(measured[n] - scale[n][0]) / scale[n][1] for n in NAMES])


def caption(
    z: Float[np.ndarray, " attributes"],
    rng: np.random.Generator,
    *,
    mention: float = 0.8,
    speaker: str = "",
    language: str = "",
) -> str:
    """One description of the deviations: each notable attribute with chance `mention`, in any order.

    Args:
        speaker, language: named at the end where given ("spoken by NAME in English").
    """
    words = []
    for name, value in zip(NAMES, z, strict=True):
        if abs(value) < SLIGHTLY or rng.random() >= mention:
            continue
        strength = "slightly " if abs(value) < PLAIN else "very " if abs(value) >= VERY else ""
        words.append(strength + WORDS[name][int(value > 0)])
    rng.shuffle(words)
    description = ", ".join(words) if words else "neutral"
    if speaker or language:
        description += " voice"
    if speaker:
        description += f", spoken by {speaker}"
    if language:
        description += f" in {LANGUAGES.get(language, language)}"
    return description
