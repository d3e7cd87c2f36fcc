"""Style conditions behind one interface: a recording or a description in, a vector out.

`ProsodyStyle` is the control that needs no weights: measured pitch, energy and rate. `encoders.clap` adapts
CLAP, `encoders.style_net` is a small audio-text model trained here. A style vector of a recording belongs to
the recording, not to its speaker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from intona.audio import Audio
from intona.audio.io import faults
from intona.audio.pitch import F0, METHOD, energy, f0_contour
from intona.errors import UserError, nearest


@runtime_checkable
class StyleEncoder(Protocol):
    """What the restyling models are conditioned on.

    `dim` is the width of the vectors, `describe` all that they depend on. Both calls raise UserError for
    what they cannot embed: silence, an empty or a foreign text. `rate` is the factor of speaking rate that a
    style asks for, None for one that does not know.
    """

    name: str
    dim: int

    def describe(self) -> dict[str, Any]: ...

    def of_audio(self, audio: Audio) -> Float32[np.ndarray, " width"]: ...

    def of_text(self, text: str) -> Float32[np.ndarray, " width"]: ...

    def rate(self, style: np.ndarray) -> float | None: ...


Scale = Mapping[str, Sequence[float]]  # attribute -> mean and deviation

# name -> (centre, spread) of reading voices, men and women: what "average" and "clearly more" mean where no
# corpus says it. A model of restyle has the means and deviations of the recordings it was trained on.
ATTRIBUTES: dict[str, tuple[float, float]] = {
    "pitch": (math.log(150.0), 0.35),  # log Hz, median of the voiced frames
    "range": (0.20, 0.08),  # deviation of log F0, voiced frames
    "energy": (-24.0, 6.0),  # dB below full scale, mean of the loud frames
    "dynamics": (6.0, 2.0),  # dB, deviation over the loud frames
    "rate": (4.5, 1.2),  # syllable-like energy peaks per second of speech
    "voiced": (0.60, 0.12),  # share of the loud frames
}
NAMES = tuple(ATTRIBUTES)
LOUD_DB = 35  # below the loudest frame of a recording; quieter frames are pauses
SLOWEST, FASTEST = 0.5, 2.0  # factors of rate that a style may ask for

# Words of a description -> attributes, in deviations from the mean. English and Russian.
WORDS: dict[str, Mapping[str, float]] = {}


def _words(where: Mapping[str, float], *names: str) -> None:
    WORDS.update(dict.fromkeys(names, where))


_words({"pitch": -1.2}, "low", "deep", "низкий", "низко", "низкая")
_words({"pitch": 1.2}, "high", "высокий", "высоко", "высокая")
_words({"rate": -1.2}, "slow", "slowly", "медленный", "медленно")
_words({"rate": 1.2}, "fast", "quick", "быстрый", "быстро")
_words({"energy": -1.2}, "quiet", "soft", "тихий", "тихо")
_words({"energy": 1.2}, "loud", "громкий", "громко")
_words({"range": -1.2, "dynamics": -0.6}, "calm", "flat", "monotone", "спокойный", "спокойно", "ровный")
_words(
    {"range": 1.2, "dynamics": 0.6}, "lively", "expressive", "живой", "живо", "выразительный", "выразительно"
)
_words({"energy": 1.2, "range": 1.2, "rate": 0.8, "pitch": 0.8}, "excited", "взволнованный", "взволнованно")
_words({"energy": -0.8, "range": -0.8, "rate": -0.8, "pitch": -0.6}, "sad", "печальный", "печально")
_words({"dynamics": -1.2}, "even", "ровно")
_words({"dynamics": 1.2}, "emphatic", "подчёркнутый", "подчёркнуто")
_words({"voiced": -1.2}, "breathy", "придыхание")
_words({"voiced": 1.2}, "resonant", "звучный", "звучно")
_words({}, "a", "and", "neutral", "normal", "voice", "speech", "и", "голос", "обычный")
SIMILAR_WORD = 0.7  # short words of a language resemble each other: "bright" and "high" are 0.6 alike
_STRENGTH = {"very": 1.6, "очень": 1.6, "slightly": 0.5, "немного": 0.5}


class ProsodyStyle:
    """Measured prosody as a style: (2 K,) float32, K standardised attributes and K flags "this one is known".

    A recording knows all of them; a description such as "calm, low, slow" those that its words name, and the
    rest are zero with a zero flag. Training drops attributes at random, so that partial vectors are at home.

    Args:
        scale: what attributes are standardised by: of a model, that of its train split, so that "low" is low
            beside what it has learned and in the units it has learned. ATTRIBUTES if None.
    """

    name = "prosody"
    dim = 2 * len(NAMES)

    def __init__(self, scale: Scale | None = None) -> None:
        known = ATTRIBUTES if scale is None else scale
        self.scale = {n: (round(float(known[n][0]), 6), round(float(known[n][1]), 6)) for n in NAMES}

    def describe(self) -> dict[str, Any]:
        return {**measuring(), "version": 2, "scale": {n: list(v) for n, v in self.scale.items()}}

    def of_audio(self, audio: Audio) -> Float32[np.ndarray, " width"]:
        """Raises UserError for a recording without speech."""
        return self.of_measured(measure(audio))

    def of_measured(self, measured: Mapping[str, float]) -> Float32[np.ndarray, " width"]:
        """The same of what `measure` has found before."""
        values = [(measured[n] - centre) / spread for n, (centre, spread) in self.scale.items()]
        return np.array([*np.clip(values, -4, 4), *np.ones(len(NAMES))], np.float32)

    def rate(self, style: np.ndarray) -> float | None:
        """How much faster than the mean of the scale: a frozen voice's lengths can follow it.

        Beside the mean, not beside the voice: "slow" always slows, an average recording changes nothing.
        """
        k = NAMES.index("rate")
        centre, spread = self.scale["rate"]
        if not style[len(NAMES) + k] or centre <= 0:
            return None
        return float(np.clip((centre + float(style[k]) * spread) / centre, SLOWEST, FASTEST))

    def of_text(self, text: str) -> Float32[np.ndarray, " width"]:
        """Raises UserError for an empty description, and for words that are no style (nearest offered)."""
        tokens = re.findall(r"\w+", text.lower())
        if not tokens:
            raise UserError("an empty style", where="style", hint='such as "calm, low, slow"')
        values, known, factor = np.zeros(len(NAMES)), np.zeros(len(NAMES)), 1.0
        for token in tokens:
            if token in _STRENGTH:
                factor = _STRENGTH[token]
                continue
            if token not in WORDS:
                raise UserError(
                    f'"{token}" is no style that is known in English or Russian',
                    where="style",
                    hint=nearest(token, _suggestions(token), cutoff=SIMILAR_WORD),
                )
            for name, amount in WORDS[token].items():
                values[NAMES.index(name)] += factor * amount
                known[NAMES.index(name)] = 1
            factor = 1.0
        return np.array([*np.clip(values, -4, 4), *known], np.float32)


def _suggestions(word: str) -> list[str]:
    """The words that name a style, in the script of `word`; "and" and "voice" are read but name none."""
    return [w for w, attributes in WORDS.items() if attributes and w.isascii() == word.isascii()]


def measuring() -> dict[str, Any]:
    """All that the figures of `measure` depend on."""
    return {"style": "prosody", "version": 2, "attributes": list(NAMES), "pitch": METHOD}


def measure(audio: Audio) -> dict[str, float]:
    """The attributes of a recording in their own units.

    Raises:
        UserError: silence, no sound, nothing voiced.
    """
    if bad := [f for f in faults(audio) if not f.startswith("clipped")]:
        raise UserError(f"no style in it: {bad[0]}", where="style")
    hop = 0.01
    contour = contour_of(audio, hop)
    level = energy(audio, hop)
    loud = level > level.max() - LOUD_DB
    voiced = contour.voiced[: len(loud)] & loud[: len(contour.f0)]
    if voiced.sum() < 10:
        raise UserError("no style in it: no tenth of a second is voiced", where="style")
    pitch = np.log(contour.f0[: len(voiced)][voiced])
    return {
        "pitch": float(np.median(pitch)),
        "range": float(np.std(pitch)),
        "energy": float(level[loud].mean()),
        "dynamics": float(level[loud].std()),
        "rate": syllables(level, hop) / (float(loud.sum()) * hop),
        "voiced": float(voiced.sum() / loud.sum()),
    }


def contour_of(audio: Audio, hop_seconds: float) -> F0:
    """F0 between the speaker's own limits, .75 of the first quartile and twice the third of a first pass.

    Two passes after Hirst 2007 and De Looze & Rauzy 2009, whose upper limit is 1.5: a lively sentence goes
    beyond it. A few frames an octave off would else be most of a sentence's range.
    """
    first = f0_contour(audio, hop_seconds)
    if not first.voiced.any():
        return first
    low, high = np.quantile(first.f0[first.voiced], (0.25, 0.75))
    return f0_contour(audio, hop_seconds, f_min=max(50.0, 0.75 * low), f_max=min(600.0, 2 * high))


def syllables(level: np.ndarray, hop_seconds: float) -> int:
    """Peaks of the smoothed level that stand 2 dB above the dips beside them (after de Jong & Wempe 2009)."""
    from scipy.signal import find_peaks

    width = max(1, round(0.05 / hop_seconds))
    smooth = np.convolve(level, np.ones(width) / width, mode="same")
    peaks, _ = find_peaks(smooth, prominence=2.0, height=level.max() - 25)
    return len(peaks)
