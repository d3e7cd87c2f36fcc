"""What the paper of the restyle system says (arXiv 2311.10804), as a study can test it; it has no figure."""

from __future__ import annotations

from intona.study.claims import Claim
from intona.systems.restyle.study import at_guidance
from intona.systems.restyle.verdict import PRIMARY

SOURCE = "arXiv 2311.10804 gives no figure: these are the first, on other data, voices and sizes."


def _at(arm: str) -> str:
    return at_guidance(arm, PRIMARY)


CLAIMS = (
    Claim(
        said="misalignment is what loses the words",
        measure="wer",
        arm=_at("palette-unaligned"),
        other=_at("palette"),
        sign=1,
    ),
    Claim(
        said="so it is for the bridge",
        measure="wer",
        arm=_at("bridge-unaligned"),
        other=_at("bridge"),
        sign=1,
    ),
    Claim(
        said="the bridge is no better for the words",
        measure="wer",
        arm=_at("paper-bridge"),
        other=_at("paper-palette"),
        sign=1,
    ),
    Claim(
        said="more guidance costs words",
        measure="wer",
        arm=at_guidance("palette", 10),
        other=at_guidance("palette", 1),
        sign=1,
    ),
    Claim(
        said="ours: a sequence keeps more words than an image",
        measure="wer",
        arm=_at("palette-2d"),
        other=_at("palette"),
        sign=1,
    ),
    Claim(
        said="next check 2: a tuned decoder mends the words",
        measure="wer",
        arm=_at("palette-decoder"),
        other=_at("palette"),
        sign=-1,
    ),
)
