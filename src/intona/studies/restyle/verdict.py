"""The rule of the verdict, fixed before any run of the study, and the figures it is a rule about.

The paper (arXiv 2311.10804) says that style comes at the price of the words, and gives no figure. Here an
arm is judged at one guidance scale, `PRIMARY`, named before anything was trained; all others are shown and
decide nothing. Two intervals decide, both over test sentences:

- *words*: WER of the arm minus WER of decode(Z_text), the same voice without restyling, paired. Lost where
  the whole interval lies above `LOST`, kept where it lies below.
- *style*: the share of the asked shift that was realised. A sentence is said in two styles, of recordings
  that differ by d in an attribute; the speech differs by e. The share is sum(e sign d) / sum |d| over
  sentences and over `STEERED`. Moved where the whole interval lies above `MOVED`, not moved where it lies
  below. What could not be said or measured has e = 0.

Both differences are in deviations of the speech that the model was trained on. It does not matter how far
from it the voice lies: only what the two styles make different counts, and at most `FAR` of it, so that a
slip of an octave is one large difference and not ten.

Two ceilings bound what a model can do, for it is taught to give decode(Z_audio): the words of copy
synthesis, and the style of the references through posterior and decoder. Where the ceiling itself fails, the
arm's failure is the posterior's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# What a frozen voice can be made to do frame by frame. Rate cannot move (the frames are the text's), and the
# level of prepared recordings is the share of pauses in them: both are shown and decide nothing.
STEERED = ("pitch", "range")
SHOWN = ("pitch", "range", "energy", "rate")
PRIMARY = 3.0
LOST = 0.10  # of the words: one in ten
MOVED = 0.10  # of the asked shift
BAD_COPY = 0.5  # WER of copy synthesis from which on the study says so at once

Words = Literal["lost", "kept", "open"]
Style = Literal["moved", "not moved", "open"]
Verdict = Literal[
    "reproduced", "words lost, no steering", "refuted", "no steering", "bounded by the posterior", "open"
]

RULE = (
    f"At guidance {PRIMARY:g}, with 95 % intervals over sentences. Words lost: WER minus that of "
    f"decode(Z_text) wholly above {LOST:.2f}; kept: wholly below. Style moved: share of the asked shift of "
    f"{' and '.join(STEERED)} wholly above {MOVED:.2f}; not moved: wholly below. Where words are lost and "
    "copy synthesis does not keep them either, or the style has not moved and the references decoded from "
    "their own latents do not show it either, the arm is bounded by the posterior. Else the paper's result "
    "is reproduced where words are lost and the style has moved, refuted where words are kept and the style "
    "has moved; words kept or lost with no style moved is no steering; anything else is open."
)


def at_guidance(arm: str, guidance: float) -> str:
    """The name of an arm's row in the tables: "palette.g3"."""
    return f"{arm}.g{guidance:g}"


def words(difference: Mapping[str, Any] | None) -> Words:
    """Of a paired difference of WER with its interval."""
    return _side(difference, LOST, "lost", "kept")  # type: ignore[return-value]


def style(share: Mapping[str, Any] | None) -> Style:
    """Of a share of the asked shift with its interval."""
    return _side(share, MOVED, "moved", "not moved")  # type: ignore[return-value]


def _side(value: Mapping[str, Any] | None, bar: float, above: str, below: str) -> str:
    if value is None or value.get("low") is None or value.get("high") is None:
        return "open"
    return above if value["low"] > bar else below if value["high"] < bar else "open"


def verdict(of_words: Words, of_style: Style, *, copy: Words = "kept", ceiling: Style = "moved") -> Verdict:
    """RULE.

    Args:
        copy: of copy synthesis against decode(Z_text); ceiling: of the references through the posterior.
            Their defaults are those of an arm that no posterior stands behind.
    """
    if (of_words == "lost" and copy != "kept") or (of_style == "not moved" and ceiling != "moved"):
        return "bounded by the posterior"
    if of_words == "open" or of_style == "open":
        return "open"
    if of_words == "lost":
        return "reproduced" if of_style == "moved" else "words lost, no steering"
    return "refuted" if of_style == "moved" else "no steering"
