"""Plots of speech as PNG files: log-mel spectrograms and pitch contours.

They use matplotlib's objects and not pyplot: no global state, no display, safe in threads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intona.errors import UserError
from intona.files import whole

if TYPE_CHECKING:
    from intona.audio import Audio

_SIZE = (10.0, 4.0)  # inches
_DPI = 110


def spectrogram(mel: np.ndarray, path: Path | str, *, frame_seconds: float, title: str = "") -> Path:
    """Draw a log mel spectrogram.

    Args:
        mel: (T, n_mels) natural log of mel magnitudes.
        frame_seconds: hop_length / sample_rate.
    Raises:
        UserError: the mel is empty or does not have two dimensions; matplotlib is not installed.
    """
    if mel.ndim != 2 or mel.size == 0:
        raise UserError(f"a spectrogram needs a mel (T, n_mels), not shape {tuple(mel.shape)}", where=path)
    figure, axes = _axes(title)
    seconds = mel.shape[0] * frame_seconds
    image = axes.imshow(
        mel.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        extent=(0, seconds, 0, mel.shape[1]),
    )
    axes.set_ylabel("mel bin")
    figure.colorbar(image, ax=axes, label="log magnitude", pad=0.01)
    return _save(figure, path)


def spectrogram_of(audio: Audio, path: Path | str, *, title: str = "") -> Path:
    """Draw the log mel spectrogram of a recording, with the default `MelSpec`."""
    from intona.audio import MelSpec, log_mel

    spec = MelSpec()
    audio = audio if audio.sample_rate == spec.sample_rate else audio.resample(spec.sample_rate)
    return spectrogram(
        log_mel(audio, spec), path, frame_seconds=spec.hop_length / spec.sample_rate, title=title
    )


def pitch(
    audio: Audio, path: Path | str, *, hop_seconds: float = 0.005, title: str = ""
) -> tuple[Path, np.ndarray]:
    """Draw the waveform and, above it, F0 in Hz where the speech is voiced.

    Returns:
        The path and the contour (T,), Hz, 0 where unvoiced.
    """
    from intona.audio import f0_contour

    f0 = np.asarray(f0_contour(audio, hop_seconds=hop_seconds).f0, dtype=np.float64)
    figure, axes = _axes(title)
    times = np.arange(len(f0)) * hop_seconds
    axes.plot(times, np.where(f0 > 0, f0, np.nan), color="#b5322e", linewidth=2)
    voiced = f0[f0 > 0]
    if voiced.size:
        low, high = np.percentile(voiced, [1, 99])
        axes.set_ylim(max(0.0, low * 0.7), high * 1.3)
        axes.axhline(float(np.median(voiced)), color="#b5322e", alpha=0.35, linewidth=1)
    axes.set_ylabel("F0, Hz")
    wave = axes.twinx()
    wave.plot(
        np.arange(len(audio.samples)) / audio.sample_rate,
        audio.samples,
        color="#274c77",
        alpha=0.25,
        linewidth=0.4,
    )
    wave.set_ylim(-1, 3)  # keeps the waveform in the lower half
    wave.set_yticks([])
    axes.set_zorder(wave.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set_xlim(0, max(audio.duration, hop_seconds))
    return _save(figure, path), f0


def _axes(title: str) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("matplotlib is not installed", hint="pip install 'intona[plot]'") from None
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlabel("seconds")
    if title:
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    return figure, axes


def _save(figure: Any, path: Path | str) -> Path:
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, durable=False) as half, open(half, "wb") as f:
            figure.savefig(f, format="png")
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=path) from None
    return path
