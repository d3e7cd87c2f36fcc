"""Figures as inline SVG in the colours of the page: the same picture in light and dark mode.

matplotlib draws with placeholder colours, which are replaced by CSS variables. Text remains text, so that it
uses the fonts of the page and can be read aloud, searched and copied.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError
from intona.evaluation.html.page import Html, tag, text
from intona.evaluation.stats import Interval

INK, FAINT = "#010203", "#040506"
MARKS = tuple(f"#0a0b{i:02x}" for i in range(8))
_COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)", **{c: f"var(--c{i})" for i, c in enumerate(MARKS)}}
_RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "intona", "font.size": 8.0}
_LOCK = threading.Lock()  # the settings of matplotlib are global
_FLOOR_DB = 70.0  # of a spectrogram's range


def intervals(
    title: str, names: Sequence[str], values: Sequence[Interval | None], *, digits: int = 2
) -> Html:
    """One measure: a dot and its interval for each system, one below the other."""
    figure, axes = _figure(3.6, 0.62 + 0.24 * len(names))
    for i, value in enumerate(values):
        if value is None:
            continue
        mark = MARKS[i % 8]
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [i, i], color=mark, linewidth=2.2, solid_capstyle="butt")
        axes.plot([value.estimate], [i], "o", color=mark, markersize=5)
    axes.set_yticks(range(len(names)), [_short(n) for n in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=9, parse_math=False)
    axes.margins(x=0.08)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    spoken = "; ".join(_in_words(n, v, digits) for n, v in zip(names, values, strict=True))
    return svg(figure, f"{title}: {spoken}")


def voice(
    audio: Audio,
    f0: np.ndarray,
    *,
    seconds: float,
    label: str,
    colour: int = 0,
    beside: np.ndarray | None = None,
    hz: tuple[float, float] | None = None,
) -> Html:
    """Spectrogram above F0 on one time axis.

    Args:
        f0: (T,) Hz, one value per mel frame, 0 where unvoiced.
        seconds: the length of the longest clip of the utterance, so that lengths can be compared by eye.
        beside: F0 of the recording, drawn behind (not aligned in time).
        hz: the range of the pitch axis, the same for all clips of one utterance.
    """
    spec = MelSpec()
    mel = log_mel(audio.resample(spec.sample_rate), spec) * (20 / np.log(10))
    figure, axes = _figure(3.4, 2.3, rows=2, ratios=(1.25, 1.0))
    top, below = axes
    high = float(mel.max())
    image = np.clip((mel.T - (high - _FLOOR_DB)) / _FLOOR_DB, 0, 1)
    length = mel.shape[0] * spec.hop_length / spec.sample_rate
    top.imshow(
        image,
        origin="lower",
        aspect="auto",
        interpolation="none",
        cmap="magma",
        vmin=0,
        vmax=1,
        extent=(0, length, 0, spec.n_mels),
    )
    top.set_yticks([])
    top.set_ylabel("mel, 0–8 kHz")
    top.set_xlim(0, seconds)
    top.tick_params(axis="x", labelbottom=False)
    for values, mark in ((beside, FAINT), (f0, MARKS[colour % 8])):
        if values is not None:
            times = (np.arange(len(values)) + 0.5) * spec.hop_length / spec.sample_rate
            below.plot(times, np.where(values > 0, values, np.nan), color=mark, linewidth=1.6)
    below.set_yscale("log", base=2)
    low, top_hz = hz or f0_range([f0])
    below.set_ylim(low, top_hz)
    ticks = [hz for hz in (60, 80, 100, 150, 200, 300, 400, 600) if low <= hz <= top_hz]
    below.set_yticks(ticks, [str(t) for t in ticks])
    below.minorticks_off()
    below.grid(color=FAINT, linewidth=0.4)
    below.set_xlim(0, seconds)
    below.set_ylabel("F0, Hz")
    below.set_xlabel("seconds")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    voiced = f0[f0 > 0]
    spoken = f"median F0 {np.median(voiced):.0f} Hz" if voiced.size else "no voiced frame"
    return svg(figure, f"Spectrogram and pitch of {label}: {audio.duration:.2f} s, {spoken}")


def svg(figure: Any, label: str) -> Html:
    """A matplotlib figure as an SVG element that scales with its box; screen readers read `label`."""
    import matplotlib

    buffer = io.StringIO()
    with _LOCK, matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name in a script that matplotlib's font lacks
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    raw = buffer.getvalue()
    raw = raw[raw.index("<svg") :]
    raw = re.sub(r"<metadata>.*?</metadata>", "", raw, flags=re.DOTALL)
    raw = re.sub(r"<style.*?</style>", "", raw, flags=re.DOTALL)  # it would style the whole page
    raw = re.sub(r"<!--.*?-->", "", raw, flags=re.DOTALL)
    # Round coordinates to a hundredth of a point; text between tags keeps its digits.
    raw = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\d+\.\d{2})\d+", r"\1", m[0]), raw)
    for colour, variable in _COLOURS.items():
        raw = raw.replace(colour, variable)
    raw = re.sub(r"font-family:[^;\"]*|font: (\d+(?:\.\d+)?px)[^;\"]*", _drop_font_family, raw)
    raw = re.sub(r"\n\s*", "\n", raw)
    view = re.search(r'viewBox="([^"]+)"', raw)
    assert view is not None  # matplotlib always writes one
    opening = f'<svg viewBox="{view[1]}" role="img" aria-label="{text(label)}" '
    opening += 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return tag("figure", Html(opening + raw[raw.index(">") + 1 :].strip()), class_="plot")


def _drop_font_family(match: re.Match[str]) -> str:
    return f"font-size: {match[1]}" if match[1] else ""


def _figure(
    width: float, height: float, *, rows: int = 1, ratios: Sequence[float] = (1.0,)
) -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("matplotlib is not installed", hint="pip install 'intona[plot]'") from None
    with _LOCK, matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, 1, height_ratios=ratios)
    for axis in np.atleast_1d(axes):
        axis.patch.set_visible(False)
        axis.tick_params(colors=INK, width=0.6)
        for spine in axis.spines.values():
            spine.set_color(FAINT)
        for item in (axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label):
            item.set_color(INK)
    return figure, axes


def f0_range(contours: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits of a pitch axis on which all these contours fit."""
    voiced = np.concatenate([np.zeros(0), *[c[c > 0] for c in contours]])
    if not voiced.size:
        return 60.0, 400.0
    low, high = np.percentile(voiced, [1, 99])
    return max(40.0, float(low) * 0.85), min(800.0, float(high) * 1.18)


def _short(name: str, most: int = 26) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _in_words(name: str, value: Interval | None, digits: int) -> str:
    if value is None:
        return f"{name} no value"
    shown = f"{name} {value.estimate:.{digits}f}"
    if value.low is not None and value.high is not None:
        shown += f", {value.low:.{digits}f} to {value.high:.{digits}f}"
    return shown
