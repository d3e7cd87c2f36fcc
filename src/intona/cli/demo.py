"""`intona demo`: one sentence spoken, spectrogram and pitch drawn, transcribed if a recognizer is here."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from intona.cli.aliases import OUTPUT, renamed
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.audio import Audio

SENTENCE = "Добрый день! Меня зовут Интона, и я говорю по-русски. А вы меня хорошо слышите?"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Speak one sentence and show where its wav, spectrogram and pitch plot are."""

    text: Annotated[str, tyro.conf.Positional] = SENTENCE
    """The text to speak."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME|DIR")] = "ru"
    """A shipped voice or a run directory."""
    language: str = "ru"
    """The language of the text, for the transcript."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("demo")
    """The folder for the results."""
    device: Annotated[str, tyro.conf.arg(metavar="auto|cpu|cuda[:N]")] = "cpu"
    """Where the models run: cpu, cuda, cuda:1, or auto: a GPU where there is one."""
    seed: int = 0
    """The same seed gives the same wav."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Demo, prog="intona demo", args=renamed(arguments, OUTPUT))
    from intona import plots, synth

    started = time.perf_counter()
    voice = synth.load(request.model, device=request.device)
    loaded = time.perf_counter()
    audio = voice.say(request.text, seed=request.seed)
    spoken = time.perf_counter()
    if audio.duration <= 0:
        raise UserError("the voice spoke nothing", where=request.model)
    request.output.mkdir(parents=True, exist_ok=True)
    stem = request.output / Path(request.model).name
    wav = stem.with_suffix(".wav")
    audio.write(wav)
    picture = plots.spectrogram_of(audio, stem.with_name(f"{stem.name}-spectrogram.png"), title=request.text)
    contour, f0 = plots.pitch(audio, stem.with_name(f"{stem.name}-f0.png"), title=request.text)
    voiced = f0[f0 > 0]

    elapsed = spoken - loaded
    rtf = elapsed / audio.duration
    rows = [
        ("text", request.text),
        ("wav", f"{wav}  ({audio.duration:.2f} s)"),
        ("spectrogram", str(picture)),
        (
            "pitch",
            f"{contour}  (median {_median(voiced):.0f} Hz)"
            if voiced.size
            else f"{contour}  (no voiced frame)",
        ),
        (
            "speed",
            f"{loaded - started:.2f} s to load, {elapsed:.2f} s to speak (RTF {rtf:.2f})",
        ),
    ]
    recognized = transcript(audio, language=request.language)
    if recognized is not None:
        rows.append(("transcript", recognized))
    for name, value in rows:
        print(f"{name:<12} {value}", file=sys.stderr if name == "speed" else sys.stdout)


def _median(values: object) -> float:
    import numpy as np

    return float(np.median(np.asarray(values)))


def transcript(audio: Audio, *, language: str) -> str | None:
    """The transcript of whisper-base, or None where its package or weights are not installed."""
    from intona import doctor

    if not doctor.whisper_ready():
        return None
    from intona.evaluation.judges.recognizer import AsrConfig, Transcriber

    return Transcriber(AsrConfig(language=language))(audio).text
