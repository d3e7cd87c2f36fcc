"""The rule of the verdict, fixed before any run of the study.

The paper (arXiv 2311.10804) states that style costs intelligible words, without figures. Here an arm is
judged at one guidance scale, `PRIMARY`, chosen before anything was trained; the other scales are shown and
decide nothing. Two intervals over test sentences decide:

- *words*: WER of the arm minus WER of decode(Z_text), the same voice without restyling, paired. Lost if the
  whole interval lies above `LOST`, kept if it lies below.
- *style*: the realized share of the requested shift, of the one attribute that was requested and no other.
  A sentence is spoken in two styles, of recordings that differ by d in an attribute and are alike in the
  rest; the speech differs by e. The share is sum(e sign d) / sum |d| over sentences
  and over `STEERED`. Moved if the whole interval lies above `MOVED`, not moved if it lies below. What could
  not be spoken or measured has e = 0.

Both differences are in deviations of the speech that the model was trained on. The distance of the voice from
that speech does not matter: only the difference between the two styles counts, and at most `metrics.FAR` of
it, so that one octave error of the pitch tracker does not count as ten differences.

Two ceilings limit every model, because its targets are decode(Z_audio): the words of copy synthesis, and the
style of the references after posterior and decoder. If a ceiling fails, the failure of an arm is due to the
posterior.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# The attribute in which the two styles of a sentence differ, and so the only one that a verdict is about. The
# others are shown and decide nothing. Nor could all: the rate is fixed by the frames of the text, and the
# level of prepared recordings depends on their pauses.
STEERED = ("pitch",)
SHOWN = ("pitch", "range", "energy", "rate")
PRIMARY = 3.0
LOST = 0.10  # of the words: one in ten
MOVED = 0.10  # of the requested shift
BAD_COPY = 0.5  # if the WER of copy synthesis is higher, the study reports it at once

Words = Literal["lost", "kept", "open"]
Style = Literal["moved", "not moved", "open"]
Verdict = Literal[
    "reproduced", "words lost, no steering", "refuted", "no steering", "bounded by the posterior", "open"
]

RULE = (
    f"At guidance {PRIMARY:g}, with 95 % intervals over sentences. Words are lost if the whole interval of "
    f"the WER minus that of decode(Z_text) is above {LOST:.2f}, kept if it is below. The style has moved if "
    f"the whole interval of the share of the requested shift of {' and '.join(STEERED)}, the attribute that "
    f"was requested, is above {MOVED:.2f}, not moved if it is below. The arm is bounded by the posterior if "
    "words are lost and copy synthesis does not keep them either, or if the style has not moved and the "
    "references decoded from their latents do not show it either. Otherwise the paper's result is reproduced "
    "if words are lost and the style has moved, and refuted if words are kept and the style has moved. If "
    "the style has not moved there is no steering. Anything else is open."
)


def at_guidance(arm: str, guidance: float) -> str:
    """The row of an arm in the tables, such as "palette.g3"."""
    return f"{arm}.g{guidance:g}"


def at_primary(arm: str) -> str:
    """The row of an arm at the guidance scale of the verdict."""
    return at_guidance(arm, PRIMARY)


def words(difference: Mapping[str, Any] | None) -> Words:
    """The verdict on words, from the paired difference of WER with its interval."""
    return _side(difference, LOST, "lost", "kept")  # type: ignore[return-value]


def style(share: Mapping[str, Any] | None) -> Style:
    """The verdict on style, from the share of the requested shift with its interval."""
    return _side(share, MOVED, "moved", "not moved")  # type: ignore[return-value]


def _side(value: Mapping[str, Any] | None, bar: float, above: str, below: str) -> str:
    if value is None or value.get("low") is None or value.get("high") is None:
        return "open"
    return above if value["low"] > bar else below if value["high"] < bar else "open"


def verdict(of_words: Words, of_style: Style, *, copy: Words = "kept", ceiling: Style = "moved") -> Verdict:
    """The verdict by RULE.

    Args:
        copy: words of copy synthesis against decode(Z_text). ceiling: style of the references through the
            posterior. The defaults are for arms without a posterior.
    """
    if (of_words == "lost" and copy != "kept") or (of_style == "not moved" and ceiling != "moved"):
        return "bounded by the posterior"
    if of_words == "open" or of_style == "open":
        return "open"
    if of_words == "lost":
        return "reproduced" if of_style == "moved" else "words lost, no steering"
    return "refuted" if of_style == "moved" else "no steering"
