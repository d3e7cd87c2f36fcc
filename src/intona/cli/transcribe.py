"""`intona transcribe`: sound files in, one line of text per file out."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.cli.device import Device
from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Transcribe:
    """Transcribe sound files with a model that was trained to listen.

    One line per file on stdout: the text, or with several files "FILE<tab>text". Long files are cut at pauses
    and read in constant memory. Times are printed on stderr.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = ()
    """wav, flac, ogg, mp3 and whatever else libsndfile reads."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """A model or run directory of meld.stt or meld.joint."""
    beam: int = 1
    """Beam size: 1 is greedy, 5 is slower and a little better. 1 to 64."""
    device: Device = "cpu"
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """One JSON object per file: text, seconds, elapsed time, windows with their times and scores."""


def main(arguments: list[str]) -> int:
    request = tyro.cli(Transcribe, prog="intona transcribe", args=arguments)
    if not request.files:
        raise UserError("no file", hint="intona transcribe FILE… --model RUN")
    if not 1 <= request.beam <= 64:
        raise UserError(f"{request.beam} is not between 1 and 64", where="--beam")
    if request.model is None:
        raise UserError(
            "no model",
            where="--model",
            hint="meld-ru (Russian, trained on one reader), or train one: intona train meld.joint",
        )

    from intona.audio.blocks import read_blocks
    from intona.devices import device_of
    from intona.systems.meld import voice as meld

    voice = meld.load(request.model, device=device_of(request.device))
    failed = 0
    for path in request.files:
        began = time.perf_counter()
        try:
            blocks = read_blocks(path, voice.spec.sample_rate)
            transcribed = list(voice.transcribe(blocks, beam=request.beam))
        except UserError as e:
            # One bad file does not stop the others; the exit code is then 1.
            if len(request.files) == 1:
                raise
            print(f"intona: error: {e}", file=sys.stderr)
            failed += 1
            continue
        elapsed = time.perf_counter() - began
        text = " ".join(w.text for w in transcribed if w.text)
        seconds = transcribed[-1].end if transcribed else 0.0
        if request.json:
            windows = [
                {"start": w.start, "end": w.end, "text": w.text, "score": w.score} for w in transcribed
            ]
            row = {"file": str(path), "text": text, "seconds": seconds, "took": elapsed, "windows": windows}
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(text if len(request.files) == 1 else f"{path}\t{text}", flush=True)
        cut = sum(not w.ended for w in transcribed)
        note = f"; {cut} of {len(transcribed)} windows did not end by themselves" if cut else ""
        rtf = f" (RTF {elapsed / seconds:.2f})" if seconds else ""
        print(f"{path}: {seconds:.2f} s of sound in {elapsed:.2f} s{rtf}{note}", file=sys.stderr)
    return 1 if failed else 0
