"""What a study needs beside this package, looked for before hours are spent."""

from __future__ import annotations

from collections.abc import Iterator

from intona.encoders import ge2e
from intona.study.plan import Job, Plan

SPEAKERS = "speakers"  # the job whose vectors the stages after the first learn on
NO_ASR = "none"


def lacking(plan: Plan) -> list[str]:
    """Measures whose columns will stay empty, one line each, with the mend.

    Raises:
        UserError: the recognizer, or the speaker encoder that stages learn on, cannot be had.
    """
    return list(dict.fromkeys(line for job in plan.jobs for line in _lacking(job)))


def _lacking(job: Job) -> Iterator[str]:
    if job.name == SPEAKERS:
        ge2e.GE2E()
    measures: list[str] = list(job.arguments.get("measures", ()))
    if not measures:
        return
    from intona.evaluation.judge import Unavailable
    from intona.evaluation.judges import all_judges

    if "speaker" in measures:  # its prompts are made by the study
        measures.remove("speaker")
        if ge2e.weights_path() is None:
            yield f"speaker: not installed; {ge2e.MEND}"
    asr = job.arguments["asr"]
    if asr == NO_ASR:
        measures = [m for m in measures if m not in ("asr", "failures")]
    judges = all_judges(
        language=job.arguments["language"],
        asr=None if asr == NO_ASR else asr,
        reference=True,
        only=measures,
    )
    for judge in judges:
        if isinstance(judge, Unavailable):
            yield f"{judge.name}: {judge.reason}; {judge.mend}"
