"""Pitch, voicing and level of each symbol of a prepared corpus: what a variance adaptor is trained on.

F0 is tracked once per corpus, frame by frame, and kept beside the mels (pitch.bin, pitch.json). The values of
symbols follow from it, the mels and the durations when a corpus is opened, so that a new alignment needs no
new tracking.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from intona.audio import read_audio
from intona.audio.pitch import METHOD, f0_contour
from intona.config import read_json, write_json
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.progress import track

if os.name == "posix":
    import fcntl

FILE, PART, MARK, FORMAT = "pitch.bin", "pitch.part.bin", "pitch.json", 1
F_MIN, F_MAX = 60.0, 600.0
REFERENCE_HZ = 100.0  # 0 semitones
MAX_DISTANCE = 16.0  # semitones from the speaker's median; frames beyond are octave errors
DB = 20 / np.log(10)  # of a natural logarithm of an amplitude


@dataclass(frozen=True, kw_only=True)
class SymbolContours:
    """The contours of one utterance; all of shape (N,).

    Attributes:
        pitch: semitones above 100 Hz, mean over the voiced frames; 0 where there are none.
        voiced: share of the frames that are voiced. energy: mean level of the frames in dB, where there are
            any. present: whether there are.
    """

    pitch: np.ndarray
    voiced: np.ndarray
    energy: np.ndarray
    present: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SpeakerStatistics:
    """Mean and deviation over the symbols of each speaker, (n_speakers,): semitones, and dB."""

    pitch_mean: np.ndarray
    pitch_std: np.ndarray
    energy_mean: np.ndarray
    energy_std: np.ndarray


class CorpusContours:
    """The contours of a corpus with durations; F0 is tracked if it is not there yet.

    Raises:
        UserError: a recording cannot be read, or the directory cannot be written.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._f0 = track_pitch(prepared)
        self._medians = self._speaker_medians()
        self._known: dict[str, SymbolContours] = {}

    def of(self, item: Item) -> SymbolContours:
        """The contours of an utterance that has durations."""
        if item.id not in self._known:
            self._known[item.id] = self._compute(item)
        return self._known[item.id]

    def statistics(self) -> SpeakerStatistics:
        """Over the training utterances. Energy is that of symbols with a phone, pauses left out."""
        columns: dict[str, list[float]] = {f: [] for f in SpeakerStatistics.__dataclass_fields__}
        pitch: dict[int, list[np.ndarray]] = {}
        energy: dict[int, list[np.ndarray]] = {}
        for item in self.prepared.items("train"):
            if self.prepared.durations(item) is None:
                continue
            c, phones = self.of(item), _is_phone(item)
            pitch.setdefault(item.speaker, []).append(c.pitch[c.voiced > 0])
            energy.setdefault(item.speaker, []).append(c.energy[c.present & phones])
        for speaker in range(len(self.prepared.speakers)):
            for name, values, usual in (("pitch", pitch, (0.0, 3.0)), ("energy", energy, (-30.0, 8.0))):
                row = np.concatenate(values.get(speaker, [np.zeros(0)]))
                mean, std = (float(row.mean()), float(row.std())) if len(row) > 1 else usual
                columns[f"{name}_mean"].append(mean)
                columns[f"{name}_std"].append(max(std, 1.0))
        return SpeakerStatistics(**{k: np.array(v, np.float32) for k, v in columns.items()})

    def _rows(self, item: Item) -> np.ndarray:
        return self._f0[item.offset : item.offset + item.n_frames]

    def _speaker_medians(self) -> np.ndarray:
        rows: dict[int, list[np.ndarray]] = {}
        for item in self.prepared.items("train"):
            f0 = self._rows(item)
            rows.setdefault(item.speaker, []).append(f0[f0 > 0])
        medians = [np.concatenate(rows.get(s, [np.zeros(0)])) for s in range(len(self.prepared.speakers))]
        return np.array([np.median(m) if len(m) else REFERENCE_HZ for m in medians])

    def _compute(self, item: Item) -> SymbolContours:
        durations = self.prepared.durations(item)
        if durations is None:
            raise ValueError(f'"{item.id}" has no durations')
        semitones, voiced = to_semitones(self._rows(item), float(self._medians[item.speaker]))
        level = 10 * np.log10(np.exp(2 * self.prepared.mel(item)).mean(axis=1))
        return SymbolContours(
            pitch=_means(semitones * voiced, durations, voiced),
            voiced=_means(voiced.astype(np.float64), durations),
            energy=_means(level, durations),
            present=durations > 0,
        )


def to_semitones(f0: np.ndarray, median: float) -> tuple[np.ndarray, np.ndarray]:
    """Hz (T,) to semitones above 100 Hz, and a mask of the frames that have a credible pitch.

    Args:
        f0: 0 where unvoiced. median: of the speaker, in Hz; frames more than `MAX_DISTANCE` semitones from it
            count as unvoiced.
    """
    voiced = f0 > 0
    semitones = 12 * np.log2(np.where(voiced, f0, REFERENCE_HZ).astype(np.float64) / REFERENCE_HZ)
    voiced &= np.abs(semitones - 12 * np.log2(median / REFERENCE_HZ)) <= MAX_DISTANCE
    return semitones * voiced, voiced


def _means(frames: np.ndarray, durations: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The mean of each symbol's frames, float32 (N,); 0 for symbols without frames or weight."""
    ends = np.cumsum(durations)

    def sums(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(values.astype(np.float64))])
        return total[ends] - total[ends - durations]

    count = durations if weights is None else sums(weights)
    return (sums(frames) / np.maximum(count, 1)).astype(np.float32)


def _is_phone(item: Item) -> np.ndarray:
    mask = np.zeros(len(item.phonemes), bool)
    for word in item.words:
        mask[word.start : word.end] = True
    return mask


def track_pitch(prepared: Prepared) -> np.ndarray:
    """F0 of each frame of a corpus in Hz, 0 where unvoiced: float32 (frames,), in the order of mels.bin.

    Read from pitch.bin, which is written if it is missing or of another corpus. An interrupted tracking
    continues where it stopped; a second process waits for the first.
    """
    root = prepared.root
    hop_seconds = prepared.spec.hop_length / prepared.spec.sample_rate
    items = sorted(prepared, key=lambda item: item.offset)
    frames = items[-1].offset + items[-1].n_frames
    identity = {
        "format": FORMAT,
        "corpus": prepared.fingerprint,
        "frames": frames,
        "method": METHOD,
        "hop_seconds": hop_seconds,
        "limits": [F_MIN, F_MAX],
    }
    if not _is_finished(root, identity):
        try:
            with _locked(root / PART) as part:
                if not _is_finished(root, identity):  # another process may have written it meanwhile
                    if not _is_of(root, identity):
                        (root / FILE).unlink(missing_ok=True)
                        part.truncate(0)
                        write_json(root / MARK, identity)
                    _track(prepared, items, part, hop_seconds)
                    os.replace(root / PART, root / FILE)
        except OSError as e:
            raise UserError(f"F0 cannot be written ({e.strerror})", where=root) from None
    return np.memmap(root / FILE, dtype=np.float32, mode="r")


def _is_finished(root: Path, identity: dict[str, Any]) -> bool:
    path = root / FILE
    return path.is_file() and path.stat().st_size == 4 * identity["frames"] and _is_of(root, identity)


def _is_of(root: Path, identity: dict[str, Any]) -> bool:
    try:
        return read_json(root / MARK) == identity
    except UserError:
        return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """A file to append to, which one process at a time has."""
    with open(path, "ab") as file:
        if os.name == "posix":
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)
        yield file


def _track(prepared: Prepared, items: list[Item], part: IO[bytes], hop_seconds: float) -> None:
    done = part.tell() // 4
    for item in track(items, "F0"):
        if item.offset + item.n_frames <= done:
            continue
        part.truncate(4 * item.offset)
        part.seek(0, os.SEEK_END)
        f0 = f0_contour(read_audio(prepared.audio_path(item)), hop_seconds, f_min=F_MIN, f_max=F_MAX).f0
        row = np.zeros(item.n_frames, np.float32)
        row[: len(f0)] = f0[: item.n_frames]
        part.write(row.tobytes())
        part.flush()
