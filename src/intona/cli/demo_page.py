"""The page of `intona demo`: players, waveforms, pitch and the times of words, drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intona import __version__
from intona.audio import Audio
from intona.audio.pitch import F0, f0_contour, median_hz
from intona.evaluation.html import sound
from intona.evaluation.html.page import Html, asset, document, join, tag, write_text
from intona.synth.speech import Speech, TimedWord

SCALE = 230  # pixels per second
WAVE, PITCH, WORDS = 90, 130, 46  # heights of the rows, from above
LEFT = 44  # of the pitch axis
HIGHEST = 450  # Hz: above it the tracker mostly follows consonants
TICKS = (50, 75, 100, 150, 200, 300, 400, 600)  # Hz
STYLE = """
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 0 2rem; }
.clip { padding: 1.4rem 0 .6rem; border-top: 1px solid var(--line); min-width: 0; }
.clip h2 { margin: 0 0 .1rem; }
.clip .note { color: var(--quiet); margin: 0 0 .7rem; font-size: .9rem; }
.clip audio { max-width: 34rem; }
.clip svg { display: block; }
.wave { fill: var(--c1); }
.pitch { fill: none; stroke: var(--c2); stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round; }
.rule { stroke: var(--line); stroke-width: 1; }
.edge { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 2 3; }
.axis { fill: var(--quiet); font-size: 11px; }
.word { fill: var(--ink); font-size: 14px; }
.time { fill: var(--quiet); font-size: 10px; }
.playhead { stroke: var(--accent); stroke-width: 2; visibility: hidden; }
.playing .playhead { visibility: visible; }
"""
SCRIPT = """
// A line shows the place that is playing; a click on a word plays from there.
for (const clip of document.querySelectorAll(".clip")) {
  const audio = clip.querySelector("audio"), line = clip.querySelector(".playhead");
  const move = () => {
    clip.classList.toggle("playing", audio.currentTime > 0 && !audio.ended);
    line.setAttribute("transform", `translate(${audio.currentTime * Number(clip.dataset.scale)} 0)`);
    if (!audio.paused) requestAnimationFrame(move);
  };
  for (const event of ["play", "timeupdate", "ended"]) audio.addEventListener(event, move);
  for (const word of clip.querySelectorAll("[data-start]")) word.addEventListener("click", () => {
    audio.currentTime = Number(word.dataset.start);
    audio.play();
  });
}
"""


@dataclass(frozen=True, kw_only=True)
class SpokenText:
    """A text, what was spoken of it, and the name of the speaker ("" if there is only one)."""

    text: str
    speech: Speech
    speaker: str = ""


def write(path: Path, model: str, clips: Sequence[SpokenText]) -> Path:
    """Write the page; its sound is inside it.

    Raises:
        UserError: a folder that cannot be written.
    """
    return write_text(path, page(model, clips))


def page(model: str, clips: Sequence[SpokenText]) -> str:
    """The page as HTML."""
    intro = "Waveform, pitch (F0) and words with the seconds at which they begin. Click on a word to hear it."
    body = join(
        [
            tag("header", tag("h1", f"The voice {model}"), tag("p", intro)),
            tag("main", *_cards(clips)),
            tag("footer", f"Spoken by intona {__version__}."),
        ],
        Html("\n"),
    )
    style, script = asset("style.css") + STYLE, asset("script.js") + SCRIPT
    return document(f"intona demo: {model}", style=style, script=script, body=body)


def _cards(clips: Sequence[SpokenText]) -> list[Html]:
    """The clips; those of one speaker have the same axis of pitch."""
    contours = [f0_contour(clip.speech.audio, f_max=HIGHEST) for clip in clips]
    limits = {
        who: _limits(
            np.concatenate([c.f0 for c, clip in zip(contours, clips, strict=True) if clip.speaker == who])
        )
        for who in {clip.speaker for clip in clips}
    }
    return [_card(clip, c, limits[clip.speaker]) for clip, c in zip(clips, contours, strict=True)]


def _card(clip: SpokenText, contour: F0, limits: tuple[float, float]) -> Html:
    audio, median = clip.speech.audio, median_hz(contour.f0)
    notes = [clip.speaker, f"{audio.duration:.2f} s"]
    notes += [f"median pitch {median:.0f} Hz"] if np.isfinite(median) else []
    player = tag(
        "audio",
        controls=True,
        preload="metadata",
        src=sound.uri(sound.encode(audio, "flac"), "flac"),
        aria_label=clip.text,
    )
    picture = _picture(clip, contour, limits)
    return tag(
        "section",
        tag("h2", clip.text),
        tag("p", " · ".join(filter(None, notes)), class_="note"),
        player,
        tag("div", picture, class_="scroll", role="region", aria_label=f"Picture of: {clip.text}"),
        class_="clip",
        data_scale=SCALE,
    )


def _picture(clip: SpokenText, contour: F0, limits: tuple[float, float]) -> Html:
    """Waveform, pitch and words below one another, on one axis of time."""
    speech = clip.speech
    width, height = LEFT + speech.duration * SCALE + 12, WAVE + PITCH + WORDS
    words = "; ".join(f"{w.text} from {w.start:.2f} to {w.end:.2f} s" for w in speech.words)
    playhead = tag("line", x1=0, x2=0, y1=0, y2=height, class_="playhead")
    parts = [
        *_axis(limits, width),
        *(edge for w in speech.words for edge in _edges(w)),
        tag("path", d=_wave(speech.audio), class_="wave"),
        tag("path", d=_pitch(contour, limits), class_="pitch"),
        *map(_word, speech.words),
        playhead,
    ]
    return tag(
        "svg",
        tag("g", *parts, transform=f"translate({LEFT} 0)"),
        width=f"{width:.0f}",
        height=height,
        viewBox=f"0 0 {width:.0f} {height}",
        role="img",
        aria_label=f"{clip.text} {words}",
    )


def _wave(audio: Audio) -> str:
    """The outline of the samples: the largest and the smallest of each pixel."""
    n = max(1, round(audio.duration * SCALE))
    starts = np.linspace(0, len(audio.samples), n, endpoint=False).astype(int)
    high, low = (f.reduceat(audio.samples, starts) for f in (np.maximum, np.minimum))
    scale = (WAVE / 2 - 4) / max(float(np.abs(audio.samples).max()), 1e-6)
    above = [f"{i},{WAVE / 2 - scale * v:.1f}" for i, v in enumerate(high)]
    below = [f"{i},{WAVE / 2 - scale * v + 0.5:.1f}" for i, v in reversed(list(enumerate(low)))]
    return f"M{' '.join([*above, *below])}Z"


def _height(hz: np.ndarray | float, limits: tuple[float, float]) -> np.ndarray:
    """The place of a pitch from above, on a logarithmic axis."""
    low, high = limits
    return WAVE + PITCH - 10 - (PITCH - 20) * np.log2(np.asarray(hz) / low) / np.log2(high / low)


def _limits(f0: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest pitch of an axis that fits contours but for a few errors, in Hz."""
    voiced = f0[f0 > 0]
    low, high = map(float, np.percentile(voiced, [2, 98])) if len(voiced) else (100.0, 300.0)
    return low * 0.92, max(high * 1.08, low * 1.5)


def _pitch(contour: F0, limits: tuple[float, float]) -> str:
    """Lines through the voiced frames within the limits, interrupted elsewhere."""
    out, before = [], False
    low, high = limits
    heights = _height(np.maximum(contour.f0, 1), limits)
    for t, hz, y in zip(contour.times, contour.f0, heights, strict=True):
        shown = bool(low <= hz <= high)
        if shown:
            out.append(f"{'L' if before else 'M'}{t * SCALE:.1f},{y:.1f}")
        before = shown
    return "".join(out)


def _axis(limits: tuple[float, float], width: float) -> list[Html]:
    low, high = limits
    out = []
    for hz in (tick for tick in TICKS if low <= tick <= high):
        y = f"{float(_height(hz, limits)):.1f}"
        out.append(tag("line", x1=0, x2=f"{width - LEFT:.0f}", y1=y, y2=y, class_="rule"))
        out.append(tag("text", f"{hz} Hz", x=-6, y=y, dy=4, text_anchor="end", class_="axis"))
    return out


def _edges(word: TimedWord) -> list[Html]:
    places = (f"{t * SCALE:.1f}" for t in (word.start, word.end))
    return [tag("line", x1=x, x2=x, y1=0, y2=WAVE + PITCH, class_="edge") for x in places]


def _word(word: TimedWord) -> Html:
    middle, top = f"{(word.start + word.end) / 2 * SCALE:.1f}", WAVE + PITCH
    return tag(
        "g",
        tag("title", f"{word.text}: {word.start:.2f} to {word.end:.2f} s"),
        tag("text", word.text, x=middle, y=top + 18, text_anchor="middle", class_="word"),
        tag("text", f"{word.start:.2f}", x=middle, y=top + 34, text_anchor="middle", class_="time"),
        data_start=f"{word.start:.3f}",
    )
