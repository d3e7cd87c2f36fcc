"""Every judge there is, built from plain settings: `run.py` and the command line call `all_judges`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path

from intona.errors import unknown
from intona.evaluation.asr import AsrConfig, AsrJudge, Transcriber
from intona.evaluation.dnsmos import dnsmos
from intona.evaluation.f0 import F0Judge, ReferenceJudge
from intona.evaluation.failures import FailureJudge, SharedTranscriber
from intona.evaluation.intonation import ContourJudge, IntonationJudge
from intona.evaluation.judge import Judge, Unavailable
from intona.evaluation.manifest import Row
from intona.evaluation.mcd import mcd
from intona.evaluation.naturalness import distillmos
from intona.evaluation.normalize import normalizer
from intona.evaluation.pitch_errors import PitchErrorJudge
from intona.evaluation.speaker import speaker
from intona.evaluation.timing import TimingJudge
from intona.evaluation.utmos import utmos


def all_judges(
    *,
    language: str = "ru",
    asr: str | None = "offline",
    beam_size: int = 5,
    compute_type: str = "int8",
    threads: int = 0,
    naturalness: bool = True,
    utmos_model: str | None = None,
    f0: bool = True,
    reference: bool = False,
    mcd_rate: int = 16_000,
    prompts: Path | str | None = None,
    speaker_model: str = "ge2e",
    rows: Iterable[Row] | None = None,
    only: Collection[str] | None = None,
) -> list[Judge | Unavailable]:
    """Judges in the order of their columns; one whose weights are not installed stays and says so.

    Args:
        asr: recognizer ("offline", a directory, a hub name); None = no WER and no failure rates.
        threads: of the recognizer; 0 = its own choice. Give 1 when several workers share the machine.
        naturalness: DistillMOS, DNSMOS and UTMOS22.
        utmos_model: directory, file or hub id of UTMOS22; None = its column says that no weights were given.
        f0: F0 statistics and contour.
        reference: judges that compare with a recording; `evaluate` must then get the reference folder.
        mcd_rate: 16000, 22050, 24000, 44100 or 48000, one for all systems.
        prompts: folder with `ID.wav` or `SPEAKER.wav`, and in `resynthesized/` the same for SIM-r.
        speaker_model: "ge2e", or a WavLM directory or hub id.
        rows: of the manifest, so that a missing prompt is found before anything is judged.
        only: names of judges ("asr", "mcd", …); no other is built.

    Raises:
        UserError: a recognizer, predictor or embedder that was asked for by name cannot be had; a prompt is
            missing; `only` names no judge, or one that these inputs do not allow.
    """
    builders: dict[str, Callable[[], Judge | Unavailable]] = {}
    if asr is not None:
        config = AsrConfig(
            model=asr, language=language, beam_size=beam_size, compute_type=compute_type, threads=threads
        )
        heard = cache(lambda: (SharedTranscriber(Transcriber(config)), normalizer(language)))
        builders["asr"] = lambda: AsrJudge(*heard())  # type: ignore[arg-type]
        builders["failures"] = lambda: FailureJudge(*heard())
    else:
        builders["asr"] = lambda: _not_run(AsrJudge)
        builders["failures"] = lambda: _not_run(FailureJudge)
    if prompts is not None:
        builders["speaker"] = lambda: speaker(prompts, model=speaker_model, rows=rows)
    if naturalness:
        builders |= {"distillmos": distillmos, "dnsmos": dnsmos, "utmos": lambda: utmos(utmos_model)}
    if f0:
        builders |= {"f0": F0Judge, "contour": ContourJudge}
    builders["timing"] = TimingJudge
    if reference:
        builders |= {
            "against_reference": ReferenceJudge,
            "pitch_errors": PitchErrorJudge,
            "intonation": IntonationJudge,
            "mcd": lambda: mcd(sample_rate=mcd_rate),
        }
    for name in only or ():
        if name not in builders:
            unknown("measure", name, list(builders))
    return [build() for name, build in builders.items() if only is None or name in only]


def _not_run(judge: type[AsrJudge] | type[FailureJudge]) -> Unavailable:
    return Unavailable(name=judge.name, measures=judge.measures, reason="not run", hint="name a recognizer")
