"""`intona transcribe`: sound files in, one line of text per file out."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Transcribe:
    """Transcribe sound files with a speech-to-text model.

    One line per file on stdout: the text, or with several files "FILE<tab>text". Long files are split at
    pauses and read in constant memory. Times are printed to stderr.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = ()
    """wav, flac, ogg, mp3 and other formats of libsndfile."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """A model or run directory of meld.stt or meld.joint."""
    beam: int = 1
    """Beam size, 1 to 64: 1 is greedy, 5 is slower and a little better."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """One JSON object per file: text, seconds, processing time, windows with their times and scores."""


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
            hint="use meld-ru (Russian, trained on one reader), or train one: intona train meld.joint",
        )

    from intona.audio.blocks import read_blocks
    from intona.systems.meld import voice as speech_lm

    voice = speech_lm.load(request.model)
    failed = 0
    for path in request.files:
        began = time.perf_counter()
        try:
            blocks = read_blocks(path, voice.spec.sample_rate)
            windows = list(voice.transcribe(blocks, beam=request.beam))
        except UserError as e:
            # One bad file does not stop the others; the exit code reports it.
            if len(request.files) == 1:
                raise
            print(f"intona: error: {e}", file=sys.stderr)
            failed += 1
            continue
        elapsed = time.perf_counter() - began
        text = " ".join(w.text for w in windows if w.text)
        seconds = windows[-1].end if windows else 0.0
        if request.json:
            row = {
                "file": str(path),
                "text": text,
                "seconds": seconds,
                "took": elapsed,
                "windows": [
                    {"start": w.start, "end": w.end, "text": w.text, "score": w.score} for w in windows
                ],
            }
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(text if len(request.files) == 1 else f"{path}\t{text}", flush=True)
        cut = sum(not w.ended for w in windows)
        note = f"; {cut} of {len(windows)} windows reached the length limit" if cut else ""
        rtf = f" (RTF {elapsed / seconds:.2f})" if seconds else ""
        print(f"{path}: {seconds:.2f} s of sound in {elapsed:.2f} s{rtf}{note}", file=sys.stderr)
    return 1 if failed else 0
