"""Speaker similarity: cosine between an utterance and its prompt. Each column names the speaker encoder.

SIM-o compares with the prompt as recorded, SIM-r with the prompt as a vocoder resynthesizes it (Le et al.
2023, Wang et al. 2023), which excludes the loss of the vocoder. A failed output counts as -1. Figures of two
speaker encoders are on two scales. The row of the recordings (same speaker, other utterance) is the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from intona.audio import Audio
from intona.encoders import ge2e
from intona.encoders.ge2e import GE2E
from intona.encoders.speaker import SpeakerEncoder
from intona.encoders.wavlm import WavLm
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, Judge, Measure, Score, Unavailable, rounding_of
from intona.evaluation.judges.cache import ArrayCache, sound_key
from intona.evaluation.manifest import Row
from intona.evaluation.records import digest
from intona.evaluation.wavs import file_digest, read_clip, sound_files

RESYNTHESIZED = "resynthesized"  # folder inside the prompts, for SIM-r
GE2E_MODEL = "ge2e"


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
                    f"both {self.files[path.stem].name} and {path.name} exist",
                    where=folder,
                    hint="keep one of them",
                )
            self.files[path.stem] = path
        if not self.files:
            raise UserError("holds no audio file", where=folder, hint="expected ID.wav or SPEAKER.wav")

    def find(self, row: Row) -> Path:
        """The prompt of a row; raises UserError if there is none."""
        path = self.files.get(row.id) or (self.files.get(row.speaker) if row.speaker else None)
        if path is None:
            names = f'"{row.id}"' + (f' or "{row.speaker}"' if row.speaker else "")
            raise UserError(f"no prompt named {names}", where=self.folder, hint="add the recording")
        return path

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse missing prompts before anything is judged.

        Raises:
            UserError: rows without a prompt; states how many.
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
        """Hash of all names and contents: decides whether a stored score still applies to these prompts."""
        return digest({name: file_digest(path) for name, path in self.files.items()})

    def read(self, row: Row) -> Audio:
        path = self.find(row)
        clip = read_clip(path)
        if clip.audio is None:
            raise UserError(f"the prompt is {clip.status} {clip.detail}".strip(), where=path)
        return clip.audio


def measures_of(encoder: str) -> tuple[Measure, ...]:
    """The columns of a speaker encoder, which they name."""
    return tuple(
        Measure(name=name, title=f"{title} ({encoder})", failed=-1.0, better="higher", digits=3)
        for name, title in (("sim_o", "SIM-o"), ("sim_r", "SIM-r"))
    )


class SpeakerJudge(Judge):
    """SIM-o, and SIM-r where the prompts have a folder `resynthesized` with the same names.

    The similarity of a recording to itself is 1 and means nothing; its record has `own_prompt`.

    The setting `model` is "ge2e", or a directory or hub id of a WavLM.
    """

    name = "speaker"
    needs = ("prompts",)
    install = ge2e.MEND
    measures = measures_of(GE2E.name)[:1]

    def __init__(
        self, encoder: SpeakerEncoder, prompts: Path | str, *, rows: Iterable[Row] | None = None
    ) -> None:
        self.encoder = encoder
        self.prompts = {"sim_o": Prompts(prompts)}
        if (Path(prompts) / RESYNTHESIZED).is_dir():
            self.prompts["sim_r"] = Prompts(Path(prompts) / RESYNTHESIZED)
        if rows is not None:
            rows = list(rows)
            for each in self.prompts.values():
                each.check(rows)
        self.measures = tuple(m for m in measures_of(encoder.name) if m.name in self.prompts)
        self._vectors = ArrayCache()

    @classmethod
    def build(cls, inputs: Inputs) -> Self | Unavailable:
        assert inputs.prompts is not None  # the judge is built only where there are prompts
        settings = dict(inputs.settings.get(cls.name, {}))
        model = str(settings.pop("model", GE2E_MODEL))
        if model == GE2E_MODEL and ge2e.weights_path() is None:
            Prompts(inputs.prompts)
            return cls.unavailable()
        device = str(settings.pop("device", inputs.device))
        encoder = GE2E(device=device) if model == GE2E_MODEL else WavLm(model, device=device)
        return cls.construct(settings, encoder, inputs.prompts, rows=inputs.rows)

    def describe(self) -> dict[str, Any]:
        prompts = {f"{name}_prompts_sha256": p.sha256 for name, p in self.prompts.items()}
        device = rounding_of(getattr(self.encoder, "device", "cpu"))
        return {**self.encoder.describe(), **prompts, **device}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        ours, scores = self._embed(audio), {}
        for name, prompts in self.prompts.items():
            prompt = prompts.read(row)
            same = sound_key(prompt) == sound_key(audio)
            scores[name] = Score(
                value=float(np.clip(ours @ self._embed(prompt), -1.0, 1.0)),
                detail={"prompt": prompts.find(row).name, **({"own_prompt": True} if same else {})},
            )
        return scores

    def _embed(self, audio: Audio) -> np.ndarray:
        return self._vectors(sound_key(audio), lambda: (self.encoder.embed(audio),))[0]
