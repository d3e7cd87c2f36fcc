"""`intona study ditto`: latent diffusion on the encoders of the curriculum, over three kinds of latents.

An arm is a voice. Some arms differ only in the first weights of their text encoder; the encoders are jobs of
`study prosody`. Others differ in what is predicted: patches of mel frames, latents of a trained mel VAE, or
plain mel frames. Grad-TTS, with the same encoder, recordings and minutes, is the baseline. One voice speaks
the dev sentences with various steps, guidance scales, temperatures, solvers and lengths, and with and without
a reference.

Every voice trains for the same minutes of one core, so a voice whose steps cost more takes fewer of them. The
study has three arms of 145 minutes rather than many of an hour, because a voice without durations learns to
follow the text late, and nothing can be compared before that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.studies.engine import common
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.prosody import plan as curriculum

COPY_PY = "intona.studies.ditto.copy_synthesis"
JUDGES = ("asr", "speaker", "distillmos", "f0", "against_reference")
FAMILY = ("cer", "sim_o", "distillmos")
LATENT_JUDGES = ("asr", "distillmos", "against_reference")
LATENT_FAMILY = ("cer", "distillmos", "f0_rmse")
SWEEP, JUDGE_SWEEP = "sweep-", "judge-sweep-"  # prefixes of job names, before the arm
MAIN = "1+2"  # the other latents and Grad-TTS use its encoder, and it speaks the sweep
PATCHES = "mel8"
VAE = "encoder/vae"  # the job; its minutes count as pretraining, like those of a text encoder
RECORDED, ONE_PACE, NOBODY = "recorded-length", "one-pace", "no-reference"


@dataclass(frozen=True, kw_only=True)
class DittoArm:
    """An arm. `encoder`: "" = the preset's. `latents`: "vae", "mel" or "mel8"; "" = Grad-TTS."""

    what: str
    encoder: str = MAIN
    latents: str = PATCHES
    optional: bool = False
    repeated: bool = False


ARMS = {
    "random": DittoArm(what="random text encoder, learned with the voice", encoder="random", repeated=True),
    "1": DittoArm(what="masked text", encoder="1", optional=True),
    "1+2": DittoArm(what="masked text, then text and audio", repeated=True),
    "1+2+3": DittoArm(what="and batches of one phoneme", encoder="1+2+3", optional=True),
    "vae": DittoArm(what="1+2, over the latents of a mel VAE", latents="vae", optional=True),
    "frames": DittoArm(what="1+2, over plain mel frames", latents="mel", optional=True),
    "gradtts": DittoArm(what="1+2 in Grad-TTS, which has phoneme durations", latents="", repeated=True),
    "plain": DittoArm(what="the preset's encoder, phonemes alone", encoder="", optional=True),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class DittoSize:
    """A study's size.

    Args:
        voice: minutes of one core for each voice, whatever a step costs.
        seconds: per step, by what is predicted ("" = Grad-TTS). warmup: share of the steps.
        vae: steps, and seconds per step. model: overrides of every prosody.ditto.
        sweep: values of each setting, and temperatures of the ancestral solver. Every setting that is not
            varied has the voice's default.
        sentences: of the test and dev splits, 0 = all.
        speech: minutes to speak the test set, by what is predicted. minutes: of the other jobs.
    """

    voice: float
    seconds: dict[str, float]
    vae: curriculum.StageBudget
    model: dict[str, str]
    sweep: dict[str, tuple[float, ...]]
    sentences: tuple[int, int]
    speech: dict[str, float]
    minutes: dict[str, float]
    warmup: float = 0.06


SIZES = {
    "small": DittoSize(
        voice=145,
        seconds={"mel8": 1.6, "vae": 1.6, "mel": 7.5, "": 1.08},
        vae=curriculum.StageBudget(steps=3600, warmup=100, seconds=0.75),
        model={},
        sweep={
            "steps": (5, 10, 25, 50),
            "guidance": (1.0, 2.0, 3.0, 5.0),
            "temperature": (0.0, 0.2, 0.5, 1.0),
            "ancestral": (0.5,),
        },
        sentences=(0, 10),
        speech={"mel8": 4, "vae": 4, "mel": 8, "": 3},
        minutes={"test": 4, "dev": 1, "copy": 3, "sweep": 1, "judge": 3, "judge-sweep": 0.8},
    ),
    "toy": DittoSize(
        voice=0.5,
        seconds={"mel8": 0.3, "vae": 0.3, "mel": 1.0, "": 0.4},
        vae=curriculum.StageBudget(steps=60, warmup=10, seconds=0.3),
        model={},
        sweep={"steps": (2, 4), "guidance": (1.0, 2.0), "temperature": (0.5, 1.0), "ancestral": (0.8,)},
        sentences=(3, 2),
        speech={"mel8": 0.4, "vae": 0.4, "mel": 0.4, "": 0.4},
        minutes={"test": 0.3, "dev": 0.2, "copy": 0.2, "sweep": 0.2, "judge": 0.3, "judge-sweep": 0.2},
    ),
}
# The defaults of prosody.ditto, repeated here so that a later change of them does not change the study.
DEFAULTS = {"steps": 25, "guidance": 3.0, "temperature": 0.2, "solver": "ddim"}
TOY_DEFAULTS = {"steps": 4, "guidance": 2.0, "temperature": 1.0, "solver": "ddim"}


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0,),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    texts: Path | None = None,
    voice_minutes: float | None = None,
    asr: str = "offline",
) -> StudyPlan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        voice_minutes: minutes of one core for each voice, instead of the size's. The others as in
            `study prosody`.

    Raises:
        UserError: an unknown arm or size, a repeated seed, data that is not prepared and aligned.
    """
    chosen = common.chosen("ditto", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus = common.corpus(data, aligned=True)
    builder = _DittoPlanner(
        name=size,
        size=dataclasses.replace(SIZES[size], voice=voice_minutes or SIZES[size].voice),
        corpus=corpus,
        encoders=_curriculum(data, size, seeds, chosen, repeat, texts),
        defaults=TOY_DEFAULTS if size == "toy" else DEFAULTS,
    )
    jobs = builder.shared(chosen, seeds[0], asr)
    for number, seed in enumerate(seeds):
        jobs += builder.seed([n for n in chosen if not number or n in repeat], seed, seeds[0])
    spoken = [n for n in chosen if ARMS[n].latents]
    if spoken:
        jobs += builder.sweep(MAIN if MAIN in spoken else spoken[0], seeds[0], asr)
    jobs.append(
        common.judge_job(
            corpus,
            tuple(j.name for j in jobs if j.name.startswith("said/")),
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            against=[f"{n}@{seeds[0]}" for n in (MAIN, *ARMS)],
            minutes=builder.size.minutes["judge"],
            prompts=True,
        )
    )
    described = tuple(Arm(name=n, what=ARMS[n].what) for n in chosen)
    return StudyPlan(study="ditto", arms=described, jobs=tuple(jobs))


def _curriculum(
    data: Path,
    size: str,
    seeds: Sequence[int],
    chosen: Sequence[str],
    repeat: Sequence[str],
    texts: Path | None,
) -> dict[str, StudyJob]:
    """Jobs of `study prosody` by name: the encoders that these arms build on, and Grad-TTS voices on them."""

    def behind(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ARMS[n].encoder for n in names if ARMS[n].encoder))

    first = behind(chosen)
    if not first:
        return {}
    later = behind([n for n in chosen if n in repeat])
    plan = curriculum.declare(
        data=data, size=size, seeds=seeds, arms=first, repeat=later, texts=texts, asr="none"
    )
    return {j.name: j for j in plan.jobs}


@dataclass(frozen=True, kw_only=True)
class _DittoPlanner:
    name: str
    size: DittoSize
    corpus: common.StudyCorpus
    encoders: dict[str, StudyJob]
    defaults: dict[str, Any]

    def shared(self, arms: Sequence[str], seed: int, asr: str) -> list[StudyJob]:
        """The test set, the mel VAE, and copy synthesis through the latents with its evaluation."""
        minutes, latents = self.size.minutes, {ARMS[n].latents for n in arms}
        jobs = [self.encoders["speakers"]] if self.encoders else []
        jobs.append(
            common.test_job(
                self.corpus, sentences=self.size.sentences[0], minutes=minutes["test"], prompts=True
            )
        )
        if "vae" in latents:
            jobs.append(self._vae(seed))
        copies = [n for n in (PATCHES, "vae") if n in latents]
        for latent in copies:
            run = f"{VAE}/{seed}" if latent == "vae" else ""
            jobs.append(
                StudyJob(
                    name=f"copy/{latent}/{seed}",
                    call=f"{COPY_PY}:speak_copy",
                    arguments={**self.corpus.at, "latents": latent, "run": run, "test": common.TEST},
                    needs=(common.TEST, *([run] if run else [])),
                    minutes=minutes["copy"],
                )
            )
        if copies:
            jobs.append(
                common.judge_job(
                    self.corpus,
                    [f"copy/{n}/{seed}" for n in copies],
                    name="judge-latents",
                    measures=LATENT_JUDGES,
                    family=LATENT_FAMILY,
                    asr=asr,
                    against=["copy synthesis"],
                    minutes=minutes["judge"],
                )
            )
        return jobs

    def seed(self, arms: Sequence[str], seed: int, first: int) -> list[StudyJob]:
        """The encoders that these arms need, then every voice and its speech."""
        names: set[str] = set()
        for arm in arms:
            if ARMS[arm].encoder:
                plan = StudyPlan(study="", arms=(), jobs=tuple(self.encoders.values()))
                names.update(j.name for j in plan.chain(f"encoder/{ARMS[arm].encoder}/{seed}"))
        jobs = [j for n, j in self.encoders.items() if n in names and n.startswith("encoder/")]
        for arm in arms:
            jobs.append(self._voice(arm, seed, first))
            jobs.append(self._speech(arm, seed, arm))
        if MAIN in arms and seed == first:
            jobs.append(self._speech(f"{MAIN}-{RECORDED}", seed, MAIN, lengths=True))
        return jobs

    def sweep(self, arm: str, seed: int, asr: str) -> list[StudyJob]:
        """One voice speaking with other settings, with the recordings' lengths, and without a reference.

        Job names contain the arm, because a study that is extended may sweep another one.
        """
        dev = common.test_job(
            self.corpus,
            name="dev",
            sentences=self.size.sentences[1],
            minutes=self.size.minutes["dev"],
            prompts=True,
            split="dev",
        )
        ways: dict[str, dict[str, Any]] = {}
        for setting, values in self.size.sweep.items():
            for value in values:
                if setting == "ancestral":
                    other = {"temperature": value, "solver": setting}
                elif setting == "steps" or value != self.defaults[setting]:
                    other = {setting: value}
                else:
                    continue
                ways[f"{setting}-{value:g}"] = {"settings": self.defaults | other}
        ways[RECORDED] = {"lengths": True}
        ways[ONE_PACE] = {"lengths": ONE_PACE}
        ways[NOBODY] = {"prompts": False}
        jobs = [dev]
        for name, how in ways.items():
            where = {"name": f"{SWEEP}{arm}/{name}/{seed}", "test": "dev"}
            speech = self._speech(name, seed, arm, minutes=self.size.minutes["sweep"], **where, **how)
            jobs.append(speech)
        judge = common.judge_job(
            self.corpus,
            tuple(j.name for j in jobs[1:]),
            name=f"{JUDGE_SWEEP}{arm}",
            test="dev",
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            against=[f"steps-{self.defaults['steps']}@{seed}"],
            minutes=self.size.minutes["judge-sweep"],
            prompts=True,
        )
        return [*jobs, judge]

    def _vae(self, seed: int) -> StudyJob:
        work = self.size.vae
        return StudyJob(
            name=f"{VAE}/{seed}",
            call=f"{common.STAGES}:train",
            arguments={
                **self.corpus.at,
                "stage": "prosody.melvae",
                "size": self.name,
                "overrides": _overrides(work.steps, work.warmup, seed) | dict(work.overrides),
            },
            seed=seed,
            minutes=work.steps * work.seconds / 60,
        )

    def _voice(self, name: str, seed: int, first: int) -> StudyJob:
        arm = ARMS[name]
        steps = max(1, round(60 * self.size.voice / self.size.seconds[arm.latents]))
        loop = _overrides(steps, max(1, round(self.size.warmup * steps)), seed)
        if not arm.latents:
            theirs = self.encoders[f"voice/{arm.encoder}/{seed}"]
            return dataclasses.replace(
                theirs,
                name=f"voice/{name}/{seed}",
                arguments=theirs.arguments | {"overrides": theirs.arguments["overrides"] | loop},
                arm=name,
                minutes=self.size.voice,
            )
        overrides = loop | self.size.model
        arguments: dict[str, Any] = {**self.corpus.at, "stage": "prosody.ditto", "size": self.name}
        needs: list[str] = []
        if arm.encoder:
            arguments["encoder"] = f"encoder/{arm.encoder}/{seed}"
            needs += ["speakers", arguments["encoder"]]
            overrides["encoder_rate"] = "1"
            if arm.encoder == "random":
                overrides["encoder_weights"] = "random"
        if arm.latents == "vae":
            arguments["runs"] = {"latents": f"{VAE}/{first}"}
            needs.append(f"{VAE}/{first}")
        else:
            overrides["latents"] = arm.latents
        return StudyJob(
            name=f"voice/{name}/{seed}",
            call=f"{common.STAGES}:train",
            arguments=arguments | {"overrides": overrides},
            needs=tuple(needs),
            arm=name,
            seed=seed,
            minutes=self.size.voice,
        )

    def _speech(self, arm: str, seed: int, voice: str, **how: Any) -> StudyJob:
        """The arm `voice` speaking as the row `arm`; Grad-TTS has no reference and no such settings."""
        latents = ARMS[voice].latents
        more: dict[str, Any] = {"settings": self.defaults, "prompts": True} if latents else {}
        more["minutes"] = self.size.speech[latents]
        return common.speech_job(arm, seed, voice=f"voice/{voice}/{seed}", **more | how)


def _overrides(steps: int, warmup: int, seed: int) -> dict[str, str]:
    every = str(max(1, steps // 5))
    return {
        "loop.steps": str(steps),
        "loop.seed": str(seed),
        "loop.save_every": every,
        "loop.validate_every": every,
        "optim.warmup": str(warmup),
    }


def voice_steps(plan: StudyPlan) -> dict[str, int]:
    """Arm -> steps of its voice."""
    return {
        j.arm: int(j.arguments["overrides"]["loop.steps"]) for j in plan.jobs if j.name.startswith("voice/")
    }
