"""`intona study meld`: what joint training of encoder and language model does to speech and recognition.

An arm is one of the paper's controls. Each is trained from scratch as `meld.joint` with the same seed, steps,
batches, random draws and learning rates, so that arms differ only in that control. No arm starts from the
weights of another, which were trained for that arm's encoder. `no-penalty` is the joint model sampled without
the repetition penalty. All arms speak the test split and are evaluated together. All transcribe the
recordings of the test split and the speech that they synthesized.

Size small: its cost and its limits are in SIZES and docs/notebook/meld.md. Size toy: a smoke test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.studies.engine import common
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan

JOBS_PY = "intona.studies.meld.jobs"
JUDGES = ("asr", "failures", "speaker")
SILENCE = "intona.studies.meld.silence:SilenceJudge"
FAMILY = ("wer", "cer", "sim_o", "omission", "long_silence")


@dataclass(frozen=True, kw_only=True)
class Control:
    """An arm: a preset (`presets.ARMS`), or another arm's voice with other sampling."""

    what: str
    preset: str = ""
    voice: str = ""
    penalty: float | None = None
    optional: bool = False
    repeated: bool = False


ARMS = {
    "joint": Control(what="encoder and language model trained together, soft latent", repeated=True),
    "codes": Control(
        what="the model sees past frames as nearest codes of a frozen codebook; its input layers are trained",
        preset="codes",
        repeated=True,
    ),
    "codec": Control(
        what="as codes, with random input layers that are not trained",
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
        what="sees frames through random layers that are not trained", preset="frozen-prenet", optional=True
    ),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class MeldSize:
    """A study's size.

    Args:
        steps: of every arm; the first 40 % train speech alone. seconds: of one core per step.
        overrides: of the config of `meld.joint`.
        sentences: of the test split, 0 = all.
        minutes: of the other jobs; "judge" is per voice.
    """

    steps: int
    seconds: float
    overrides: tuple[tuple[str, str], ...]
    sentences: int
    minutes: dict[str, float]


SIZES = {
    "small": MeldSize(
        # Less than half of the preset's parameters for twice as many epochs, and one rival: four models of
        # two seeds can be compared in the time in which ten models would not become intelligible.
        steps=5600,
        seconds=1.0,
        overrides=(
            ("model.ctc", "0"),  # recognition as published
            ("model.dim", "192"),
            ("model.layers", "4"),
            ("model.hidden", "768"),
            ("model.prenet", "192"),
            ("model.reconstruction_hidden", "384"),
            ("optim.warmup", "200"),
            ("loop.ema", "0.998"),
        ),
        sentences=0,
        minutes={"test": 4, "speech": 6, "transcripts": 1.5, "baselines": 0.2, "judge": 3},
    ),
    "toy": MeldSize(
        steps=40,
        seconds=0.5,
        overrides=(("model.ctc", "0"), ("optim.warmup", "4"), ("loop.ema", "0.9")),
        sentences=4,
        minutes={"test": 0.3, "speech": 0.5, "transcripts": 0.2, "baselines": 0.2, "judge": 0.3},
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
) -> StudyPlan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        seeds: of all training. Every arm is trained with the first seed, those in `repeat` with all.
        asr: the recognizer of WER, CER and omissions, "none" for none.

    Raises:
        UserError: an unknown arm or size, a repeated seed, data that is not prepared; several speakers one of
            whom has a single test sentence, because each row is spoken with another recording of its speaker.
    """
    chosen = common.chosen("meld", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus, s = common.corpus(data, aligned=False), SIZES[size]
    # Data of one speaker needs no prompt; with several speakers a recording selects the voice.
    prompted = len(corpus.prepared.speakers) > 1
    jobs = [
        common.test_job(corpus, sentences=s.sentences, minutes=s.minutes["test"], prompts=True),
        StudyJob(
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
                common.speech_job(
                    name,
                    seed,
                    voice=voice,
                    minutes=s.minutes["speech"],
                    call=f"{JOBS_PY}:speak",
                    penalty=arm.penalty,
                    prompts=prompted,
                )
            )
            jobs.append(
                StudyJob(
                    name=f"heard/{name}/{seed}",
                    call=f"{JOBS_PY}:listen",
                    arguments={
                        "voice": voice,
                        "speech": f"said/{name}/{seed}",
                        "test": common.TEST,
                        # Another arm's voice has transcribed the recordings already.
                        "recordings": not arm.voice,
                        "language": corpus.language,
                    },
                    needs=(voice, f"said/{name}/{seed}", common.TEST),
                    arm=name,
                    seed=seed,
                    minutes=s.minutes["transcripts"] * (0.5 if arm.voice else 1),
                )
            )
    speech = tuple(j.name for j in jobs if j.name.startswith("said/"))
    jobs.append(
        common.judge_job(
            corpus,
            speech,
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            against=[f"joint@{seeds[0]}"],
            minutes=s.minutes["judge"],
            prompts=True,
            extra=[SILENCE],
        )
    )
    return StudyPlan(
        study="meld", arms=tuple(Arm(name=n, what=ARMS[n].what) for n in chosen), jobs=tuple(jobs)
    )


def _voice(name: str, seed: int, s: MeldSize, preset: str, corpus: common.StudyCorpus) -> StudyJob:
    every = str(max(1, s.steps // 5))
    overrides = {
        **({"arm": ARMS[name].preset} if ARMS[name].preset else {}),
        "loop.steps": str(s.steps),
        "loop.seed": str(seed),
        "loop.save_every": every,
        "loop.validate_every": str(max(1, s.steps // 20)),
        **dict(s.overrides),
    }
    return StudyJob(
        name=f"voice/{name}/{seed}",
        call=f"{common.STAGES}:train",
        arguments={**corpus.at, "stage": "meld.joint", "size": preset, "overrides": overrides},
        arm=name,
        seed=seed,
        minutes=s.steps * s.seconds / 60,
    )
