"""Speaker similarity: cosine between an utterance and its prompt, the embedder named in each column.

SIM-o compares with the prompt as recorded, SIM-r with the prompt as a vocoder resynthesizes it (Le et al.
2023, Wang et al. 2023), which leaves out what the vocoder alone loses. A failed output counts as -1. Figures
of two embedders lie on two scales. The row of the recordings (same speaker, other utterance) is the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from intona.audio import Audio
from intona.encoders import ge2e
from intona.encoders.ge2e import GE2E
from intona.errors import UserError
from intona.evaluation.judge import Judge, Measure, Score, Unavailable, failed_scores
from intona.evaluation.kept import Kept, sound_key
from intona.evaluation.manifest import Row
from intona.evaluation.records import digest
from intona.evaluation.wavs import file_digest, read_clip, sound_files

RESYNTHESIZED = "resynthesized"  # folder inside the prompts, for SIM-r


class Embedder(Protocol):
    """Turns sound into a vector of length 1. `name` stands in the column, `describe()` in the report."""

    name: str

    def describe(self) -> dict[str, Any]: ...

    def embed(self, audio: Audio) -> np.ndarray:
        """(D,) float, length 1."""
        ...


class Prompts:
    """A folder with one recording per id, or per speaker: `ID.wav`, else `SPEAKER.wav` (flac, ogg, mp3).

    Raises:
        UserError: as `sound_files`; no audio in the folder, or two files of one name.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.files: dict[str, Path] = {}
        for path in sound_files(self.folder):
            if path.stem in self.files:
                raise UserError(
                    f"{self.files[path.stem].name} and {path.name} are both there",
                    where=folder,
                    hint="keep one of them",
                )
            self.files[path.stem] = path
        if not self.files:
            raise UserError("holds no audio file", where=folder, hint="expected ID.wav or SPEAKER.wav")

    def find(self, row: Row) -> Path:
        """Raises UserError: there is no prompt for this row."""
        path = self.files.get(row.id) or (self.files.get(row.speaker) if row.speaker else None)
        if path is None:
            names = f'"{row.id}"' + (f' or "{row.speaker}"' if row.speaker else "")
            raise UserError(f"no prompt named {names}", where=self.folder, hint="add the recording")
        return path

    def check(self, rows: Iterable[Row]) -> None:
        """Find what is missing before anything is judged.

        Raises:
            UserError: rows without a prompt, counted.
        """
        lacking = [r.id for r in rows if r.id not in self.files and (r.speaker or "\0") not in self.files]
        if lacking:
            raise UserError(
                f"no prompt for {len(lacking)} utterances ({', '.join(lacking[:3])})",
                where=self.folder,
                hint="add ID.wav or SPEAKER.wav for each",
            )

    @cached_property
    def sha256(self) -> str:
        """Of all names and contents: what decides whether a stored score is still about these prompts."""
        return digest({name: file_digest(path) for name, path in self.files.items()})

    def read(self, row: Row) -> Audio:
        path = self.find(row)
        clip = read_clip(path)
        if clip.audio is None:
            raise UserError(f"the prompt is {clip.status} {clip.detail}".strip(), where=path)
        return clip.audio


class SpeakerJudge:
    """SIM-o, and SIM-r where the prompts have a folder `resynthesized` with the same names.

    The recording itself may be its own prompt: its similarity is then 1 and says nothing, and its record has
    `own_prompt`.
    """

    name = "speaker"
    needs_reference = False

    def __init__(self, embedder: Embedder, prompts: Path | str, *, rows: Iterable[Row] | None = None) -> None:
        self.embedder = embedder
        self.prompts = {"sim_o": Prompts(prompts)}
        if (Path(prompts) / RESYNTHESIZED).is_dir():
            self.prompts["sim_r"] = Prompts(Path(prompts) / RESYNTHESIZED)
        if rows is not None:
            rows = list(rows)
            for each in self.prompts.values():
                each.check(rows)
        self.measures = tuple(m for m in measures(embedder.name) if m.name in self.prompts)
        self._vectors = Kept()

    def describe(self) -> dict[str, Any]:
        prompts = {f"{name}_prompts_sha256": p.sha256 for name, p in self.prompts.items()}
        return {**self.embedder.describe(), **prompts}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        ours, scores = self._embed(audio), {}
        for name, prompts in self.prompts.items():
            prompt = prompts.read(row)
            own = sound_key(prompt) == sound_key(audio)
            scores[name] = Score(
                value=float(np.clip(ours @ self._embed(prompt), -1.0, 1.0)),
                detail={"prompt": prompts.find(row).name, **({"own_prompt": True} if own else {})},
            )
        return scores

    def failed(self, row: Row) -> dict[str, Score]:
        return failed_scores(self.measures)

    def _embed(self, audio: Audio) -> np.ndarray:
        return self._vectors(sound_key(audio), lambda: (self.embedder.embed(audio),))[0]


def measures(embedder: str) -> tuple[Measure, ...]:
    """Columns that name the embedder."""
    return tuple(
        Measure(name=name, title=f"{title} ({embedder})", failed=-1.0, better="higher", digits=3)
        for name, title in (("sim_o", "SIM-o"), ("sim_r", "SIM-r"))
    )


def speaker(
    prompts: Path | str, *, model: str = "ge2e", rows: Iterable[Row] | None = None
) -> Judge | Unavailable:
    """The judge of a folder of prompts: "ge2e", or a WavLM directory or hub id.

    Raises:
        UserError: the folder is unusable, or a WavLM that was asked for cannot be had.
    """
    if model != "ge2e":
        from intona.evaluation.wavlm import WavLm

        return SpeakerJudge(WavLm(model), prompts, rows=rows)
    if ge2e.weights_path() is None:
        Prompts(prompts)
        missing = tuple(m for m in measures(GE2E.name) if m.name == "sim_o")
        return Unavailable(name="speaker", measures=missing, reason="not installed", hint=ge2e.MEND)
    return SpeakerJudge(GE2E(), prompts, rows=rows)
