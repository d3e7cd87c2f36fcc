"""`intona study restyle`: what diffusion on the latents of a frozen voice gains in style and loses in words.

An arm is a restyling model: all arms have the same voice, recordings, seed, sampler and minutes of training,
and differ in what their name says. Each says the test in two opposite styles at six guidance scales; one
evaluation judges all of it, with decode(Z_text), decode(Z_audio) and the recordings beside it. The rule of
the verdict is in `verdict.py`, the test in `trial.py`, the probes in `probes.py`.

Size small takes about 9.4 hours of one core for two seeds; see docs/restyle.md. Size toy is a smoke run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.study import Arm, Job, Plan, common
from intona.systems.restyle.verdict import PRIMARY

HERE = "intona.systems.restyle"
JUDGES = ("asr", "distillmos")
FAMILY = ("wer", "cer", "distillmos")
GUIDANCES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
DECIDING = (1.0, PRIMARY, 10.0)  # what the verdict and the claims are about: all that further seeds speak at
CONTROL = "text"  # decode(Z_text)
POSTERIOR, STYLE = "encoder/posterior", "encoder/style"  # jobs that all arms stand on
PAPER_NETWORK = (
    ("align", "none"),
    ("model.network.kind", "unet2d"),
    ("model.network.tokens", "1"),
    ("model.masked", "false"),
    ("model.normalize", "false"),
    ("model.partial", "0"),
)


@dataclass(frozen=True, kw_only=True)
class Restyled:
    """An arm: its stage, how its config differs, and what else it stands on.

    Attributes:
        tuned: a decoder tuned to the recordings speaks in place of the voice's; the model is that of `of`.
        embedding: the condition is the style embedding.
    """

    what: str
    stage: str = "restyle.palette"
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: bool = False
    tuned: bool = False
    of: str = ""
    optional: bool = False
    repeated: bool = False
    swapped: bool = False


TWO_D = (("model.network.kind", "unet2d"), ("model.network.tokens", "4"))
ARMS = {
    "palette": Restyled(what="v-diffusion, aligned, 1-D, real frames", repeated=True, swapped=True),
    "palette-unaligned": Restyled(
        what="palette on the voice's own durations", overrides=(("align", "none"),), repeated=True
    ),
    "palette-2d": Restyled(what="palette with latents as an image", overrides=TWO_D),
    "palette-embedding": Restyled(what="palette under the style embedding", embedding=True),
    "palette-decoder": Restyled(
        what="palette, its sound by a tuned copy of the decoder", tuned=True, of="palette"
    ),
    "bridge": Restyled(
        what="I2SB, aligned, 1-D, real frames", stage="restyle.bridge", repeated=True, swapped=True
    ),
    "bridge-unaligned": Restyled(
        what="bridge on the voice's own durations", stage="restyle.bridge", overrides=(("align", "none"),)
    ),
    "paper-palette": Restyled(
        what="the paper's choices: unaligned image, whole canvas, latents as they are",
        overrides=PAPER_NETWORK,
    ),
    "paper-bridge": Restyled(
        what="the same, I2SB with noise on x_1 and OT-ODE",
        stage="restyle.bridge",
        overrides=(
            *PAPER_NETWORK,
            ("model.x1_noise", "true"),
            ("model.ot_ode", "true"),
            ("model.see_text", "false"),
        ),
    ),
    "palette-uniform": Restyled(
        what="palette trained with uniform noise, as the authors' later code",
        overrides=(("model.noise", "uniform"),),
        optional=True,
    ),
    "bridge-2d": Restyled(
        what="bridge with latents as an image", stage="restyle.bridge", overrides=TWO_D, optional=True
    ),
    "bridge-embedding": Restyled(
        what="bridge under the style embedding", stage="restyle.bridge", embedding=True, optional=True
    ),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)
REPEATED = tuple(n for n, a in ARMS.items() if a.repeated)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Steps and warm-up of a stage, and seconds of one core that a step takes."""

    steps: int
    warmup: int
    seconds: float
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def minutes(self) -> float:
        return self.steps * self.seconds / 60


@dataclass(frozen=True, kw_only=True)
class Size:
    """A study's size.

    `image` is the work of an arm whose network is 2-D: a step costs more, so it gets fewer, in as many
    minutes. `sentences` of the test split, 0 = all; `probed` recordings of train and test; `minutes` of the
    other jobs, "say" of one arm at one scale, "judge" of one such. `guidances`: scales that each model of
    the first seed speaks at.
    """

    posterior: Work
    style: Work
    decoder: Work
    model: Work
    image: Work
    sentences: int
    probed: tuple[int, int]
    minutes: dict[str, float]
    guidances: tuple[float, ...] = GUIDANCES


SIZES = {
    "small": Size(
        posterior=Work(steps=1500, warmup=50, seconds=1.2, overrides=(("pairs", "240"),)),
        style=Work(steps=600, warmup=30, seconds=1.0, overrides=(("tower", "words"),)),
        decoder=Work(steps=500, warmup=20, seconds=1.3),
        model=Work(steps=1500, warmup=100, seconds=0.8),
        # 20 minutes, too. Of width 16 over 384 frames a step takes 15 s of this: 80 steps would show nothing.
        image=Work(
            steps=250,
            warmup=25,
            seconds=4.8,
            overrides=(("model.network.dim", "8"), ("model.segment", "64")),
        ),
        sentences=32,
        probed=(200, 0),
        minutes={"people": 1, "test": 2, "say": 1.6, "probes": 5, "swap": 3, "judge": 2.7},
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
        probed=(24, 8),
        minutes={"people": 0.5, "test": 0.5, "say": 0.2, "probes": 0.5, "swap": 0.2, "judge": 0.2},
        guidances=DECIDING,
    ),
}


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
        UserError: an unknown arm or size, an arm or seed given twice, data that is not prepared.
    """
    chosen = common.chosen("restyle", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    found = common.corpus(data, aligned=False)
    builder = _Builder(size=SIZES[size], preset=size, at=dict(found.at), voice=vits or "piper")
    jobs = builder.shared()
    for number, seed in enumerate(seeds):
        jobs += builder.seed([n for n in chosen if not number or n in repeat], seed, first=not number)
    said = tuple(j.name for j in jobs if j.name.startswith("said/"))
    jobs.append(
        common.judge_job(
            found,
            said,
            measures=JUDGES,
            family=FAMILY,
            asr=asr,
            # The same voice without restyling is what every arm must not fall behind.
            against=[f"{CONTROL}@0"],
            minutes=SIZES[size].minutes["judge"],
        )
    )
    names = (Arm(name=n, what=ARMS[n].what) for n in chosen)
    return Plan(study="restyle", arms=tuple(names), jobs=tuple(jobs))


def at_guidance(arm: str, guidance: float) -> str:
    """The name of an arm's row in the tables: "palette.g3"."""
    return f"{arm}.g{guidance:g}"


@dataclass(frozen=True, kw_only=True)
class _Builder:
    size: Size
    preset: str
    at: dict[str, str]
    voice: str

    def shared(self) -> list[Job]:
        """What no arm and no seed belongs to: posterior, style embedding, test, controls, probes."""
        size, at = self.size, {**self.at, "voice": self.voice}
        return [
            self._stage("encoder/posterior", "restyle.posterior", size.posterior, seed=0),
            self._stage("encoder/style", "restyle.style", size.style, seed=0),
            self._job("people", "sweep:find_people", at, (), "people"),
            self._job(
                "test", "trial:declare_test", {**at, "sentences": size.sentences}, (POSTERIOR,), "test"
            ),
            self._job(f"said/{CONTROL}/0", "sweep:say", at, ("test", "people"), "say"),
            self._job(
                "probes",
                "probes:look",
                {**at, "train": size.probed[0], "test": size.probed[1], "embedding": STYLE},
                (POSTERIOR, STYLE),
                "probes",
            ),
        ]

    def seed(self, arms: Sequence[str], seed: int, *, first: bool) -> list[Job]:
        """A model for each arm and its speech at every scale; the swap of the first seed."""
        trained = [n for n in ARMS if n in {ARMS[a].of or a for a in arms}]
        jobs = [self._model(n, seed) for n in trained]
        if any(ARMS[n].tuned for n in arms):
            work = self.size.decoder
            jobs.append(self._stage(f"encoder/decoder-{seed}", "restyle.decoder", work, seed, (POSTERIOR,)))
        for name in arms:
            jobs += self._speech(name, seed, self.size.guidances if first else DECIDING)
        if first:
            jobs += [self._swap(n, seed) for n in arms if ARMS[n].swapped]
        return jobs

    def _speech(self, name: str, seed: int, guidances: Sequence[float]) -> list[Job]:
        arm = ARMS[name]
        model = f"voice/{arm.of or name}/{seed}"
        decoder = f"encoder/decoder-{seed}" if arm.tuned else ""
        needs = (
            "test",
            "people",
            model,
            *([decoder] if decoder else []),
            *([STYLE] if arm.embedding else []),
        )
        return [
            self._job(
                f"said/{at_guidance(name, g)}/{seed}",
                "sweep:say",
                {**self.at, "voice": self.voice, "model": model, "decoder": decoder, "guidance": g},
                needs,
                "say",
                arm=name,
                seed=seed,
            )
            for g in guidances
        ]

    def _swap(self, name: str, seed: int) -> Job:
        model = f"voice/{name}/{seed}"
        given = {**self.at, "voice": self.voice, "model": model, "guidance": PRIMARY}
        return self._job(
            f"swap/{name}/{seed}", "sweep:swap", given, ("test", "people", model), "swap", arm=name, seed=seed
        )

    def _model(self, name: str, seed: int) -> Job:
        arm = ARMS[name]
        image = dict(arm.overrides).get("model.network.kind") == "unet2d"
        work = self.size.image if image else self.size.model
        needs = (POSTERIOR, *([STYLE] if arm.embedding else []))
        return self._stage(f"voice/{name}/{seed}", arm.stage, work, seed, needs, arm=name, more=arm.overrides)

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
            call=f"{HERE}.sweep:train",
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
            call=f"{HERE}.{call}",
            arguments=arguments,
            needs=needs,
            arm=arm,
            seed=seed,
            minutes=self.size.minutes[kind],
        )
