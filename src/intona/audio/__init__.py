"""Audio: files, the mel spectrogram of the project, pitch and energy. Imports no torch."""

from __future__ import annotations

from intona.audio.features import SPEECHT5, MelSpec, diff, fingerprint, log_mel, require_same
from intona.audio.io import Audio, encode_audio, faults, read_audio, resampler_id, write_audio
from intona.audio.pitch import F0, energy, f0_contour, hz_to_cents, median_hz

__all__ = [
    "F0",
    "SPEECHT5",
    "Audio",
    "MelSpec",
    "diff",
    "encode_audio",
    "energy",
    "f0_contour",
    "faults",
    "fingerprint",
    "hz_to_cents",
    "log_mel",
    "median_hz",
    "read_audio",
    "require_same",
    "resampler_id",
    "write_audio",
]
