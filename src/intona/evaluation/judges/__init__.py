"""The judges by name. A judge is a class; `get` imports it when it is needed.

The judges of `DEFAULT`, in the order of their columns, run wherever the inputs allow it. Any other judge
runs only if it is named, so that installing a package does not change reports.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection

from intona.errors import UserError, unknown
from intona.evaluation.judges.base import Inputs, Judge, Need, Unavailable

HERE = "intona.evaluation.judges"
BUILT_IN = {
    "asr": f"{HERE}.asr:AsrJudge",
    "failures": f"{HERE}.failures:FailureJudge",
    "speaker": f"{HERE}.speaker:SpeakerJudge",
    "distillmos": f"{HERE}.distillmos:DistillMosJudge",
    "dnsmos": f"{HERE}.dnsmos:DnsMosJudge",
    "utmos": f"{HERE}.utmos:UtmosJudge",
    "f0": f"{HERE}.f0:F0Judge",
    "contour": f"{HERE}.intonation:ContourJudge",
    "timing": f"{HERE}.timing:TimingJudge",
    "against_reference": f"{HERE}.f0:ReferenceJudge",
    "pitch_errors": f"{HERE}.pitch_errors:PitchErrorJudge",
    "intonation": f"{HERE}.intonation:IntonationJudge",
    "mcd": f"{HERE}.mcd:McdJudge",
}
DEFAULT = tuple(BUILT_IN)
_MISSING: dict[Need, tuple[str, str]] = {
    "reference": ("compares with recordings", "give the folder of recordings (--reference)"),
    "prompts": ("compares with prompts", "give the folder of prompts (--prompts)"),
}


def names() -> tuple[str, ...]:
    """All judges that can be named: the built-in ones in the order of their columns, then others."""
    return tuple(BUILT_IN)


def get(name: str) -> type[Judge]:
    """The class of a judge.

    Raises:
        UserError: no judge has this name; suggests the nearest one.
    """
    if name not in names():
        unknown("judge", name, names())
    module, _, attribute = BUILT_IN[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def build_judges(inputs: Inputs, only: Collection[str] | None = None) -> list[Judge | Unavailable]:
    """Judges in the order of their columns; one that is not installed remains and states so.

    Args:
        only: names of judges; "default" stands for all built-in ones that the inputs allow. None = those.

    Raises:
        UserError: an unknown judge; a named one that these inputs do not allow; a model that was requested
            by name cannot be had; a prompt is missing.
    """
    requested = ["default"] if only is None else list(only)
    classes = {name: get(name) for name in requested if name != "default"}
    for name, judge in classes.items():
        if need := _missing(judge, inputs):
            what, hint = _MISSING[need]
            raise UserError(f'the judge "{name}" {what}', hint=hint)
    if "default" in requested:
        allowed = {name: get(name) for name in DEFAULT}
        classes |= {name: judge for name, judge in allowed.items() if not _missing(judge, inputs)}
    ordered = [name for name in DEFAULT if name in classes]
    ordered += [name for name in classes if name not in DEFAULT]
    return [_build(classes[name], inputs) for name in ordered]


def _missing(judge: type[Judge], inputs: Inputs) -> Need | None:
    return next((need for need in judge.needs if need in _MISSING and not inputs.has(need)), None)


def _build(judge: type[Judge], inputs: Inputs) -> Judge | Unavailable:
    if "recognizer" in judge.needs and not inputs.has("recognizer"):
        return judge.unavailable("not run", "name a recognizer")
    if not judge.installed():
        return judge.unavailable()
    return judge.build(inputs)
