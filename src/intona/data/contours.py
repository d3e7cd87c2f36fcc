"""Pitch, voicing and level of each symbol of a prepared corpus: what a variance adaptor is trained on.

F0 is tracked once per corpus, frame by frame, and kept beside the mels, in files of as many frames
(pitch/00000.bin and so on; pitch.bin in a directory of format 1; pitch.json). The values of
symbols follow from it, the mels and the durations when a corpus is opened, so that a new alignment needs no
new tracking.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from intona.audio import read_audio
from intona.audio.pitch import METHOD, f0_contour
from intona.config import read_json, write_json
from intona.data.item import Item, Items
from intona.data.prepared import Prepared
from intona.data.shards import Shards, link_all, shard_name
from intona.errors import UserError
from intona.progress import track

if os.name == "posix":
    import fcntl

FOLDER, PART, MARK, FORMAT = "pitch", "pitch.part.bin", "pitch.json", 1
MOST_KNOWN = 20_000  # utterances whose contours are kept
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
        known = self._known.get(item.id)
        if known is None:
            known = self._compute(item)
            if len(self._known) < MOST_KNOWN:
                self._known[item.id] = known
        return known

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
        index, rows = self.prepared.index, self.prepared.rows("train")
        medians = np.full(len(self.prepared.speakers), REFERENCE_HZ)
        order = np.argsort(index.speakers[rows], kind="stable")
        for of in np.split(order, np.flatnonzero(np.diff(index.speakers[rows][order])) + 1):
            spans = zip(index.offsets[rows[of]].tolist(), index.n_frames[rows[of]].tolist(), strict=True)
            f0 = np.concatenate([np.zeros(0, np.float32), *(self._f0[a : a + n] for a, n in spans)])
            if (f0 > 0).any():
                medians[index.speakers[rows[of[0]]]] = np.median(f0[f0 > 0])
        return medians

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


def track_pitch(prepared: Prepared) -> Shards:
    """F0 of each frame of a corpus in Hz, 0 where unvoiced: float32 (frames,), in the order of the mels.

    Read from its files, which are written if they are missing or of another corpus. An interrupted tracking
    continues where it stopped; a second process waits for the first.
    """
    root, identity = prepared.root, _identity(prepared)
    f0 = Shards(pitch_files(prepared), width=None, dtype=np.float32)
    rows = np.argsort(prepared.index.offsets, kind="stable")
    edges = np.searchsorted(prepared.index.offsets[rows], f0.starts)
    for number, path in enumerate(f0.paths):
        first, last = f0.starts[number : number + 2].tolist()
        if _is_finished(path, last - first, root, identity):
            continue
        items = Items(prepared.index.item, rows[edges[number] : edges[number + 1]])
        try:
            path.parent.mkdir(exist_ok=True)
            with _locked(root / PART) as part:
                if _is_finished(path, last - first, root, identity):
                    continue  # another process wrote it meanwhile
                if not _is_of(root, identity):
                    for old in f0.paths:
                        old.unlink(missing_ok=True)
                    part.truncate(0)
                    write_json(root / MARK, identity)
                _track(prepared, items, part, first, identity["hop_seconds"])
                os.replace(root / PART, path)
        except OSError as e:
            raise UserError(f"F0 cannot be written ({e.strerror})", where=root) from None
    return f0


def pitch_files(prepared: Prepared) -> list[tuple[Path, int]]:
    """Path and number of frames of the files of F0, one for each file of mels."""
    frames = np.diff(prepared.mels.starts).tolist()
    if prepared.mels.paths[0].parent == prepared.root:  # format 1
        return [(prepared.root / "pitch.bin", frames[0])]
    return [(prepared.root / shard_name(k, FOLDER), n) for k, n in enumerate(frames)]


def link_pitch(merged: Prepared, sources: Sequence[Prepared]) -> None:
    """Use the F0 of the sources in a merged corpus, if all of them have it."""
    for source in sources:
        identity = _identity(source)
        if not all(_is_finished(path, n, source.root, identity) for path, n in pitch_files(source)):
            return
    link_all([file for source in sources for file in pitch_files(source)], merged.root, FOLDER)
    write_json(merged.root / MARK, _identity(merged))


def _identity(prepared: Prepared) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "corpus": prepared.fingerprint,
        "frames": len(prepared.mels),
        "method": METHOD,
        "hop_seconds": prepared.spec.hop_length / prepared.spec.sample_rate,
        "limits": [F_MIN, F_MAX],
    }


def _is_finished(path: Path, frames: int, root: Path, identity: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == 4 * frames and _is_of(root, identity)


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


def _track(prepared: Prepared, items: Items, part: IO[bytes], first: int, hop_seconds: float) -> None:
    """Append the F0 of utterances to a file that begins with frame `first` of the corpus."""
    done = first + part.tell() // 4
    for item in track(items, "F0"):
        if item.offset + item.n_frames <= done:
            continue
        part.truncate(4 * (item.offset - first))
        part.seek(0, os.SEEK_END)
        f0 = f0_contour(read_audio(prepared.audio_path(item)), hop_seconds, f_min=F_MIN, f_max=F_MAX).f0
        row = np.zeros(item.n_frames, np.float32)
        row[: len(f0)] = f0[: item.n_frames]
        part.write(row.tobytes())
        part.flush()
