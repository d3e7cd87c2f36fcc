"""`intona study restyle`: what diffusion on the latents of a frozen voice gains in style and loses in words.

An arm is a restyling model: all arms have the same voice, recordings, seed, sampler and minutes of training,
and differ in what their name says. Each says the test in two opposite styles, `palette-own` at six guidance
scales, the others at those that they are compared at; one evaluation judges all of it, with decode(Z_text),
decode(Z_audio) and the recordings beside it. The rule of the verdict is in `verdict.py`, the test in
`trial.py`, what the posterior bounds in `gate.py`, the probes in `probes.py`.

What size small costs `--dry-run` prints; see docs/restyle.md. Size toy is a smoke run.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.data.prepared import Prepared
from intona.encoders.sentence import MODULE
from intona.errors import UserError
from intona.studies.engine import common
from intona.studies.engine.plan import Arm, Job, Plan
from intona.studies.restyle.arms import (
    ARMS,
    DECIDING,
    DEFAULT_ARMS,
    GATE,
    GUIDANCES,
    POSTERIOR,
    REPEATED,
    STYLE,
    claimed,
)
from intona.studies.restyle.verdict import PRIMARY, at_guidance

JOBS_PY = "intona.studies.restyle.jobs"
CONDITIONS_PY = "intona.studies.restyle.conditions"
GATE_PY = "intona.studies.restyle.gate"
PROBES_PY = "intona.studies.restyle.probes"
JUDGES = ("asr", "distillmos")
FAMILY = ("wer", "cer", "distillmos")
CONTROL = "text"  # decode(Z_text)
PACED = "text-rate"  # the same at the reference's rate
PUSHED = "text-pitch"  # the same, pushed along the voice's pitch axis: no model


@dataclass(frozen=True, kw_only=True)
class Work:
    """Steps and warm-up of a stage, seconds of one core that a step takes, minutes before the first."""

    steps: int
    warmup: int
    seconds: float
    before: float = 0.0
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def minutes(self) -> float:
        return self.before + self.steps * self.seconds / 60


@dataclass(frozen=True, kw_only=True)
class Size:
    """A study's size.

    `image` is the work of an arm whose network is 2-D: a step costs more, so it gets fewer, in as many
    minutes. `sentences` of the test split, 0 = all; `own` sentences that the voice says to be trained on;
    `probed` recordings of train and test; `minutes` of the other jobs: "say" of one arm at one scale,
    "drawn" of one whose network is 2-D, "same" where both styles are one sound, "judge" and "judge same" of
    such rows. `guidances`: scales at most that a model speaks at.
    """

    posterior: Work
    style: Work
    decoder: Work
    model: Work
    image: Work
    sentences: int
    own: int
    probed: tuple[int, int]
    minutes: dict[str, float]
    guidances: tuple[float, ...] = field(default=GUIDANCES)


SIZES = {
    "small": Size(
        posterior=Work(steps=1500, warmup=50, seconds=1.2, before=10, overrides=(("pairs", "1008"),)),
        style=Work(steps=600, warmup=30, seconds=1.0, before=6),  # before: prosody of the corpus, once
        decoder=Work(steps=500, warmup=20, seconds=1.3),
        # Half of the preset's width: three times as many steps in the same minutes.
        model=Work(
            steps=1600,
            warmup=100,
            seconds=0.4,
            before=1,
            overrides=(("model.network.dim", "128"), ("optim.lr", "8e-4")),
        ),
        # 11 minutes, too. Of width 16 over 384 frames a step takes 16 s of this: 40 steps would show nothing.
        image=Work(
            steps=128,
            warmup=15,
            seconds=5.0,
            before=1,
            overrides=(("model.network.dim", "8"), ("model.segment", "64")),
        ),
        sentences=24,
        own=450,
        probed=(150, 60),
        minutes={
            "people": 1,
            "test": 2,
            "gate": 5,
            "own": 6,
            "say": 1.5,
            "drawn": 6,
            "same": 0.7,
            "probes": 5,
            "swap": 2,
            "judge": 1.6,
            "judge same": 0.9,
        },
    ),
    "toy": Size(
        posterior=Work(steps=40, warmup=4, seconds=0.3, overrides=(("pairs", "12"),)),
        style=Work(steps=30, warmup=4, seconds=0.3),
        decoder=Work(steps=4, warmup=1, seconds=2.0),
        model=Work(steps=40, warmup=4, seconds=0.2),
        image=Work(
            steps=10,
            warmup=2,
            seconds=0.8,
            # Validation of an image costs more than so few steps.
            overrides=(("model.network.dim", "8"), ("model.segment", "32"), ("loop.validate_every", "10")),
        ),
        sentences=2,
        own=12,
        probed=(24, 8),
        minutes={
            "people": 0.5,
            "test": 0.5,
            "gate": 0.5,
            "own": 0.4,
            "say": 0.2,
            "drawn": 0.5,
            "same": 0.2,
            "probes": 0.5,
            "swap": 0.2,
            "judge": 0.2,
            "judge same": 0.1,
        },
        guidances=DECIDING,
    ),
}
PIPER = "piper"


def text_tower() -> str:
    """Of the style embedding: MiniLM where its wheel is installed, else the words that can be measured."""
    return "words" if importlib.util.find_spec(MODULE) is None else "minilm"


def declare(
    *,
    data: Path,
    size: str = "small",
    seeds: Sequence[int] = (0,),
    arms: Sequence[str] = DEFAULT_ARMS,
    repeat: Sequence[str] = REPEATED,
    vits: str | None = None,
    asr: str = "offline",
) -> Plan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        seeds: of the models' training; every arm has the first, those in `repeat` all.
        vits: the frozen voice, "piper" if None.
        asr: the recognizer of WER and CER, "none" for none.

    Raises:
        UserError: an unknown arm or size, an arm or seed given twice, data that is not prepared, or is in
            another language than the voice's.
    """
    chosen = common.chosen("restyle", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    found = common.corpus(data, aligned=False)
    _require_language(found.prepared, vits or PIPER)
    builder = _Builder(
        size=SIZES[size],
        preset=size,
        at=dict(found.at),
        voice=vits or PIPER,
        language=found.language,
        asr=asr,
    )
    jobs = builder.shared()
    for number, seed in enumerate(seeds):
        jobs += builder.seed([n for n in chosen if not number or n in repeat], seed, first=not number)
    said = tuple(j.name for j in jobs if j.name.startswith("said/"))
    judge = common.judge_job(
        found,
        said,
        measures=JUDGES,
        family=FAMILY,
        asr=asr,
        # The same voice without restyling is what every arm must not fall behind.
        against=[f"{CONTROL}@0"],
        minutes=0,
    )
    minutes = SIZES[size].minutes
    # The recognizer hears a sound once, however many rows it stands in. The two more: recording and copy.
    same = 2 + sum(j.minutes == minutes["same"] for j in jobs if j.name in said)
    whole = same * minutes["judge same"] + (len(said) + 2 - same) * minutes["judge"]
    jobs.append(dataclasses.replace(judge, minutes=whole))
    names = (Arm(name=n, what=ARMS[n].what) for n in chosen)
    return Plan(study="restyle", arms=tuple(names), jobs=tuple(jobs))


def _require_language(prepared: Prepared, voice: str) -> None:
    from intona.latents.vits import language_of
    from intona.systems.restyle.posterior import require_language

    try:
        language = language_of(voice)
    except UserError:  # a plan can be looked at without the voice: `study.needs` says that it is not there
        return
    require_language(prepared, Path(voice).name, language)


@dataclass(frozen=True, kw_only=True)
class _Builder:
    size: Size
    preset: str
    at: dict[str, str]
    voice: str
    language: str
    asr: str

    def shared(self) -> list[Job]:
        """What belongs to no arm: posterior, its gate, style embedding, test, controls, probes."""
        size, at = self.size, {**self.at, "voice": self.voice}
        control = f"said/{CONTROL}/0"
        judged = {"language": self.language, "asr": self.asr, "control": control, "sentences": 16}
        test = {**at, "sentences": size.sentences}
        probed = {**at, "train": size.probed[0], "test": size.probed[1], "embedding": STYLE}
        return [
            self._stage(POSTERIOR, "restyle.posterior", size.posterior, seed=0),
            self._job("people", f"{JOBS_PY}:find_people", at, (), "people"),
            self._job("test", f"{CONDITIONS_PY}:declare_test", test, (POSTERIOR,), "test"),
            self._job(control, f"{JOBS_PY}:say", at, ("test", "people"), "same"),
            self._job(GATE, f"{GATE_PY}:look", {**at, **judged}, ("test", POSTERIOR, control), "gate"),
            self._job(f"said/{PACED}/0", f"{JOBS_PY}:say", {**at, "paced": True}, ("test", "people"), "say"),
            self._stage(STYLE, "restyle.style", size.style, seed=0, more=(("tower", text_tower()),)),
            self._job("probes", f"{PROBES_PY}:look", probed, (POSTERIOR, STYLE), "probes"),
        ]

    def seed(self, arms: Sequence[str], seed: int, *, first: bool) -> list[Job]:
        """A model for each arm and its speech at every scale; the swap of the first seed."""
        trained = [n for n in ARMS if n in {ARMS[a].of or a for a in arms}]
        jobs: list[Job] = []
        if any(ARMS[n].own for n in trained):
            own = {**self.at, "voice": self.voice, "sentences": self.size.own, "seed": seed}
            speech = f"encoder/own-{seed}"
            jobs.append(self._job(speech, f"{JOBS_PY}:speak_own", own, (), "own"))
            if first:
                given = {**self.at, "voice": self.voice, "pushed": speech}
                jobs.append(
                    self._job(f"said/{PUSHED}/0", f"{JOBS_PY}:say", given, ("test", "people", speech), "say")
                )
        jobs += [self._model(n, seed) for n in trained]
        if any(ARMS[n].tuned for n in arms):
            work = self.size.decoder
            jobs.append(self._stage(f"encoder/decoder-{seed}", "restyle.decoder", work, seed, (POSTERIOR,)))
        for name in arms:
            mine = set(ARMS[name].scales) if first else {PRIMARY, *claimed().get(name, ())}
            jobs += self._speech(name, seed, [g for g in self.size.guidances if g in mine])
        if first:
            jobs += [self._swap(n, seed) for n in arms if ARMS[n].swapped]
        return jobs

    def _speech(self, name: str, seed: int, guidances: Sequence[float]) -> list[Job]:
        arm = ARMS[name]
        model = f"voice/{arm.of or name}/{seed}"
        given: dict[str, Any] = {**self.at, "voice": self.voice, "model": model}
        needs = ["test", "people", model]
        if arm.tuned:
            given["decoder"] = f"encoder/decoder-{seed}"
            needs.append(given["decoder"])
        if arm.embedding:
            needs.append(STYLE)
        if arm.described:
            given["described"] = True
        kind = "drawn" if self._image(name) else "say"
        return [
            self._job(
                f"said/{at_guidance(name, g)}/{seed}",
                f"{JOBS_PY}:say",
                {**given, "guidance": g},
                tuple(needs),
                kind if g else "same",
                arm=name,
                seed=seed,
            )
            for g in guidances
        ]

    def _swap(self, name: str, seed: int) -> Job:
        model = f"voice/{name}/{seed}"
        given = {**self.at, "voice": self.voice, "model": model, "guidance": PRIMARY}
        needs = ("test", "people", model)
        job = self._job(f"swap/{name}/{seed}", f"{JOBS_PY}:swap", given, needs, "swap", arm=name, seed=seed)
        # The Piper voice has one speaker: the job says so and ends.
        return dataclasses.replace(job, minutes=0.0) if self.voice == PIPER else job

    @staticmethod
    def _image(name: str) -> bool:
        return dict(ARMS[ARMS[name].of or name].overrides).get("model.network.kind") == "unet2d"

    def _model(self, name: str, seed: int) -> Job:
        arm = ARMS[name]
        work = self.size.image if self._image(name) else self.size.model
        if arm.slower != 1:
            steps = round(work.steps / arm.slower)
            work = dataclasses.replace(work, steps=steps, seconds=work.seconds * work.steps / steps)
        more = arm.overrides
        if arm.own:
            more = (*more, ("speech", "own"), ("sentences", str(self.size.own)))
            needs: tuple[str, ...] = (f"encoder/own-{seed}",)
        else:
            needs = (POSTERIOR, *([STYLE] if arm.embedding else []))
        return self._stage(f"voice/{name}/{seed}", arm.stage, work, seed, needs, arm=name, more=more)

    def _stage(
        self,
        name: str,
        stage: str,
        work: Work,
        seed: int,
        needs: tuple[str, ...] = (),
        *,
        arm: str = "",
        more: Sequence[tuple[str, str]] = (),
    ) -> Job:
        every = str(max(1, work.steps // 5))
        overrides = {
            "loop.steps": str(work.steps),
            "loop.seed": str(seed),
            "loop.save_every": every,
            "loop.validate_every": every,
            "optim.warmup": str(work.warmup),
            **dict(work.overrides),
            **dict(more),
        }
        return Job(
            name=name,
            call=f"{JOBS_PY}:train",
            arguments={
                **self.at,
                "stage": stage,
                "size": self.preset,
                "overrides": overrides,
                "voice": self.voice,
                "posterior": POSTERIOR if POSTERIOR in needs else "",
                "style": STYLE if STYLE in needs else "",
            },
            needs=needs,
            arm=arm,
            seed=seed if arm else None,
            minutes=work.minutes,
        )

    def _job(
        self,
        name: str,
        call: str,
        arguments: dict[str, Any],
        needs: tuple[str, ...],
        kind: str,
        *,
        arm: str = "",
        seed: int | None = None,
    ) -> Job:
        return Job(
            name=name,
            call=call,
            arguments=arguments,
            needs=needs,
            arm=arm,
            seed=seed,
            minutes=self.size.minutes[kind],
        )
