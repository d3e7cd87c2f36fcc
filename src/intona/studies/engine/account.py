"""What a study will cost, what it has cost and what is left to do: rows for the terminal and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intona.studies.engine import job as jobs
from intona.studies.engine.plan import StudyJob, StudyPlan
from intona.studies.engine.runner import StudyOutcome

PRETRAINING, VOICE = "encoder/", "voice/"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Minutes of one core for one arm and seed, planned and spent.

    `pretraining` counts every stage that the voice builds on, stages shared with other arms included.
    """

    arm: str
    seed: int | None
    pretraining: tuple[float, float]
    voice: tuple[float, float]
    other: tuple[float, float]


def costs(plan: StudyPlan, out: Path) -> list[Cost]:
    """One row for each voice of the plan, and for each arm that speaks with another arm's voice.

    In a plan without voices there is one for each arm and seed.
    """
    voices = {(j.arm, j.seed): j for j in plan.jobs if j.name.startswith(VOICE)}
    if not voices:
        return _costs_without_voices(plan, out)
    spoken = {j.name for j in voices.values()}
    rows = []
    # Jobs that build on a voice directly: its speech, its transcripts.
    following = [j for j in plan.jobs if spoken.intersection(j.needs)]
    for arm, seed in dict.fromkeys([*voices, *((j.arm, j.seed) for j in following)]):
        voice = voices.get((arm, seed))
        chain = plan.chain(voice.name) if voice else ()
        rows.append(
            Cost(
                arm=arm,
                seed=seed,
                pretraining=_minutes([j for j in chain if j.name.startswith(PRETRAINING)], out),
                voice=_minutes([voice] if voice else [], out),
                other=_minutes([j for j in following if (j.arm, j.seed) == (arm, seed)], out),
            )
        )
    return rows


def _costs_without_voices(plan: StudyPlan, out: Path) -> list[Cost]:
    arms = {a.name for a in plan.arms}
    rows = []
    for arm, seed in dict.fromkeys((j.arm, j.seed) for j in plan.jobs if j.arm in arms):
        jobs_of_arm = [j for j in plan.jobs if (j.arm, j.seed) == (arm, seed)]
        chains = {e.name: e for j in jobs_of_arm for e in plan.chain(j.name)}
        rows.append(
            Cost(
                arm=arm,
                seed=seed,
                pretraining=_minutes([e for n, e in chains.items() if n.startswith(PRETRAINING)], out),
                voice=(0.0, 0.0),
                other=_minutes([j for j in jobs_of_arm if not j.name.startswith(PRETRAINING)], out),
            )
        )
    return rows


def total(plan: StudyPlan, out: Path) -> tuple[float, float]:
    """Minutes of one core over all jobs, each counted once: planned, spent."""
    return _minutes(list(plan.jobs), out)


def _minutes(some: list[StudyJob], out: Path) -> tuple[float, float]:
    return sum(j.minutes for j in some), sum(jobs.spent(out, j.name)[1] for j in some) / 60


def plan_lines(plan: StudyPlan, out: Path, workers: int) -> list[str]:
    """The plan as a Markdown table with its budget, before anything runs."""
    planned, _ = total(plan, out)
    speaks = any(j.name.startswith(VOICE) for j in plan.jobs)
    lines = [
        f"study {plan.study}: {len(plan.arms)} arms, {len(plan.jobs)} jobs, about {_span(planned)} of one "
        "core" + (f", {_span(planned / workers)} with {workers} workers" if workers > 1 else ""),
        "",
        f"| arm | seed | pretraining, min | voice, min | {'its speech' if speaks else 'measures'}, min "
        "| what it is |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    what = {a.name: a.what for a in plan.arms}
    rows = costs(plan, out)
    for c in rows:
        lines.append(
            f"| {c.arm} | {c.seed} | {_shown(c.pretraining[0])} | {_shown(c.voice[0])} "
            f"| {_shown(c.other[0])} | {what.get(c.arm, '')} |"
        )
    equal = len({round(c.voice[0], 6) for c in rows if c.voice[0]}) <= 1
    if not speaks:
        return [*lines, "", "Minutes of one core. Stages that several arms build on run once."]
    lines += [
        "",
        f"Minutes of one core. Voices: {'the same budget for each' if equal else 'budgets that DIFFER'}. "
        "Stages that several arms build on run once. None: nothing is trained for this arm, or it speaks "
        "with another arm's voice.",
    ]
    return lines


def _shown(minutes: float) -> str:
    """Minutes; a time of seconds is not shown as 0, and no work at all is "none"."""
    if not minutes:
        return "none"
    if minutes < 0.05:
        return "<0.1"
    return f"{minutes:.1f}" if minutes < 9.95 else f"{minutes:.0f}"


def left_lines(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> list[str]:
    """What is not done, and why; one line when everything is done."""
    _, spent = total(plan, out)
    done = f"{len(outcome.done)} of {len(plan.jobs)} jobs done, {_span(spent)} of processor time"
    if outcome.complete:
        return [done]
    lines = [done, "", "| job | state |", "| --- | --- |"]
    for job in plan.jobs:
        if (state := state_of(plan, outcome, job.name)) != "done":
            lines.append(f"| {job.name} | {state} |")
    return [*lines, "", "Run the same command again to continue and to retry what failed."]


def state_of(plan: StudyPlan, outcome: StudyOutcome, name: str) -> str:
    """ "done", "failed: REASON", "waits for JOB, which failed", or "left"."""
    if name in outcome.done:
        return "done"
    if name in outcome.failed:
        return f"failed: {outcome.failed[name]}"
    if name in outcome.blocked:
        chain = [j.name for j in plan.chain(name)]
        return f"waits for {next(n for n in chain if n in outcome.failed)}, which failed"
    return "left"


def _span(minutes: float) -> str:
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
