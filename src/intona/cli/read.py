"""`intona read`: how a text would be read aloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.cli.lines import read_lines
from intona.errors import UserError
from intona.text import Lexicon, Utterance, read


@dataclass(frozen=True, kw_only=True)
class Read:
    """Print how a text would be read aloud, one line per sentence. No voice is needed.

    Without TEXT and --file the text is read from stdin. Characters without a reading are listed on stderr. If
    one of several lines cannot be spoken, a warning names it, the others are printed, and the exit code is 1.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = ()
    """What to read; several words are joined by spaces."""
    file: Annotated[Path | None, tyro.conf.arg(aliases=["-f"], metavar="FILE")] = None
    """Read the text from a UTF-8 file."""
    language: Annotated[str | None, tyro.conf.arg(metavar="CODE[,CODE]")] = None
    """ru, en or a language code of espeak-ng. Several, such as ru,en: each sentence in the one of its script,
    as a voice of these languages reads it. Default: ru for a line with Cyrillic letters, else en."""
    phonemes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print phonemes, separated by spaces, with "|" between words."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print one JSON object per sentence. With --phonemes it includes the range of phonemes of each word."""
    lexicon: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """How to pronounce certain words, one per line: word = spelling (Хемингу+эй), or word = [[phonemes]]."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Read, prog="intona read", args=arguments)
    if request.text and request.file is not None:
        raise UserError("a text and a file were both given", where="--file", hint="give one of them")
    lines = read_lines(request.text, request.file, example='intona read "В 1812 г. было 5 °C."')
    lexicon = None if request.lexicon is None else Lexicon.read(request.lexicon)
    codes = [code.strip() for code in (request.language or "").split(",") if code.strip()]
    language = codes if len(codes) > 1 else request.language
    for line in lines:
        with lines.keep_going(line):
            for sentence in read(line.text, language=language, phonemes=request.phonemes, lexicon=lexicon):
                print(_shown(sentence, request))
    lines.check_all_spoken()


def _shown(sentence: Utterance, request: Read) -> str:
    if request.json:
        return json.dumps(sentence.as_json(phonemes=request.phonemes), ensure_ascii=False)
    return str(sentence) if request.phonemes else sentence.normalized
