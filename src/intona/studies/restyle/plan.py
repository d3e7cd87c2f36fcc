"""`intona study restyle`: what diffusion on the latents of a frozen voice gains in style and loses in words.

An arm is a restyling model. All arms have the same voice, recordings, seed, sampler and minutes of training.
Each speaks the test set in two opposite styles: `palette-own` at six guidance scales, the others at the
scales where they are compared. One evaluation covers all of them, with decode(Z_text), decode(Z_audio) and
the recordings. The rule of the verdict is in `verdict.py`, the test set in `conditions.py`, the limits set by
the posterior in `gate.py`, the probes in `probes.py`.

`--dry-run` prints the cost of size small; see docs/notebook/restyle.md. Size toy is a smoke test.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.data.prepared import Prepared
from intona.encoders.sentence import MODULE
from intona.errors import UserError
from intona.studies.engine import common
from intona.studies.engine.plan import Arm, StudyJob, StudyPlan
from intona.studies.restyle.arms import (
    ARMS,
    DEFAULT_ARMS,
    GATE,
    POSTERIOR,
    REPEATED,
    STYLE,
    claimed,
)
from intona.studies.restyle.sizes import SIZES, RestyleBudget, RestyleSize
from intona.studies.restyle.verdict import PRIMARY, at_guidance

JOBS_PY = "intona.studies.restyle.jobs"
SPEAKERS_PY = "intona.studies.restyle.speakers"
SPEECH_PY = "intona.studies.restyle.speech"
CONDITIONS_PY = "intona.studies.restyle.conditions"
GATE_PY = "intona.studies.restyle.gate"
PROBES_PY = "intona.studies.restyle.probes"
JUDGES = ("asr", "distillmos")
FAMILY = ("wer", "cer", "distillmos")
CONTROL = "text"  # decode(Z_text)
PACED = "text-rate"  # the same at the rate of the reference
PUSHED = "text-pitch"  # the same with the noise pushed along the pitch axis, without a model


PIPER = "piper"


def text_tower() -> str:
    """The text encoder of the style embedding: MiniLM if its wheel is installed, else "words"."""
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
) -> StudyPlan:
    """The jobs of the study, the whole first seed before the second.

    Args:
        seeds: of training. Every arm is trained with the first seed, those in `repeat` with all.
        vits: the frozen voice; None = "piper".
        asr: the recognizer of WER and CER, "none" for none.

    Raises:
        UserError: an unknown arm or size, a repeated arm or seed, data that is not prepared or is in another
            language than the voice's.
    """
    chosen = common.chosen("restyle", ARMS, arms=arms, repeat=repeat, seeds=seeds, size=size, sizes=SIZES)
    corpus = common.corpus(data, aligned=False)
    require_language(corpus.prepared, vits or PIPER)
    builder = RestylePlanner(
        size=SIZES[size],
        preset=size,
        at=dict(corpus.at),
        voice=vits or PIPER,
        language=corpus.language,
        asr=asr,
    )
    jobs = builder.shared()
    for number, seed in enumerate(seeds):
        jobs += builder.seed([n for n in chosen if not number or n in repeat], seed, first=not number)
    speech = tuple(j.name for j in jobs if j.name.startswith("said/"))
    judge = common.judge_job(
        corpus,
        speech,
        measures=JUDGES,
        family=FAMILY,
        asr=asr,
        # The baseline is the same voice without restyling.
        against=[f"{CONTROL}@0"],
        minutes=0,
    )
    minutes = SIZES[size].minutes
    # The recognizer transcribes identical audio once. Two more rows: the recording and copy synthesis.
    same = 2 + sum(j.minutes == minutes["same"] for j in jobs if j.name in speech)
    whole = same * minutes["judge same"] + (len(speech) + 2 - same) * minutes["judge"]
    jobs.append(dataclasses.replace(judge, minutes=whole))
    names = (Arm(name=n, what=ARMS[n].what) for n in chosen)
    return StudyPlan(study="restyle", arms=tuple(names), jobs=tuple(jobs))


def require_language(prepared: Prepared, voice: str) -> None:
    from intona.systems.restyle import posterior
    from intona.systems.restyle.vits import language_of

    try:
        language = language_of(voice)
    except UserError:  # the plan can be printed without the voice; `needs` reports that it is missing
        return
    posterior.require_language(prepared, Path(voice).name, language)


@dataclass(frozen=True, kw_only=True)
class RestylePlanner:
    """Builds the jobs of a study on one corpus and one frozen voice.

    Args:
        preset: the name of the size, from which the configs of the stages start. at: see `StudyCorpus`.
    """

    size: RestyleSize
    preset: str
    at: dict[str, str]
    voice: str
    language: str
    asr: str

    def shared(self) -> list[StudyJob]:
        """Jobs of no arm: posterior and gate, style embedding, test set, controls, probes."""
        size, at = self.size, {**self.at, "voice": self.voice}
        control = f"said/{CONTROL}/0"
        judged = {"language": self.language, "asr": self.asr, "control": control, "sentences": 16}
        test = {**at, "sentences": size.sentences}
        probed = {**at, "train": size.probed[0], "test": size.probed[1], "embedding": STYLE}
        return [
            self.stage_job(POSTERIOR, "restyle.posterior", size.posterior, seed=0),
            self.job("people", f"{SPEAKERS_PY}:measure_speakers", at, (), "people"),
            self.job("test", f"{CONDITIONS_PY}:declare_test", test, (POSTERIOR,), "test"),
            self.job(control, f"{SPEECH_PY}:speak", at, ("test", "people"), "same"),
            self.job(GATE, f"{GATE_PY}:measure_gate", {**at, **judged}, ("test", POSTERIOR, control), "gate"),
            self.job(
                f"said/{PACED}/0", f"{SPEECH_PY}:speak", {**at, "paced": True}, ("test", "people"), "say"
            ),
            self.stage_job(STYLE, "restyle.style", size.style, seed=0, more=(("tower", text_tower()),)),
            self.job("probes", f"{PROBES_PY}:run_probes", probed, (POSTERIOR, STYLE), "probes"),
        ]

    def seed(self, arms: Sequence[str], seed: int, *, first: bool) -> list[StudyJob]:
        """A model for each arm and its speech at each scale; the swap in the first seed."""
        trained = [n for n in ARMS if n in {ARMS[a].of or a for a in arms}]
        jobs: list[StudyJob] = []
        if any(ARMS[n].synthetic for n in trained):
            synthetic = {**self.at, "voice": self.voice, "sentences": self.size.synthetic, "seed": seed}
            speech = f"encoder/own-{seed}"
            jobs.append(self.job(speech, f"{JOBS_PY}:synthesize_corpus", synthetic, (), "own"))
            if first:
                arguments = {**self.at, "voice": self.voice, "pushed": speech}
                jobs.append(
                    self.job(
                        f"said/{PUSHED}/0", f"{SPEECH_PY}:speak", arguments, ("test", "people", speech), "say"
                    )
                )
        jobs += [self.model_job(n, seed) for n in trained]
        if any(ARMS[n].tuned for n in arms):
            work = self.size.decoder
            jobs.append(
                self.stage_job(f"encoder/decoder-{seed}", "restyle.decoder", work, seed, (POSTERIOR,))
            )
        for name in arms:
            mine = set(ARMS[name].scales) if first else {PRIMARY, *claimed().get(name, ())}
            jobs += self._speech(name, seed, [g for g in self.size.guidances if g in mine])
        if first:
            jobs += [self._swap(n, seed) for n in arms if ARMS[n].swapped]
        return jobs

    def _speech(self, name: str, seed: int, guidances: Sequence[float]) -> list[StudyJob]:
        arm = ARMS[name]
        model = f"voice/{arm.of or name}/{seed}"
        arguments: dict[str, Any] = {**self.at, "voice": self.voice, "model": model}
        needs = ["test", "people", model]
        if arm.tuned:
            arguments["decoder"] = f"encoder/decoder-{seed}"
            needs.append(arguments["decoder"])
        if arm.embedding:
            needs.append(STYLE)
        if arm.described:
            arguments["described"] = True
        kind = "drawn" if self._image(name) else "say"
        return [
            self.job(
                f"said/{at_guidance(name, g)}/{seed}",
                f"{SPEECH_PY}:speak",
                {**arguments, "guidance": g},
                tuple(needs),
                kind if g else "same",
                arm=name,
                seed=seed,
            )
            for g in guidances
        ]

    def _swap(self, name: str, seed: int) -> StudyJob:
        model = f"voice/{name}/{seed}"
        arguments = {**self.at, "voice": self.voice, "model": model, "guidance": PRIMARY}
        needs = ("test", "people", model)
        job = self.job(
            f"swap/{name}/{seed}", f"{SPEECH_PY}:swap", arguments, needs, "swap", arm=name, seed=seed
        )
        # The Piper voice has one speaker, so its swap ends at once.
        return dataclasses.replace(job, minutes=0.0) if self.voice == PIPER else job

    @staticmethod
    def _image(name: str) -> bool:
        return dict(ARMS[ARMS[name].of or name].overrides).get("model.network.kind") == "unet2d"

    def model_job(self, name: str, seed: int) -> StudyJob:
        arm = ARMS[name]
        work = self.size.image if self._image(name) else self.size.model
        if arm.slower != 1:
            steps = round(work.steps / arm.slower)
            work = dataclasses.replace(work, steps=steps, seconds=work.seconds * work.steps / steps)
        more = arm.overrides
        if arm.synthetic:
            more = (*more, ("speech", "own"), ("sentences", str(self.size.synthetic)))
            needs: tuple[str, ...] = (f"encoder/own-{seed}",)
        else:
            needs = (POSTERIOR, *([STYLE] if arm.embedding else []))
        return self.stage_job(f"voice/{name}/{seed}", arm.stage, work, seed, needs, arm=name, more=more)

    def stage_job(
        self,
        name: str,
        stage: str,
        work: RestyleBudget,
        seed: int,
        needs: tuple[str, ...] = (),
        *,
        arm: str = "",
        more: Sequence[tuple[str, str]] = (),
    ) -> StudyJob:
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
        return StudyJob(
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

    def job(
        self,
        name: str,
        call: str,
        arguments: dict[str, Any],
        needs: tuple[str, ...],
        kind: str,
        *,
        arm: str = "",
        seed: int | None = None,
    ) -> StudyJob:
        return StudyJob(
            name=name,
            call=call,
            arguments=arguments,
            needs=needs,
            arm=arm,
            seed=seed,
            minutes=self.size.minutes[kind],
        )
