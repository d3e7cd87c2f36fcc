"""`intona study prosody`: what each stage of the text encoder's curriculum does to its space and to speech.

An arm is a text encoder. Each gets a voice (`prosody.gradtts`) with the same seed, steps and learning rates:
the voices differ only in the first weights of their encoder. All voices speak the test split, and one
evaluation compares them.

Size small: 400 steps of stage 1, 300 of stage 2, 120 of stage 3 and 2,400 of the voice, with warm-ups to
match. With two seeds of the five main arms it takes 14 hours of one core (docs/notebook/prosody.md).
Size toy: a smoke test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from intona.studies.engine import common
from intona.studies.engine.common import STAGES as STAGES_PY
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.prosody.encoder_jobs import MLM, PROBE_PY, Encoder, EncoderJobs, StageBudget

JUDGES = ("asr", "distillmos", "against_reference")
FAMILY = ("wer", "cer", "distillmos", "f0_rmse", "f0_corr")
CHAIN = ("1", "1+2", "1+2+3")


@dataclass(frozen=True, kw_only=True)
class ProsodyArm:
    """An arm: an encoder, and its learning rate in the voice relative to the voice's (0 = frozen)."""

    what: str
    encoder: str
    rate: float = 1.0
    optional: bool = False
    repeated: bool = False


ENCODERS = {
    "random": Encoder(stage="prosody.mlm"),
    "1": Encoder(stage="prosody.mlm"),
    "2": Encoder(stage="prosody.contrastive"),
    "2-softmax": Encoder(stage="prosody.contrastive", overrides=(("model.loss", "softmax"),)),
    "2-no-adaln": Encoder(stage="prosody.contrastive", overrides=(("model.text.adaln", "false"),)),
    "2-nobody": Encoder(stage="prosody.contrastive", overrides=(("speaker_dropout", "1"),)),
    "1+2": Encoder(stage="prosody.contrastive", init="1"),
    "1+2+3": Encoder(stage="prosody.refine", init="1+2"),
}
ARMS = {
    "random": ProsodyArm(
        what="random weights, trained with the voice alone", encoder="random", repeated=True
    ),
    "1": ProsodyArm(what="masked text", encoder="1", repeated=True),
    "2": ProsodyArm(what="text and audio, SigLIP", encoder="2", repeated=True),
    "2-softmax": ProsodyArm(what="stage 2 with CLIP's softmax", encoder="2-softmax"),
    "2-no-adaln": ProsodyArm(
        what="stage 2 without AdaLN: plain post-norm blocks, no speaker", encoder="2-no-adaln"
    ),
    "2-nobody": ProsodyArm(
        what="stage 2 with AdaLN and no speaker vector", encoder="2-nobody", optional=True
    ),
    "1+2": ProsodyArm(what="masked text, then text and audio", encoder="1+2", repeated=True),
    "1+2+3": ProsodyArm(what="as 1+2, then batches of one phoneme", encoder="1+2+3", repeated=True),
    **{
        f"{how}-{name}": ProsodyArm(what=what.format(name), encoder=name, rate=rate, optional=True)
        for how, rate, what in (
            ("frozen", 0.0, "{}, not trained with the voice"),
            ("slow", 0.1, "{}, at a tenth of the voice's learning rate"),
        )
        for name in ("random", "1", "2", "1+2", "1+2+3")
    },
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class ProsodySize:
    """A study's size.

    Args:
        points: checkpoints of each stage that are kept for the forgetting curve.
        gallery: sounds in a gallery of the retrieval.
        sentences: of the test split, 0 = all.
        minutes: of the other jobs; "judge" is per voice.
    """

    stages: dict[str, StageBudget]
    points: int
    gallery: int
    sentences: int
    minutes: dict[str, float]


SIZES = {
    "small": ProsodySize(
        stages={
            "prosody.mlm": StageBudget(steps=400, warmup=40, seconds=1.7),
            "prosody.contrastive": StageBudget(steps=300, warmup=30, seconds=3.0),
            "prosody.refine": StageBudget(steps=120, warmup=12, seconds=7.5),
            "prosody.gradtts": StageBudget(steps=2400, warmup=200, seconds=1.08),
        },
        points=4,
        gallery=64,
        sentences=0,
        minutes={"speakers": 1, "test": 5.5, "speech": 5.3, "retrieval": 1, "probe": 8, "judge": 4},
    ),
    "toy": ProsodySize(
        stages={
            "prosody.mlm": StageBudget(steps=20, warmup=4, seconds=0.5),
            "prosody.contrastive": StageBudget(steps=20, warmup=4, seconds=0.5),
            "prosody.refine": StageBudget(steps=10, warmup=2, seconds=0.5, overrides=(("batch", "4"),)),
            "prosody.gradtts": StageBudget(steps=60, warmup=10, seconds=0.4),
        },
        points=2,
        gallery=16,
        sentences=4,
        minutes={"speakers": 1, "test": 0.3, "speech": 0.4, "retrieval": 0.1, "probe": 1, "judge": 0.3},
    ),
}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0,),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    texts: Path | None = None,
    asr: str = "offline",
) -> StudyPlan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        seeds: of all training. Every encoder is trained with all seeds, every voice with the first, the
            voices in `repeat` with all.
        texts: text for stage 1 besides that of the corpus (see `prosody.mlm`).
        asr: the recognizer of WER and CER, "none" for none.

    Raises:
        UserError: an unknown arm or size, a repeated seed, data that is not prepared and aligned.
    """
    chosen = common.chosen("prosody", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus = common.corpus(data, aligned=True)
    builder = _ProsodyPlanner(
        size=SIZES[size],
        preset=size,
        corpus=corpus,
        texts="" if texts is None else str(texts.resolve()),
    )
    jobs = builder.shared()
    for number, seed in enumerate(seeds):
        # An encoder costs a fifth of its voice, so all encoders have every seed: the claims about the
        # embedding space are tested over all seeds.
        voiced = [n for n in chosen if not number or n in repeat]
        jobs += builder.seed(chosen, voiced, seed, probe=not number)
    speech = tuple(j.name for j in jobs if j.name.startswith("said/"))
    jobs.append(
        common.judge_job(
            corpus,
            speech,
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            # The arm without pretraining is the baseline.
            against=[f"random@{seeds[0]}"],
            minutes=SIZES[size].minutes["judge"],
        )
    )
    return StudyPlan(
        study="prosody", arms=tuple(Arm(name=n, what=ARMS[n].what) for n in chosen), jobs=tuple(jobs)
    )


@dataclass(frozen=True, kw_only=True)
class _ProsodyPlanner:
    size: ProsodySize
    preset: str
    corpus: common.StudyCorpus
    texts: str

    @cached_property
    def encoders(self) -> EncoderJobs:
        return EncoderJobs(
            encoders=ENCODERS,
            stages=self.size.stages,
            minutes=self.size.minutes,
            gallery=self.size.gallery,
            preset=self.preset,
            corpus=self.corpus,
            texts=self.texts,
        )

    def shared(self) -> list[StudyJob]:
        return [
            self.encoders.speakers(),
            common.test_job(self.corpus, sentences=self.size.sentences, minutes=self.size.minutes["test"]),
        ]

    def seed(self, arms: Sequence[str], voiced: Sequence[str], seed: int, *, probe: bool) -> list[StudyJob]:
        """Encoders of the arms in the order of the curriculum, their retrieval, voices, speech, the probe."""
        encoders = self.encoders.needed(ARMS[n].encoder for n in arms)
        # Checkpoints are kept even if the chain is incomplete: another arm may complete it later.
        jobs = []
        for name in encoders:
            keep = probe and name in CHAIN
            saves = self.size.points if keep else 2
            jobs.append(self.encoders.encoder(name, seed, saves=saves, keep=keep))
        jobs += [self.encoders.retrieval(n, seed) for n in encoders if ENCODERS[n].stage != MLM]
        for name in voiced:
            jobs.append(self._voice(name, seed))
            jobs.append(
                common.speech_job(
                    name, seed, voice=f"voice/{name}/{seed}", minutes=self.size.minutes["speech"]
                )
            )
        if probe and set(encoders).issuperset(CHAIN):
            jobs.append(
                StudyJob(
                    name=f"probe/{seed}",
                    call=f"{PROBE_PY}:follow",
                    arguments={
                        **self.corpus.at,
                        "chain": [f"encoder/{n}/{seed}" for n in CHAIN],
                        "gallery": self.size.gallery,
                    },
                    needs=tuple(f"encoder/{n}/{seed}" for n in CHAIN),
                    seed=seed,
                    minutes=self.size.minutes["probe"],
                )
            )
        return jobs

    def _voice(self, name: str, seed: int) -> StudyJob:
        arm, work = ARMS[name], self.size.stages["prosody.gradtts"]
        base = f"encoder/{arm.encoder}/{seed}"
        overrides = self.encoders.overrides(work, work.steps, seed, saves=5) | {
            "encoder_rate": f"{arm.rate:g}"
        }
        if arm.encoder == "random":
            overrides["encoder_weights"] = "random"
        return StudyJob(
            name=f"voice/{name}/{seed}",
            call=f"{STAGES_PY}:train",
            arguments=self.encoders.training("prosody.gradtts", overrides) | {"encoder": base},
            needs=("speakers", base),
            arm=name,
            seed=seed,
            minutes=work.steps * work.seconds / 60,
        )


def equal_steps(plan: StudyPlan) -> int:
    """The steps of every voice.

    Raises:
        ValueError: not all voices have the same steps.
    """
    steps = {j.arguments["overrides"]["loop.steps"] for j in plan.jobs if j.name.startswith("voice/")}
    if len(steps) != 1:
        raise ValueError(f"voices of {sorted(steps)} steps")
    return int(steps.pop())
