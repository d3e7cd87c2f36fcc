"""`intona study meld --only silence`: which of the paper's arms falls silent, ends early or leaves out words.

Each arm is trained as published: positions count the stream, so that no alignment helps attention, there is
no CTC, and the model only speaks (meld.tts), as in the paper's comparison of the arms. It speaks texts that
provoke failures, many draws per text. An item is a text with all its draws. Silence and endings are measured
on the mels of all draws (`endings`), omissions and WER by Whisper on the first draws, which are decoded.
The encoders of `joint` and `codes` are probed (`encoder_probes`) if the data is aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.errors import UserError
from intona.studies.engine import common
from intona.studies.engine.claims import Claim
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.meld import plan as whole_study
from intona.studies.meld.published import CLAIMS as PAPER
from intona.studies.meld.silence_jobs import KINDS

JOBS_PY = "intona.studies.meld.silence_jobs"
STAGE = "meld.tts"
LANGUAGE = "ru"  # of the texts
JUDGES = ("asr", "failures")
TRAINING, JUDGE, DEV, DEV_JUDGE = "training-speech", "judge", "dev", "dev-judge"
TEXTS_PER_KIND = 10
PROBED = ("joint", "codes")

ARMS = {name: whole_study.ARMS[name] for name in ("joint", "mel-lm", "codes", "hard-vq", "no-slowness")}
DEFAULT_ARMS = ("joint", "mel-lm", "codes")
REPEATED = tuple(ARMS)

PROBES = {"phoneme": "phonemes", "f0": "F0", "speaker": "the speaker"}
# The paper has no figure for silence, omissions and probes, so these cannot be excluded.
CLAIMS = (
    *(
        c
        for c in PAPER
        if c.measure in ("long_silence", "omission", "wer") and c.arm == "joint" and c.other in ARMS
    ),
    *(
        Claim(
            text=f"the jointly learned encoder represents {what} better",
            measure=f"probe_{name}",
            arm="joint",
            other="codes",
            sign=1,
        )
        for name, what in PROBES.items()
    ),
)


@dataclass(frozen=True, kw_only=True)
class SilenceSize:
    """A study's size.

    Args:
        steps: of every arm. seconds: of one core per step. overrides: of the config of `meld.tts`.
        per_kind: texts of each kind, 0 = all. draws: of each text. decoded: of these, with the vocoder.
        dev: sentences of the dev set that the stop rule is decided on, 0 = all.
        minutes: of one core; "judge" is per voice.
    """

    steps: int
    seconds: float
    overrides: tuple[tuple[str, str], ...]
    per_kind: int
    draws: int
    decoded: int
    dev: int
    minutes: dict[str, float]


PUBLISHED = (("model.positions", "sequence"), ("pace", "none"), ("model.ctc", "0"))
SIZES = {
    "small": SilenceSize(
        steps=3000,
        seconds=0.6,
        overrides=(*whole_study.SIZES["small"].overrides, *PUBLISHED),
        per_kind=0,
        draws=10,
        decoded=2,
        dev=0,
        # Of 30 texts: 300 draws and 60 decoded ones per voice.
        minutes={"training": 0.5, "draw": 14, "judge": 5, "probe": 2, "dev": 2, "dev-speech": 4},
    ),
    "toy": SilenceSize(
        steps=40,
        seconds=0.4,
        # Two frames per step, and a long text: cut at the maximum length it takes 2,300 positions.
        overrides=(*whole_study.SIZES["toy"].overrides, *PUBLISHED, ("model.context", "4096")),
        per_kind=1,
        draws=2,
        decoded=1,
        dev=2,
        minutes={"training": 0.1, "draw": 0.6, "judge": 0.2, "probe": 0.1, "dev": 0.1, "dev-speech": 0.2},
    ),
}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0, 1, 2),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    asr: str = "offline",
) -> StudyPlan:
    """The jobs, seed by seed; after the joint model of the first seed, its CER on dev for the stop rule.

    Raises:
        UserError: an unknown arm or size, a repeated seed, data that is not prepared or not Russian.
    """
    chosen = common.chosen("meld", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus, s = common.corpus(data, aligned=False), SIZES[size]
    if corpus.language != LANGUAGE:
        raise UserError(
            f'the texts of this study are Russian, the data is "{corpus.language}"',
            where=data,
            hint="run the whole study: intona study meld",
        )
    jobs = [
        StudyJob(
            name=TRAINING,
            call=f"{JOBS_PY}:training_speech",
            arguments=dict(corpus.at),
            minutes=s.minutes["training"],
        )
    ]
    probed = PROBED if _aligned(corpus) else ()
    for number, seed in enumerate(seeds):
        arms_of_seed = [n for n in chosen if not number or n in repeat]
        for name in arms_of_seed:
            jobs.append(_voice(name, seed, s, size, corpus))
            if name == "joint" and not number:
                jobs += _dev(corpus, s, seed, asr)
            jobs.append(
                StudyJob(
                    name=f"draw/{name}/{seed}",
                    call=f"{JOBS_PY}:draw",
                    arguments={
                        "voice": f"voice/{name}/{seed}",
                        "training": TRAINING,
                        "per_kind": s.per_kind,
                        "draws": s.draws,
                        "decoded": s.decoded,
                    },
                    needs=(f"voice/{name}/{seed}", TRAINING),
                    arm=name,
                    seed=seed,
                    minutes=s.minutes["draw"],
                )
            )
            if name in probed:
                jobs.append(
                    StudyJob(
                        name=f"probe/{name}/{seed}",
                        call="intona.studies.meld.encoder_probes:probe",
                        arguments={**corpus.at, "voice": f"voice/{name}/{seed}"},
                        needs=(f"voice/{name}/{seed}",),
                        arm=name,
                        seed=seed,
                        minutes=s.minutes["probe"],
                    )
                )
    speech = tuple(j.name for j in jobs if j.name.startswith("draw/"))
    jobs.append(
        StudyJob(
            name=JUDGE,
            call=f"{JOBS_PY}:judge",
            arguments={
                "per_kind": s.per_kind,
                "decoded": s.decoded,
                "measures": list(JUDGES),
                "language": corpus.language,
                "asr": asr,
            },
            wants=speech,
            minutes=s.minutes["judge"] * len(speech),
        )
    )
    return StudyPlan(
        study="meld silence", arms=tuple(Arm(name=n, what=ARMS[n].what) for n in chosen), jobs=tuple(jobs)
    )


def texts_of(size: str) -> int:
    return (SIZES[size].per_kind or TEXTS_PER_KIND) * len(KINDS)


def _aligned(corpus: common.StudyCorpus) -> bool:
    return all(corpus.prepared.durations(i) is not None for i in corpus.prepared.items("test"))


def _dev(corpus: common.StudyCorpus, s: SilenceSize, seed: int, asr: str) -> list[StudyJob]:
    """The dev set, spoken by the joint model and judged: CER above the limit means longer training."""
    prompted = len(corpus.prepared.speakers) > 1
    speech = common.speech_job(
        "joint",
        seed,
        name=f"dev-speech/joint/{seed}",
        voice=f"voice/joint/{seed}",
        test=DEV,
        minutes=s.minutes["dev-speech"],
        call=f"{whole_study.JOBS_PY}:speak",
        penalty=None,
        prompts=prompted,
    )
    return [
        common.test_job(
            corpus, sentences=s.dev, minutes=s.minutes["dev"], name=DEV, split="dev", prompts=prompted
        ),
        speech,
        common.judge_job(
            corpus,
            [speech.name],
            measures=("asr",),
            family=("cer",),
            asr=asr,
            against=[],
            minutes=s.minutes["dev"],
            name=DEV_JUDGE,
            test=DEV,
        ),
    ]


def _voice(name: str, seed: int, s: SilenceSize, preset: str, corpus: common.StudyCorpus) -> StudyJob:
    overrides = {
        **({"arm": ARMS[name].preset} if ARMS[name].preset else {}),
        "loop.steps": str(s.steps),
        "loop.seed": str(seed),
        "loop.save_every": str(max(1, s.steps // 5)),
        "loop.validate_every": str(max(1, s.steps // 20)),
        **dict(s.overrides),
    }
    return StudyJob(
        name=f"voice/{name}/{seed}",
        call=f"{common.STAGES}:train",
        arguments={**corpus.at, "stage": STAGE, "size": preset, "overrides": overrides},
        arm=name,
        seed=seed,
        minutes=s.steps * s.seconds / 60,
    )
