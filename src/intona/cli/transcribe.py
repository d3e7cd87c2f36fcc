"""`intona transcribe`: sound files in, one line of text each out."""

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
    """Write down what is said in sound files, with a model that learnt to listen.

    One line a file on stdout: the text, or with several files "FILE<tab>text". Long files are cut at pauses
    and read in constant memory. Times are printed on stderr.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = ()
    """wav, flac, ogg, mp3 and what else libsndfile knows."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """A model or run directory of meld.stt or meld.joint."""
    beam: int = 1
    """Texts followed at once; 1 is greedy, 5 is slower and a little better. 1 to 64."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """One JSON object a file: text, seconds, time taken, windows with their times and scores."""


def main(arguments: list[str]) -> int:
    request = tyro.cli(Transcribe, prog="intona transcribe", args=arguments)
    if not request.files:
        raise UserError("no file", hint="intona transcribe FILE… --model RUN")
    if not 1 <= request.beam <= 64:
        raise UserError(f"{request.beam} is not between 1 and 64", where="--beam")
    if request.model is None:
        raise UserError(
            "which model is to listen?",
            where="--model",
            hint="meld-ru (Russian, knows one reader), or train one: intona train meld.joint",
        )

    from intona.audio.blocks import read_blocks
    from intona.systems.meld import voice as speech_lm

    voice = speech_lm.load(request.model)
    failed = 0
    for path in request.files:
        began = time.perf_counter()
        try:
            blocks = read_blocks(path, voice.spec.sample_rate)
            heard = []
            for window in voice.transcribe(blocks, beam=request.beam):
                heard.append(window)
        except UserError as e:
            # One bad file does not silence the others; the exit code tells.
            if len(request.files) == 1:
                raise
            print(f"intona: error: {e}", file=sys.stderr)
            failed += 1
            continue
        took = time.perf_counter() - began
        text = " ".join(w.text for w in heard if w.text)
        seconds = heard[-1].end if heard else 0.0
        if request.json:
            windows = [{"start": w.start, "end": w.end, "text": w.text, "score": w.score} for w in heard]
            row = {"file": str(path), "text": text, "seconds": seconds, "took": took, "windows": windows}
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(text if len(request.files) == 1 else f"{path}\t{text}", flush=True)
        cut = sum(not w.ended for w in heard)
        note = f"; {cut} of {len(heard)} windows did not end by themselves" if cut else ""
        rtf = f" (RTF {took / seconds:.2f})" if seconds else ""
        print(f"{path}: {seconds:.2f} s of sound in {took:.2f} s{rtf}{note}", file=sys.stderr)
    return 1 if failed else 0
