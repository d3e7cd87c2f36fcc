"""Jobs of encoders and their retrieval, which the plans of the study and of its screening share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from intona.evaluation.retrieval import KNOWN
from intona.studies.engine import common
from intona.studies.engine.common import STAGES as STAGES_PY
from intona.studies.engine.plan import StudyJob

PROBE_PY = "intona.studies.prosody.probe"
MLM, CONTRASTIVE, REFINE = "prosody.mlm", "prosody.contrastive", "prosody.refine"
COMBINED = "prosody.combined"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One encoder: its stage, the encoder it starts from, and how its config differs from the preset."""

    stage: str
    init: str = ""
    overrides: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class StageBudget:
    """Steps and warm-up of a stage, and seconds of one core per step."""

    steps: int
    warmup: int
    seconds: float
    overrides: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class EncoderJobs:
    """Builds the jobs.

    Args:
        encoders: all that there are, in the order of the curriculum.
        stages: stage -> budget. minutes: of the jobs "speakers" and "retrieval".
        gallery: sounds in a gallery of the retrieval.
        preset: the size of the stages. texts: of stage 1 beside the corpus, "" = none.
    """

    encoders: Mapping[str, Encoder]
    stages: Mapping[str, StageBudget]
    minutes: Mapping[str, float]
    gallery: int
    preset: str
    corpus: common.StudyCorpus
    texts: str

    def needed(self, names: Iterable[str]) -> list[str]:
        """These encoders and those that they start from, in the order of the curriculum."""
        needed = set(names)
        for name in reversed(tuple(self.encoders)):
            if name in needed and self.encoders[name].init:
                needed.add(self.encoders[name].init)
        return [n for n in self.encoders if n in needed]

    def speakers(self) -> StudyJob:
        return StudyJob(
            name="speakers",
            call=f"{PROBE_PY}:find_speakers",
            arguments=dict(self.corpus.at),
            minutes=self.minutes["speakers"],
        )

    def overrides(self, work: StageBudget, steps: int, seed: int, *, saves: int) -> dict[str, str]:
        every = str(max(1, steps // saves))
        return {
            "loop.steps": str(steps),
            "loop.seed": str(seed),
            "loop.save_every": every,
            "loop.validate_every": every,
            "optim.warmup": str(work.warmup),
            **dict(work.overrides),
        }

    def encoder(self, name: str, seed: int, *, saves: int, keep: bool, text_minutes: float = 0) -> StudyJob:
        """The training of an encoder.

        Args:
            saves: checkpoints of the run. keep: whether all of them stay.
            text_minutes: what reading `texts` takes, in a stage 1 that has them.
        """
        encoder = self.encoders[name]
        work = self.stages[encoder.stage]
        steps = 0 if name == "random" else work.steps
        overrides = self.overrides(work, steps, seed, saves=saves) | dict(encoder.overrides)
        if keep:
            overrides["loop.keep"] = str(saves + 2)
        minutes = steps * work.seconds / 60
        if encoder.stage == MLM and self.texts:
            overrides["texts"] = self.texts
            minutes += text_minutes
        init = f"encoder/{encoder.init}/{seed}" if encoder.init else ""
        return StudyJob(
            name=f"encoder/{name}/{seed}",
            call=f"{STAGES_PY}:train",
            arguments=self.training(encoder.stage, overrides) | {"init": init},
            needs=("speakers", *([init] if init else [])),
            arm=name,
            seed=seed,
            minutes=minutes,
        )

    def training(self, stage: str, overrides: Mapping[str, str]) -> dict[str, Any]:
        """Arguments of a job that trains a stage."""
        return {**self.corpus.at, "stage": stage, "size": self.preset, "overrides": dict(overrides)}

    def retrieval(self, name: str, seed: int) -> StudyJob:
        run = f"encoder/{name}/{seed}"
        return StudyJob(
            name=f"retrieval/{name}/{seed}",
            call=f"{PROBE_PY}:find_sounds",
            arguments={**self.corpus.at, "run": run, "gallery": self.gallery, "known": KNOWN},
            needs=(run,),
            arm=name,
            seed=seed,
            minutes=self.minutes["retrieval"],
        )
