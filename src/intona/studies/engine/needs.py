"""What a study needs beside this package, looked for before hours are spent."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from intona.encoders import ge2e
from intona.latents.vits import language_of
from intona.studies.engine.plan import Plan

SPEAKERS = "speakers"  # the job whose vectors the stages after the first learn on
PEOPLE = "people"  # the job of study restyle that compares speakers, where it can
NO_ASR = "none"


def lacking(plan: Plan) -> list[str]:
    """Measures whose columns will stay empty, one line each, with a hint.

    Raises:
        UserError: the recognizer, the speaker encoder that stages learn on, or the frozen voice that is
            restyled cannot be had.
    """
    for voice in _frozen_voices(plan):
        language_of(voice)
    if any(job.name == SPEAKERS for job in plan.jobs):
        ge2e.GE2E()
    wanted: dict[tuple[str, str], dict[str, None]] = {}  # measures of all that is judged alike: loaded once
    for job in plan.jobs:
        if "measures" in job.arguments:
            alike = wanted.setdefault((job.arguments["asr"], job.arguments["language"]), {})
            alike.update(dict.fromkeys(job.arguments["measures"]))
    lines = [line for how, measures in wanted.items() for line in _lacking(*how, measures)]
    if any(job.name == PEOPLE for job in plan.jobs) and ge2e.weights_path() is None:
        lines.append(f"speakers of the voice and of the corpus: no speaker encoder; {ge2e.MEND}")
    return list(dict.fromkeys(lines))


def _frozen_voices(plan: Plan) -> list[str]:
    """Of jobs on a frozen VITS; elsewhere the argument names the job that trains the voice."""
    jobs = {job.name for job in plan.jobs}
    voices = dict.fromkeys(str(job.arguments.get("voice", "")) for job in plan.jobs)
    return [voice for voice in voices if voice and voice not in jobs]


def _lacking(asr: str, language: str, measures: Collection[str]) -> Iterator[str]:
    from intona.evaluation.judge import Unavailable
    from intona.evaluation.judges import all_judges

    # The prompts of similarity are made by the study: it is looked at apart.
    left_out = ("speaker", "asr", "failures") if asr == NO_ASR else ("speaker",)
    judges = all_judges(
        language=language,
        asr=None if asr == NO_ASR else asr,
        reference=True,
        only=[m for m in measures if m not in left_out],
    )
    for judge in judges:
        if isinstance(judge, Unavailable):
            yield f"{judge.name}: {judge.reason}; {judge.hint}"
    if "speaker" in measures and ge2e.weights_path() is None:
        yield f"speaker: not installed; {ge2e.MEND}"
