"""What the paper of the restyle system says (arXiv 2311.10804), as a study can test it; it has no figure.

A claim is judged over seeds by the rule of all studies: its arms are the ones that are trained again.
Comparisons are of the first seed: shown with their intervals, without a verdict.
"""

from __future__ import annotations

from intona.studies.engine.claims import Claim
from intona.studies.restyle.verdict import PRIMARY, at_guidance

SOURCE = "arXiv 2311.10804 gives no figure: these are the first, on other data, voices and sizes."


def _at(arm: str) -> str:
    return at_guidance(arm, PRIMARY)


CLAIMS = (
    Claim(
        said="misalignment is what loses the words",
        measure="wer",
        arm=_at("palette-own-unaligned"),
        other=_at("palette-own"),
        sign=1,
    ),
    Claim(
        said="more guidance costs words",
        measure="wer",
        arm=at_guidance("palette-own", 10),
        other=at_guidance("palette-own", 1),
        sign=1,
    ),
)


def _beside(said: str, arm: str, other: str, sign: int = 1) -> Claim:
    return Claim(said=said, measure="wer", arm=_at(arm), other=_at(other), sign=sign)


COMPARISONS = (
    _beside("the bridge is no better for the words than Palette", "bridge-own", "palette-own"),
    _beside("ours: a sequence keeps more words than an image", "palette-own-2d", "palette-own"),
    _beside("padding that is learned costs words", "palette-own-unmasked", "palette-own"),
    _beside("ours: recordings through an estimated posterior lose words", "palette", "palette-own"),
    _beside("misalignment loses words towards recordings, too", "palette-unaligned", "palette"),
    _beside("next check 2: a tuned decoder restores the words", "palette-decoder", "palette", sign=-1),
    _beside("the bridge is no better towards recordings", "bridge", "palette"),
    _beside("misalignment loses the bridge's words too", "bridge-unaligned", "bridge"),
    _beside("ours: a sequence keeps more words of recordings than an image", "palette-2d", "palette"),
    _beside("the style embedding costs more words than measured prosody", "palette-embedding", "palette"),
    _beside("padding that is learned costs words of recordings", "palette-unmasked", "palette"),
    _beside("the paper's bridge is no better than its Palette", "paper-bridge", "paper-palette"),
)
