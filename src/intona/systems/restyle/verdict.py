"""The rule of the verdict, fixed before any run of the study, and the figures it is a rule about.

The paper (arXiv 2311.10804) says that style comes at the price of the words, and gives no figure. Here an
arm is judged at one guidance scale, `PRIMARY`, named before anything was trained; all others are shown and
decide nothing. Two intervals decide, both over test sentences:

- *words*: WER of the arm minus WER of decode(Z_text), the same voice without restyling, paired. Lost where
  the whole interval lies above `LOST`, kept where it lies below.
- *style*: the share of the asked shift that was realised. A sentence is said in two styles, of recordings
  that differ by d in an attribute (deviations of the corpus); the speech differs by e. The share is
  sum(e sign d) / sum |d| over sentences and over pitch, energy and rate. Moved where the whole interval lies
  above `MOVED`, not moved where it lies below. What could not be said or measured has e = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from intona.encoders.style import NAMES
from intona.evaluation.stats import Interval, ratio_interval

if TYPE_CHECKING:
    from intona.systems.restyle.trial import Conditions

STEERED = ("pitch", "energy", "rate")  # what the two styles of a sentence are extreme in
PRIMARY = 3.0
LOST = 0.10  # of the words: one in ten
MOVED = 0.10  # of the asked shift

Words = Literal["lost", "kept", "open"]
Style = Literal["moved", "not moved", "open"]
Verdict = Literal["reproduced", "refuted", "no steering", "open"]

RULE = (
    f"At guidance {PRIMARY:g}, with 95 % intervals over sentences. Words lost: WER minus that of "
    f"decode(Z_text) wholly above {LOST:.2f}; kept: wholly below. Style moved: share of the asked shift of "
    f"pitch, energy and rate wholly above {MOVED:.2f}; not moved: wholly below. The paper's result is "
    "reproduced where words are lost, refuted where words are kept and the style has moved; words kept and "
    "style not moved is no steering; anything else is open."
)


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


def verdict(of_words: Words, of_style: Style) -> Verdict:
    if of_words == "lost":
        return "reproduced"
    if of_words == "open" or of_style == "open":
        return "open"
    return "refuted" if of_style == "moved" else "no steering"


def shift(
    rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, attributes: Iterable[str] = STEERED
) -> Interval | None:
    """Share of the asked shift over sentences; None where nothing was asked for.

    Args:
        rows: manifest id -> what `sweep.say` found, of which "z" counts.
    """
    places = [NAMES.index(a) for a in attributes]
    got, asked = [], []
    for high, wanted in conditions.rows.items():
        if wanted.pole != "high":
            continue
        low = f"{wanted.sentence}.low"
        d = [wanted.z[k] - conditions.rows[low].z[k] for k in places]
        ends = [rows.get(key, {}).get("z") for key in (low, high)]
        if (size := sum(abs(x) for x in d)) < 1e-6:
            continue
        asked.append(size)
        moved = 0.0
        if ends[0] is not None and ends[1] is not None:
            for k, x in zip(places, d, strict=True):
                moved += (1 if x > 0 else -1 if x < 0 else 0) * (ends[1][k] - ends[0][k])
        got.append(moved)
    return ratio_interval(got, asked) if got else None


def mean_of(rows: Mapping[str, Mapping[str, Any]], conditions: Conditions, name: str) -> Interval | None:
    """Mean of a figure of `sweep.figures` where it is defined; rows of a sentence are resampled together."""
    found = [(r[name], conditions.rows[id].sentence) for id, r in rows.items() if r.get(name) is not None]
    return ratio_interval([v for v, _ in found], None, [s for _, s in found]) if found else None
