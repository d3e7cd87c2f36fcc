"""The paper of the restyle system (arXiv 2311.10804), which has no figures, in a form that a study can test.

A claim is judged over seeds by the rule of all studies, so its arms are trained with several seeds.
Comparisons are made in the first seed alone and are shown with their intervals, without a verdict.
"""

from __future__ import annotations

from intona.studies.engine.claims import Claim
from intona.studies.restyle.verdict import at_guidance, at_primary

SOURCE = "arXiv 2311.10804 has no figures; these are on other data, voices and sizes."


def loses_words(text: str, arm: str, other: str, sign: int = 1) -> Claim:
    """That an arm has a higher WER than another (`sign` -1: a lower one), at the scale of the verdict."""
    return Claim(text=text, measure="wer", arm=at_primary(arm), other=at_primary(other), sign=sign)


CLAIMS = (
    loses_words("misalignment is what loses the words", "palette-own-unaligned", "palette-own"),
    Claim(
        text="more guidance costs words",
        measure="wer",
        arm=at_guidance("palette-own", 10),
        other=at_guidance("palette-own", 1),
        sign=1,
        paired=True,  # one model at two scales
    ),
)


COMPARISONS = (
    loses_words("the bridge is no better for the words than Palette", "bridge-own", "palette-own"),
    loses_words("ours: a sequence keeps more words than an image", "palette-own-2d", "palette-own"),
    loses_words("padding that is learned costs words", "palette-own-unmasked", "palette-own"),
    loses_words("ours: recordings through an estimated posterior lose words", "palette", "palette-own"),
    loses_words("misalignment loses words towards recordings, too", "palette-unaligned", "palette"),
    loses_words("next check 2: a tuned decoder restores the words", "palette-decoder", "palette", sign=-1),
    loses_words("the bridge is no better towards recordings", "bridge", "palette"),
    loses_words("misalignment loses the bridge's words too", "bridge-unaligned", "bridge"),
    loses_words("ours: a sequence keeps more words of recordings than an image", "palette-2d", "palette"),
    loses_words("the style embedding costs more words than measured prosody", "palette-embedding", "palette"),
    loses_words("padding that is learned costs words of recordings", "palette-unmasked", "palette"),
    loses_words("the paper's bridge is no better than its Palette", "paper-bridge", "paper-palette"),
)
