"""What a preparation passes around: its settings, one job per utterance, and what became of the job."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from intona.audio import MelSpec
from intona.data.clean import CleanConfig
from intona.data.excerpt import Excerpt
from intona.data.labels import Label, is_silence

_SPOKEN = re.compile(r"\w")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How a corpus is prepared."""

    language: str | None = None
    """Language of the text ("ru", "en", any espeak code); needed if the layout does not tell it."""
    speaker: str | None = None
    """Name for the speaker of a single-speaker corpus; by default the layout's or the folder's name."""
    phonemes: Literal["frontend", "corpus"] = "frontend"
    """Symbols from the text front-end, or the phone labels of the corpus (no espeak needed)."""
    stress: Literal["auto", "marks", "silero", "none"] = "auto"
    """Where the text front-end takes stress from."""
    transcript: str | None = None
    """The transcript file, if it is outside the corpus folder."""
    labels: str | None = None
    """A folder of phone alignments, ID.lab or ID.TextGrid."""
    dev: int | None = None
    """Utterances for validation; by default a twentieth, at most 20. Dropped ones are not replaced."""
    test: int | None = None
    """Utterances never trained on; by default a tenth, at most 40. Dropped ones are not replaced."""
    hold_out: Literal["utterances", "speakers", "both"] = "utterances"
    """What dev and test are made of. With speakers, all utterances of a speaker are in one split, and --dev
    and --test count speakers: for a voice that is to speak as people who are not in the corpus. With both,
    dev and test also have as many utterances of the other speakers, at most a tenth of theirs."""
    limit: int | None = None
    """Use only so many records: the first of train, and as many of dev and test as a corpus of this size has.
    Each utterance stays in the split that it has without a limit."""
    max_characters: int = 1000
    """Longer texts are dropped."""
    min_phonemes_per_second: float = 2.0
    """Slower recordings are dropped: their text is probably wrong."""
    max_phonemes_per_second: float = 35.0
    """Faster recordings are dropped: their text is probably wrong."""
    max_dropped: float = 0.5
    """Stop with an error if a larger share of the corpus has to be dropped."""
    allow_outside: bool = False
    """Accept recordings outside the corpus folder (links, absolute paths)."""
    shard_mib: int = 4096
    """Most MiB of a file of mels."""
    workers: int | None = None
    """Worker processes; by default one per core, 0 = in this process."""
    clean: CleanConfig = field(default_factory=CleanConfig)
    """Limits and levels of the recordings."""
    spec: MelSpec = field(default_factory=MelSpec)
    """The mel spectrogram; by default that of HiFi-GAN."""


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """One utterance for a worker: its recording, the file to write, and its text."""

    id: str
    audio: Path
    excerpt: Excerpt | None = None
    target: Path
    text: str
    normalized: str
    phonemes: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]
    speaker: str
    language: str
    labels: tuple[Label, ...]
    corpus_symbols: bool

    @property
    def n_phones(self) -> int:
        """Symbols that are spoken: no word boundaries, punctuation or pauses."""
        return sum(bool(_SPOKEN.search(s)) and not is_silence(s) for s in self.phonemes)


@dataclass(frozen=True, kw_only=True)
class PrepareResult:
    """What became of a job. With a `reason` it was dropped; without one all other fields are set."""

    job: PrepareJob
    reason: str | None = None
    detail: str = ""
    seconds: float = 0.0
    mel: np.ndarray | None = None  # (T, n_mels) float16
    labels: tuple[Label, ...] = ()
    symbols: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()

    @property
    def n_frames(self) -> int:
        return 0 if self.mel is None else len(self.mel)
