"""Cleaning of one recording: read it defensively, check, trim, level and resample it, and compute its mel.

Runs in worker processes. Any problem with a file is raised as `Rejected` with a reason.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from intona.audio import Audio, MelSpec, log_mel, read_audio
from intona.errors import UserError

G722_BYTES_PER_SECOND = 8000
GSM_BYTES_PER_SECOND = 1650
# Words in errors of read_audio -> the reason that reports count; all other errors are "unreadable".
_REASONS = {
    "NaN": "NaN",
    "where full scale is 1": "out of range",
    "s long": "too long",
    "the header says": "wrong rate",
    "does not exist": "missing",
    "cannot be read (No such": "missing",
}


class Rejected(Exception):
    """Why a recording is left out: a short reason that reports count, and a detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)


@dataclass(frozen=True, kw_only=True)
class CleanConfig:
    """Limits and levels of `clean`."""

    min_seconds: float = 0.3
    """Shorter recordings (after trimming) are dropped."""
    max_seconds: float = 20.0
    """Longer recordings (after trimming) are dropped."""
    min_rate: int = 8000
    """Recordings at a lower sample rate are dropped."""
    max_rate: int = 192000
    """Recordings that claim a higher sample rate are dropped."""
    trim: bool = True
    """Cut silence at both ends."""
    trim_db: float = 40.0
    """A 25 ms frame is silence when this far below the loud part (its 95th percentile)."""
    trim_margin: float = 0.05
    """Seconds of silence kept at each end."""
    loudness_db: float = -23.0
    """RMS of the speech frames after levelling, dB below full scale (peaks are kept under -0.4 dB)."""
    silence_db: float = -60.0
    """A recording whose loud part is below this level is silent."""
    max_clipped: float = 0.002
    """Maximum share of samples in flat tops at the peak of a recording."""


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A recording ready for training: the seconds `start` to `end` of the original."""

    audio: Audio
    mel: np.ndarray  # (T, n_mels) float16
    start: float
    end: float
    source_rate: int


def clean(path: Path, config: CleanConfig, spec: MelSpec) -> Cleaned:
    """Read and prepare one recording.

    Raises:
        Rejected: unreadable, wrong rate, too long, too short, NaN, out of range, silent, clipped.
    """
    samples, rate = load(path, config)
    if not len(samples):
        raise Rejected("unreadable", "holds no samples")
    if not np.isfinite(samples).all():
        raise Rejected("NaN", f"{int((~np.isfinite(samples)).sum())} samples are NaN or infinite")
    peak = float(np.abs(samples).max())
    if peak > 8.0:
        raise Rejected("out of range", f"peak {peak:.3g} where full scale is 1")
    flat = clipped_share(samples)  # from raw values: clipping is at the limits of the converter
    samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    level = frame_levels(samples, rate)
    loud = float(np.percentile(level, 95))
    if loud < config.silence_db:
        raise Rejected("silent", f"loud part at {loud:.0f} dB")
    if flat > config.max_clipped:
        raise Rejected("clipped", f"{100 * flat:.2f} % of the samples are flat tops")
    active = level > loud - config.trim_db
    first, last = 0, len(samples)
    if config.trim:
        first, last = _bounds(active, rate, len(samples), config.trim_margin)
    seconds = (last - first) / rate
    if seconds < config.min_seconds:
        raise Rejected("too short", f"{seconds:.2f} s")
    if seconds > config.max_seconds:
        raise Rejected("too long", f"{seconds:.1f} s")
    speech_db = 10 * math.log10(float(np.mean(10.0 ** (level[active] / 10))) + 1e-12)
    gain = 10.0 ** ((config.loudness_db - speech_db) / 20)
    cut = samples[first:last] * np.float32(min(gain, 0.95 / max(peak, 1e-9)))
    audio = Audio(np.ascontiguousarray(cut, dtype=np.float32), rate)
    if rate != spec.sample_rate:
        audio = audio.resample(spec.sample_rate)
    if audio.samples.size and (top := float(np.abs(audio.samples).max())) > 0.99:
        audio = Audio(audio.samples * np.float32(0.95 / top), audio.sample_rate)
    mel = log_mel(audio, spec)
    if not np.isfinite(mel).all():
        raise Rejected("NaN", "the mel is not finite")
    return Cleaned(
        audio=audio, mel=mel.astype(np.float16), start=first / rate, end=last / rate, source_rate=rate
    )


def load(path: Path, config: CleanConfig) -> tuple[np.ndarray, int]:
    """Mono float32 samples (S,) and their rate. The header is checked before anything long is read.

    Raises:
        Rejected: not a plain file (a FIFO would block), not audio, wrong rate, far too long.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as e:
        raise Rejected("missing", getattr(e, "strerror", None) or str(e)) from None
    if not stat.S_ISREG(mode):
        raise Rejected("unreadable", "not a plain file")
    # There may be silence to trim at both ends, so allow more, but never decode hours.
    cap = config.max_seconds * 2 + 10
    suffix = path.suffix.lower()
    if suffix == ".g722":
        samples, rate = _g722(path, cap)
    elif suffix == ".gsm":
        samples, rate = _gsm(path, cap)
    else:
        try:
            audio = read_audio(path, max_seconds=cap)
        except UserError as e:
            raise Rejected(
                next((r for words, r in _REASONS.items() if words in e.what), "unreadable"), e.what
            ) from None
        except MemoryError:
            raise Rejected("unreadable", "does not fit in memory") from None
        samples, rate = audio.samples, audio.sample_rate
    if not config.min_rate <= rate <= config.max_rate:
        raise Rejected("wrong rate", f"{rate} Hz, not in {config.min_rate}..{config.max_rate}")
    return samples, rate


def _gsm(path: Path, cap: float) -> tuple[np.ndarray, int]:
    """Headerless GSM 06.10 at 8 kHz, as telephone prompts are kept."""
    size = os.path.getsize(path)
    if size > cap * GSM_BYTES_PER_SECOND:
        raise Rejected("too long", f"{size / GSM_BYTES_PER_SECOND:.0f} s")
    try:
        raw = {"samplerate": 8000, "channels": 1, "format": "RAW", "subtype": "GSM610"}
        return soundfile.read(path, dtype="float32", **raw)
    except Exception as e:  # libsndfile's errors come in several types; each means the same here
        raise Rejected("unreadable", " ".join(str(e).split())[:200]) from None


def _g722(path: Path, cap: float) -> tuple[np.ndarray, int]:
    """ITU-T G.722 at 64 kbit/s, decoded by the ffmpeg program: no Python library reads it."""
    size = os.path.getsize(path)
    if size > cap * G722_BYTES_PER_SECOND:
        raise Rejected("too long", f"{size / G722_BYTES_PER_SECOND:.0f} s")
    program = find_ffmpeg()
    source = f"file:{os.fspath(path.resolve())}"
    command = [program, "-v", "error", "-nostdin", "-f", "g722", "-i", source, "-f", "s16le", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired, ValueError) as e:
        raise Rejected("unreadable", f"ffmpeg: {e}"[:200]) from None
    if done.returncode or len(done.stdout) < 2:
        raise Rejected(
            "unreadable", "ffmpeg: " + " ".join(done.stderr.decode(errors="replace").split())[:200]
        )
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 2 * 2], dtype="<i2")
    return samples.astype(np.float32) * np.float32(1 / 32768), 16000


def find_ffmpeg() -> str:
    """The ffmpeg program, needed for `.g722` only.

    Raises:
        UserError: not installed.
    """
    if program := shutil.which("ffmpeg"):
        return program
    raise UserError(
        "G.722 recordings need the ffmpeg program", hint="apt-get install ffmpeg, or convert them to wav"
    )


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples that repeat their neighbour's value within 1 % of the peak: flat tops.

    A clean waveform is at its peak for a sample or two; a clipped one stays there. Peaks below 0.1 are
    quantisation, not clipping.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < 0.1 or len(samples) < 3:
        return 0.0
    top = np.abs(samples) >= 0.99 * peak
    flat = top[1:] & top[:-1] & (samples[1:] == samples[:-1])
    return float(flat.mean())


def frame_levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """RMS in dB of frames of 25 ms every 10 ms: (F,), F >= 1. Frames do not extend beyond the end."""
    width, hop = max(1, round(0.025 * rate)), max(1, round(0.010 * rate))
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - width + 1), hop)
    ends = np.minimum(starts + width, len(samples))
    power = np.maximum(total[ends] - total[starts], 0.0) / np.maximum(ends - starts, 1)
    return 10 * np.log10(power + 1e-12)


def _bounds(active: np.ndarray, rate: int, n: int, margin: float) -> tuple[int, int]:
    """First and last sample of the speech, which needs three active frames in a row: clicks do not count."""
    runs = active
    if len(active) >= 5:
        three = active[:-2] & active[1:-1] & active[2:]
        runs = np.zeros_like(active)
        for k in range(3):
            runs[k : k + len(three)] |= three
        if not runs.any():
            runs = active
    where = np.flatnonzero(runs)
    hop, width = max(1, round(0.010 * rate)), max(1, round(0.025 * rate))
    keep = round(margin * rate)
    return max(0, int(where[0]) * hop - keep), min(n, int(where[-1]) * hop + width + keep)
