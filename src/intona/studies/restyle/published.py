"""The paper of the restyle system (arXiv 2311.10804), which has no figures, in a form that a study can test.

A claim is judged over seeds by the rule of all studies, so its arms are trained with several seeds.
Comparisons are made in the first seed alone and are shown with their intervals, without a verdict.
"""

from __future__ import annotations

from intona.studies.engine.claims import Claim
from intona.studies.restyle.verdict import PRIMARY, at_guidance

SOURCE = "arXiv 2311.10804 has no figures; these are on other data, voices and sizes."


def _at(arm: str) -> str:
    return at_guidance(arm, PRIMARY)


CLAIMS = (
    Claim(
        text="misalignment is what loses the words",
        measure="wer",
        arm=_at("palette-own-unaligned"),
        other=_at("palette-own"),
        sign=1,
    ),
    Claim(
        text="more guidance costs words",
        measure="wer",
        arm=at_guidance("palette-own", 10),
        other=at_guidance("palette-own", 1),
        sign=1,
        paired=True,  # one model at two scales
    ),
)


def _comparison(text: str, arm: str, other: str, sign: int = 1) -> Claim:
    return Claim(text=text, measure="wer", arm=_at(arm), other=_at(other), sign=sign)


COMPARISONS = (
    _comparison("the bridge is no better for the words than Palette", "bridge-own", "palette-own"),
    _comparison("ours: a sequence keeps more words than an image", "palette-own-2d", "palette-own"),
    _comparison("padding that is learned costs words", "palette-own-unmasked", "palette-own"),
    _comparison("ours: recordings through an estimated posterior lose words", "palette", "palette-own"),
    _comparison("misalignment loses words towards recordings, too", "palette-unaligned", "palette"),
    _comparison("next check 2: a tuned decoder restores the words", "palette-decoder", "palette", sign=-1),
    _comparison("the bridge is no better towards recordings", "bridge", "palette"),
    _comparison("misalignment loses the bridge's words too", "bridge-unaligned", "bridge"),
    _comparison("ours: a sequence keeps more words of recordings than an image", "palette-2d", "palette"),
    _comparison("the style embedding costs more words than measured prosody", "palette-embedding", "palette"),
    _comparison("padding that is learned costs words of recordings", "palette-unmasked", "palette"),
    _comparison("the paper's bridge is no better than its Palette", "paper-bridge", "paper-palette"),
)
