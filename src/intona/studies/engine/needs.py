"""What a study needs besides this package, checked before it spends hours."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from intona.encoders import ge2e
from intona.studies.engine.plan import StudyPlan
from intona.systems.restyle.vits import language_of

SPEAKERS = "speakers"  # the job that computes the speaker vectors for the stages after the first
PEOPLE = "people"  # the job of study restyle that compares speakers if an encoder is installed
NO_ASR = "none"


def lacking(plan: StudyPlan) -> list[str]:
    """Measures that will be missing from the page, one line each, with a hint.

    Raises:
        UserError: the recognizer, the speaker encoder that stages are trained with, or the frozen voice to
            restyle is not available.
    """
    for voice in _frozen_voices(plan):
        language_of(voice)
    if any(job.name == SPEAKERS for job in plan.jobs):
        ge2e.GE2E()
    by_settings: dict[tuple[str, str], dict[str, None]] = {}  # judges with the same settings are loaded once
    for job in plan.jobs:
        if "measures" in job.arguments:
            alike = by_settings.setdefault((job.arguments["asr"], job.arguments["language"]), {})
            alike.update(dict.fromkeys(job.arguments["measures"]))
    lines = [line for how, measures in by_settings.items() for line in _lacking(*how, measures)]
    if any(job.name == PEOPLE for job in plan.jobs) and ge2e.weights_path() is None:
        lines.append(f"speakers of the voice and of the corpus: no speaker encoder; {ge2e.MEND}")
    return list(dict.fromkeys(lines))


def _frozen_voices(plan: StudyPlan) -> list[str]:
    """Voices of the jobs on a frozen VITS; other jobs name the job that trains their voice."""
    jobs = {job.name for job in plan.jobs}
    voices = dict.fromkeys(str(job.arguments.get("voice", "")) for job in plan.jobs)
    return [voice for voice in voices if voice and voice not in jobs]


def _lacking(asr: str, language: str, measures: Collection[str]) -> Iterator[str]:
    from intona.evaluation import EvaluationConfig
    from intona.evaluation.judges import build_judges
    from intona.evaluation.judges.base import Unavailable

    # Similarity needs the prompts that the study chooses, so it is checked separately below.
    left_out = ("speaker", "asr", "failures") if asr == NO_ASR else ("speaker",)
    config = EvaluationConfig(language=language, asr=None if asr == NO_ASR else asr)
    judges = build_judges(config.inputs(reference=True), [m for m in measures if m not in left_out])
    for judge in judges:
        if isinstance(judge, Unavailable):
            yield f"{judge.name}: {judge.reason}; {judge.hint}"
    if "speaker" in measures and ge2e.weights_path() is None:
        yield f"speaker: not installed; {ge2e.MEND}"
