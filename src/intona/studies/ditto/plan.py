"""`intona study ditto`: latent diffusion on the encoders of the curriculum, over three kinds of latents.

An arm is a voice. Some differ in their text encoder alone (the weights it starts from, as in `study
prosody`, whose encoder jobs these are), some in what is predicted: patches of mel frames, a trained mel VAE,
mel frames; and Grad-TTS stands on the same encoder, recordings and minutes beside them. One voice is spoken
in many ways on dev sentences: steps, guidance, temperature, solver, length, with and without a reference.

Every voice gets the same minutes of a core, so that a step that costs more is taken less often. Three arms of
145 minutes rather than many of an hour: text reaches a voice without durations late, and before that no arm
says anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.studies.engine import common
from intona.studies.engine.plan import Arm, Job, Plan
from intona.studies.prosody import plan as curriculum

COPY_PY = "intona.studies.ditto.copy_synthesis"
JUDGES = ("asr", "speaker", "distillmos", "f0", "against_reference")
FAMILY = ("cer", "sim_o", "distillmos")
LATENT_JUDGES = ("asr", "distillmos", "against_reference")
LATENT_FAMILY = ("cer", "distillmos", "f0_rmse")
SWEEP, JUDGE_SWEEP = "sweep-", "judge-sweep-"  # of names of jobs, before the arm
MAIN = "1+2"  # whose encoder the other latents and Grad-TTS take, and who speaks the sweep
PATCHES = "mel8"
VAE = "encoder/vae"  # the job; its minutes are pretraining, as those of a text encoder
RECORDED, ONE_PACE, NOBODY = "recorded-length", "one-pace", "no-reference"


@dataclass(frozen=True, kw_only=True)
class Voiced:
    """An arm. `encoder` "": the plain one of the preset. `latents`: "vae", "mel", "mel8"; "" is Grad-TTS."""

    what: str
    encoder: str = MAIN
    latents: str = PATCHES
    optional: bool = False
    repeated: bool = False


ARMS = {
    "random": Voiced(what="random text encoder, learned with the voice", encoder="random", repeated=True),
    "1": Voiced(what="masked text", encoder="1", optional=True),
    "1+2": Voiced(what="masked text, then text and sound", repeated=True),
    "1+2+3": Voiced(what="and batches of one phoneme", encoder="1+2+3", optional=True),
    "vae": Voiced(what="1+2, over the latents of a mel VAE", latents="vae", optional=True),
    "frames": Voiced(what="1+2, over plain mel frames", latents="mel", optional=True),
    "gradtts": Voiced(what="1+2 in Grad-TTS, which has phoneme durations", latents="", repeated=True),
    "plain": Voiced(what="the preset's own encoder, phonemes alone", encoder="", optional=True),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class Size:
    """A study's size.

    Args:
        voice: minutes of a core for each voice, whatever a step costs.
        seconds: of a step, by what is predicted ("" is Grad-TTS); `warmup`: share of the steps.
        vae: steps and seconds a step. model: overrides of every prosody.ditto.
        sweep: values of each setting, and temperatures of the ancestral solver; the voice's defaults are the
            middle that all share.
        sentences: of test and of dev, 0 = all. minutes: of the other jobs; "said" by what is predicted.
    """

    voice: float
    seconds: dict[str, float]
    vae: curriculum.Work
    model: dict[str, str]
    sweep: dict[str, tuple[float, ...]]
    sentences: tuple[int, int]
    said: dict[str, float]
    minutes: dict[str, float]
    warmup: float = 0.06


SIZES = {
    "small": Size(
        voice=145,
        seconds={"mel8": 1.6, "vae": 1.6, "mel": 7.5, "": 1.08},
        vae=curriculum.Work(steps=3600, warmup=100, seconds=0.75),
        model={},
        sweep={
            "steps": (5, 10, 25, 50),
            "guidance": (1.0, 2.0, 3.0, 5.0),
            "temperature": (0.0, 0.2, 0.5, 1.0),
            "ancestral": (0.5,),
        },
        sentences=(0, 10),
        said={"mel8": 4, "vae": 4, "mel": 8, "": 3},
        minutes={"test": 4, "dev": 1, "copy": 3, "sweep": 1, "judge": 3, "judge-sweep": 0.8},
    ),
    "toy": Size(
        voice=0.5,
        seconds={"mel8": 0.3, "vae": 0.3, "mel": 1.0, "": 0.4},
        vae=curriculum.Work(steps=60, warmup=10, seconds=0.3),
        model={},
        sweep={"steps": (2, 4), "guidance": (1.0, 2.0), "temperature": (0.5, 1.0), "ancestral": (0.8,)},
        sentences=(3, 2),
        said={"mel8": 0.4, "vae": 0.4, "mel": 0.4, "": 0.4},
        minutes={"test": 0.3, "dev": 0.2, "copy": 0.2, "sweep": 0.2, "judge": 0.3, "judge-sweep": 0.2},
    ),
}
# Of prosody.ditto, said so that no later default changes a study.
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
) -> Plan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        voice_minutes: of a core for each voice, instead of the size's. The rest as in `study prosody`.

    Raises:
        UserError: an unknown arm or size, a seed given twice, data that is not prepared and aligned.
    """
    chosen = common.chosen("ditto", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus = common.corpus(data, aligned=True)
    builder = _Builder(
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
    return Plan(study="ditto", arms=tuple(Arm(name=n, what=ARMS[n].what) for n in chosen), jobs=tuple(jobs))


def _curriculum(
    data: Path,
    size: str,
    seeds: Sequence[int],
    chosen: Sequence[str],
    repeat: Sequence[str],
    texts: Path | None,
) -> dict[str, Job]:
    """Jobs of `study prosody` by name: encoders that these arms stand on, and Grad-TTS voices on them."""

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
class _Builder:
    name: str
    size: Size
    corpus: common.Corpus
    encoders: dict[str, Job]
    defaults: dict[str, Any]

    def shared(self, arms: Sequence[str], seed: int, asr: str) -> list[Job]:
        """The test, the mel VAE, and what latents alone lose, judged against the vocoder alone."""
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
                Job(
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

    def seed(self, arms: Sequence[str], seed: int, first: int) -> list[Job]:
        """The encoders that these arms need, then each voice and its speech."""
        wanted: set[str] = set()
        for arm in arms:
            if ARMS[arm].encoder:
                plan = Plan(study="", arms=(), jobs=tuple(self.encoders.values()))
                wanted.update(j.name for j in plan.chain(f"encoder/{ARMS[arm].encoder}/{seed}"))
        jobs = [j for n, j in self.encoders.items() if n in wanted and n.startswith("encoder/")]
        for arm in arms:
            jobs.append(self._voice(arm, seed, first))
            jobs.append(self._said(arm, seed, arm))
        if MAIN in arms and seed == first:
            jobs.append(self._said(f"{MAIN}-{RECORDED}", seed, MAIN, lengths=True))
        return jobs

    def sweep(self, arm: str, seed: int, asr: str) -> list[Job]:
        """One voice spoken with other steps, other guidance, the recordings' lengths, and no reference.

        The names hold the arm: a study that gets more arms may have another one here.
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
            said = self._said(name, seed, arm, minutes=self.size.minutes["sweep"], **where, **how)
            jobs.append(said)
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

    def _vae(self, seed: int) -> Job:
        work = self.size.vae
        return Job(
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

    def _voice(self, name: str, seed: int, first: int) -> Job:
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
        return Job(
            name=f"voice/{name}/{seed}",
            call=f"{common.STAGES}:train",
            arguments=arguments | {"overrides": overrides},
            needs=tuple(needs),
            arm=name,
            seed=seed,
            minutes=self.size.voice,
        )

    def _said(self, arm: str, seed: int, voice: str, **how: Any) -> Job:
        """`voice` speaking as the row `arm`; Grad-TTS has no reference and its own settings."""
        latents = ARMS[voice].latents
        more: dict[str, Any] = {"settings": self.defaults, "prompts": True} if latents else {}
        more["minutes"] = self.size.said[latents]
        return common.said_job(arm, seed, voice=f"voice/{voice}/{seed}", **more | how)


def _overrides(steps: int, warmup: int, seed: int) -> dict[str, str]:
    every = str(max(1, steps // 5))
    return {
        "loop.steps": str(steps),
        "loop.seed": str(seed),
        "loop.save_every": every,
        "loop.validate_every": every,
        "optim.warmup": str(warmup),
    }


def voice_steps(plan: Plan) -> dict[str, int]:
    """Steps of each voice by arm."""
    return {
        j.arm: int(j.arguments["overrides"]["loop.steps"]) for j in plan.jobs if j.name.startswith("voice/")
    }
