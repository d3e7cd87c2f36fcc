"""`intona study prosody --only screening`: what frozen states of the text encoders predict, without a voice.

An arm is a text encoder. From its states a ridge regression and a small network predict duration, F0, energy
and pauses, learned from 2, 10 and 80 minutes of speech (`predict`). That shows in minutes what a voice would
show in hours: where little speech is available, an encoder that knows more predicts more.

All arms have the BPE pieces of stage 1, which come from the corpus and `--texts`: arms without stage 1 start
from its untrained network, except 2-no-adaln, whose blocks are others. Stage 3 right after stage 1 has no
trained audio encoder: it normalises by its batches and learns at stage 2's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from intona.studies.engine import common
from intona.studies.engine.claims import Claim
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.prosody.encoder_jobs import (
    COMBINED,
    CONTRASTIVE,
    MLM,
    REFINE,
    Encoder,
    EncoderJobs,
    StageBudget,
)

PREDICT_PY = "intona.studies.prosody.predict"
SYMBOLS = "symbols"  # the arm without an encoder: a phoneme and its neighbours
MODELS = ("ridge", "network")
PRIMARY = ("ridge", 10)  # the model and the minutes of speech by which the claims are judged

ENCODERS = {
    "random": Encoder(stage=MLM),
    "1": Encoder(stage=MLM),
    "2": Encoder(stage=CONTRASTIVE, init="random"),
    "2-softmax": Encoder(stage=CONTRASTIVE, init="random", overrides=(("model.loss", "softmax"),)),
    "2-no-adaln": Encoder(stage=CONTRASTIVE, overrides=(("model.text.adaln", "false"),)),
    "2-nobody": Encoder(stage=CONTRASTIVE, init="random", overrides=(("speaker_dropout", "1"),)),
    "1+2": Encoder(stage=CONTRASTIVE, init="1"),
    "1+2+3": Encoder(stage=REFINE, init="1+2"),
    "1+3": Encoder(stage=REFINE, init="1", overrides=(("statistics", "batch"), ("optim.lr", "1e-3"))),
    "2+3": Encoder(stage=REFINE, init="2"),
    "combined": Encoder(stage=COMBINED, init="random"),
    "1+combined": Encoder(stage=COMBINED, init="1"),
}
ARMS = {
    SYMBOLS: "no encoder: the phoneme and its two neighbours, one number each",
    "random": "untrained weights",
    "1": "masked text",
    "2": "text and audio, SigLIP",
    "2-softmax": "stage 2 with CLIP's softmax",
    "2-no-adaln": "stage 2 without AdaLN: plain post-norm blocks, no speaker, pieces of the corpus alone",
    "2-nobody": "stage 2 with AdaLN and no speaker vector",
    "1+2": "masked text, then text and audio",
    "1+2+3": "as 1+2, then batches of one phoneme",
    "1+3": "masked text, then batches of one phoneme",
    "2+3": "text and audio, then batches of one phoneme",
    "combined": "stages 2 and 3 in one: a mixed batch and a batch of one phoneme per step",
    "1+combined": "masked text, then stages 2 and 3 in one",
}
# Added after the plan was written (docs/notebook/claims-plan.md): only when named, so that the plan of the
# other arms and the family of their claims stay as they were.
ADDED_ARMS = ("combined", "1+combined")
DEFAULT_ARMS = tuple(a for a in ARMS if a not in ADDED_ARMS)
REPEATED = DEFAULT_ARMS


def _claim(text: str, arm: str, other: str, *, sign: int = 1, paired: bool = False) -> Claim:
    return Claim(text=text, measure="all", arm=arm, other=other, sign=sign, paired=paired)


# The paper has no such figures, so no effect can be excluded: it can hold, be reversed or stay open.
CLAIMS = (
    _claim("masked text alone helps prosody", "1", "random"),
    _claim("text and audio help prosody", "2", "random"),
    _claim("stage 1 before 2 helps", "1+2", "2"),
    _claim("stage 2 after 1 helps", "1+2", "1", paired=True),
    _claim("stage 3 helps prosody", "1+2+3", "1+2", paired=True),
    _claim("stage 3 without stage 2 helps less", "1+3", "1+2+3", sign=-1),
    _claim("SigLIP helps more than softmax", "2", "2-softmax"),
    _claim("the speaker vector helps", "2", "2-nobody"),
)


def _moves_like_stage_3(measure: str, effect: float, published: str, verb: str) -> Claim:
    return Claim(
        text=f"stages 2 and 3 in one {verb} {measure} against 1+2, as stage 3 does",
        measure=measure,
        arm="1+combined",
        other="1+2",
        sign=1 if effect > 0 else -1,
        published=published,
        effect=effect,
    )


# A family of its own. "Keeps R@1-diff" is the first claim excluded: a loss of half of stage 3's or more.
COMBINED_CLAIMS = (
    _moves_like_stage_3("R@1-diff", -0.033, ".893 / .926", "lowers"),
    _moves_like_stage_3("R@1-sim", 0.024, ".770 / .746", "raises"),
    _claim("stages 2 and 3 in one help more than stage 2", "1+combined", "1+2"),
    _claim("stages 2 and 3 in one help more than one after the other", "1+combined", "1+2+3"),
    _claim("without stage 1 too, stages 2 and 3 in one help more than stage 2", "combined", "2"),
)


@dataclass(frozen=True, kw_only=True)
class ScreeningSize:
    """Budgets of the stages, minutes of speech to learn from, and of how many random subsets of each.

    Args:
        saves: checkpoints of each stage. scored: texts whose perplexity is measured. minutes: of one core
            per job, by kind.
    """

    stages: dict[str, StageBudget]
    speech: tuple[float, ...]
    draws: int
    gallery: int
    saves: int
    scored: int
    minutes: dict[str, float]


SIZES = {
    "small": ScreeningSize(
        stages={
            MLM: StageBudget(steps=3000, warmup=200, seconds=1.4),
            CONTRASTIVE: StageBudget(steps=300, warmup=30, seconds=3.0),
            REFINE: StageBudget(steps=120, warmup=12, seconds=7.5),
            # As many mixed pairs as stage 2, and 9,600 pairs of one phoneme (stage 3: 7,680).
            COMBINED: StageBudget(steps=300, warmup=30, seconds=6.8),
        },
        speech=(2, 10, 80),
        draws=5,
        gallery=64,
        saves=8,
        scored=40,
        minutes={"speakers": 1, "texts": 4, "retrieval": 2, "predict": 3},
    ),
    "toy": ScreeningSize(
        stages={
            MLM: StageBudget(steps=20, warmup=4, seconds=0.5),
            CONTRASTIVE: StageBudget(steps=20, warmup=4, seconds=0.5),
            REFINE: StageBudget(steps=10, warmup=2, seconds=0.5, overrides=(("batch", "4"),)),
            COMBINED: StageBudget(steps=20, warmup=4, seconds=0.8, overrides=(("same_batch", "4"),)),
        },
        speech=(0.2, 0.5, 10),
        draws=2,
        gallery=16,
        saves=2,
        scored=4,
        minutes={"speakers": 1, "texts": 0.1, "retrieval": 0.1, "predict": 0.2},
    ),
}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0, 1, 2),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    texts: Path | None = None,
    asr: str = "offline",
) -> StudyPlan:
    """The jobs, seed by seed. Every arm is trained with every seed; `asr` is not used.

    Raises:
        UserError: an unknown arm or size, a repeated seed, data that is not prepared and aligned.
    """
    chosen = common.chosen("prosody", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    planner = _ScreeningPlanner(
        size=SIZES[size],
        preset=size,
        corpus=common.corpus(data, aligned=True),
        texts="" if texts is None else str(texts.resolve()),
    )
    jobs = [planner.encoders.speakers()]
    if SYMBOLS in chosen:
        jobs.append(planner.predict(SYMBOLS, seeds[0]))
    for number, seed in enumerate(seeds):
        jobs += planner.seed(chosen, seed)
        if "1" in chosen and not number:
            jobs.append(planner.perplexity(seed))
    return StudyPlan(
        study="prosody screening", arms=tuple(Arm(name=n, what=ARMS[n]) for n in chosen), jobs=tuple(jobs)
    )


@dataclass(frozen=True, kw_only=True)
class _ScreeningPlanner:
    size: ScreeningSize
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

    def seed(self, arms: Sequence[str], seed: int) -> list[StudyJob]:
        """Encoders of one seed in the order of the curriculum, then what is measured of them."""
        saves, text_minutes = self.size.saves, self.size.minutes["texts"]
        jobs = [
            self.encoders.encoder(n, seed, saves=saves, keep=True, text_minutes=text_minutes)
            for n in self.encoders.needed(set(arms) - {SYMBOLS})
        ]
        for name in (n for n in ENCODERS if n in arms):
            if ENCODERS[name].stage != MLM:
                jobs.append(self.encoders.retrieval(name, seed))
            jobs.append(self.predict(name, seed))
        return jobs

    def perplexity(self, seed: int) -> StudyJob:
        """Of stage 1, in one seed: it reads all texts again to count in them."""
        run = f"encoder/1/{seed}"
        return StudyJob(
            name=f"perplexity/1/{seed}",
            call="intona.studies.prosody.perplexity:measure",
            arguments={**self.corpus.at, "run": run, "texts": self.texts, "most": self.size.scored},
            needs=(run,),
            arm="1",
            seed=seed,
            minutes=self.size.minutes["texts"] * 2,
        )

    def predict(self, name: str, seed: int) -> StudyJob:
        run = "" if name == SYMBOLS else f"encoder/{name}/{seed}"
        return StudyJob(
            name=f"predict/{name}/{seed}",
            call=f"{PREDICT_PY}:predict",
            arguments={
                **self.corpus.at,
                "run": run,
                "speech": list(self.size.speech),
                "draws": self.size.draws,
            },
            needs=(run,) if run else (),
            arm=name,
            seed=seed,
            minutes=self.size.minutes["predict"],
        )
