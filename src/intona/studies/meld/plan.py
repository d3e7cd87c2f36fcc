"""`intona study meld`: what joint training of encoder and language model does to speaking and listening.

An arm is one of the paper's controls. Each is trained from nothing as `meld.joint` with the same seed, steps,
batches, draws and learning rates, so that arms differ in that control and in nothing else; no arm starts from
another's weights, which would have been made for that one's encoder. `no-penalty` is the joint model,
sampled without the repetition penalty. All speak the test split and are judged together; all listen to the
recordings of the test split and to their own speech.

Size small: see SIZES and docs/meld.md for its cost and for what it can tell. Size toy: a smoke run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.studies.engine import common
from intona.studies.engine.plan import Arm, Job, Plan

JOBS_PY = "intona.studies.meld.jobs"
JUDGES = ("asr", "failures", "speaker")
SILENCE = "intona.studies.meld.silence:SilenceJudge"
FAMILY = ("wer", "cer", "sim_o", "omission", "long_silence")


@dataclass(frozen=True, kw_only=True)
class Control:
    """An arm: its preset (`presets.ARMS`), or the arm whose voice it speaks with and how it samples."""

    what: str
    preset: str = ""
    voice: str = ""
    penalty: float | None = None
    optional: bool = False
    repeated: bool = False


ARMS = {
    "joint": Control(what="encoder and language model trained together, soft latent", repeated=True),
    "codes": Control(
        what="the past is seen as nearest codes of the frozen codebook; how they are read is learnt",
        preset="codes",
        repeated=True,
    ),
    "codec": Control(
        what="as codes, and the layers that read them stay as drawn: nothing of the encoder learns",
        preset="codec",
        optional=True,
        repeated=True,
    ),
    "mel-lm": Control(what="no latent", preset="mel-lm", optional=True),
    "hard-vq": Control(what="the latent is the nearest code", preset="hard-vq", optional=True),
    "no-slowness": Control(what="no penalty on slow change", preset="no-slowness", optional=True),
    "zero-code": Control(
        what="the reconstruction does not see the latent", preset="zero-code", optional=True
    ),
    "no-penalty": Control(
        what="the joint model, sampled without the repetition penalty",
        voice="joint",
        penalty=0.0,
        repeated=True,
    ),
    "frozen-prenet": Control(
        what="sees frames through layers that stay as drawn", preset="frozen-prenet", optional=True
    ),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class Size:
    """`steps` of every arm, of which the first 40 % only speak; `seconds` of one core a step.

    `overrides` of the run's config; `sentences` of the test split, 0 = all; `minutes` of the other jobs,
    `judge` of each voice.
    """

    steps: int
    seconds: float
    overrides: tuple[tuple[str, str], ...]
    sentences: int
    minutes: dict[str, float]


SIZES = {
    "small": Size(
        # Less than half of the preset's parameters, for twice as many passes; one rival, so that four models
        # of two seeds are told apart in the time that ten would take to babble.
        steps=5600,
        seconds=1.0,
        overrides=(
            ("model.ctc", "0"),  # listening as published
            ("model.dim", "192"),
            ("model.layers", "4"),
            ("model.hidden", "768"),
            ("model.prenet", "192"),
            ("model.reconstruction_hidden", "384"),
            ("optim.warmup", "200"),
            ("loop.ema", "0.998"),
        ),
        sentences=0,
        minutes={"test": 4, "said": 6, "heard": 1.5, "baselines": 0.2, "judge": 3},
    ),
    "toy": Size(
        steps=40,
        seconds=0.5,
        overrides=(("model.ctc", "0"), ("optim.warmup", "4"), ("loop.ema", "0.9")),
        sentences=4,
        minutes={"test": 0.3, "said": 0.5, "heard": 0.2, "baselines": 0.2, "judge": 0.3},
    ),
}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0,),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    asr: str = "offline",
) -> Plan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        seeds: of all training; every arm has the first, those in `repeat` all.
        asr: the recognizer of WER, CER and omissions, "none" for none.

    Raises:
        UserError: an unknown arm or size, a seed given twice, data that is not prepared; several speakers of
            whom one has a single test sentence, for each row is spoken with another recording of its speaker.
    """
    chosen = common.chosen("meld", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus, s = common.corpus(data, aligned=False), SIZES[size]
    # With one speaker there is nobody else to sound like; with several the voice is asked for by a recording.
    prompted = len(corpus.prepared.speakers) > 1
    jobs = [
        common.test_job(corpus, sentences=s.sentences, minutes=s.minutes["test"], prompts=True),
        Job(
            name="baselines",
            call=f"{JOBS_PY}:baselines",
            arguments={**corpus.at, "test": common.TEST, "language": corpus.language},
            needs=(common.TEST,),
            minutes=s.minutes["baselines"],
        ),
    ]
    for number, seed in enumerate(seeds):
        mine = [n for n in chosen if not number or n in repeat]
        voices = dict.fromkeys(ARMS[n].voice or n for n in mine)
        jobs += [_voice(name, seed, s, size, corpus) for name in voices]
        for name in mine:
            arm = ARMS[name]
            voice = f"voice/{arm.voice or name}/{seed}"
            jobs.append(
                common.said_job(
                    name,
                    seed,
                    voice=voice,
                    minutes=s.minutes["said"],
                    call=f"{JOBS_PY}:speak",
                    penalty=arm.penalty,
                    prompts=prompted,
                )
            )
            jobs.append(
                Job(
                    name=f"heard/{name}/{seed}",
                    call=f"{JOBS_PY}:listen",
                    arguments={
                        "voice": voice,
                        "said": f"said/{name}/{seed}",
                        "test": common.TEST,
                        # Of another arm's voice the recordings are heard once.
                        "recordings": not arm.voice,
                        "language": corpus.language,
                    },
                    needs=(voice, f"said/{name}/{seed}", common.TEST),
                    arm=name,
                    seed=seed,
                    minutes=s.minutes["heard"] * (0.5 if arm.voice else 1),
                )
            )
    said = tuple(j.name for j in jobs if j.name.startswith("said/"))
    jobs.append(
        common.judge_job(
            corpus,
            said,
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            against=[f"joint@{seeds[0]}"],
            minutes=s.minutes["judge"],
            prompts=True,
            extra=[SILENCE],
        )
    )
    return Plan(study="meld", arms=tuple(Arm(name=n, what=ARMS[n].what) for n in chosen), jobs=tuple(jobs))


def _voice(name: str, seed: int, s: Size, preset: str, corpus: common.Corpus) -> Job:
    every = str(max(1, s.steps // 5))
    overrides = {
        **({"arm": ARMS[name].preset} if ARMS[name].preset else {}),
        "loop.steps": str(s.steps),
        "loop.seed": str(seed),
        "loop.save_every": every,
        "loop.validate_every": str(max(1, s.steps // 20)),
        **dict(s.overrides),
    }
    return Job(
        name=f"voice/{name}/{seed}",
        call=f"{common.STAGES}:train",
        arguments={**corpus.at, "stage": "meld.joint", "size": preset, "overrides": overrides},
        arm=name,
        seed=seed,
        minutes=s.steps * s.seconds / 60,
    )
