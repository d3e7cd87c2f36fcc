"""How a text would be read aloud, without a voice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from intona.errors import Unspeakable
from intona.text import lexicon as lexicons
from intona.text.controls import MarkedText, read_marks
from intona.text.frontend import Frontend, FrontendConfig, Utterance
from intona.text.inline import without
from intona.text.languages import by_script, language_of
from intona.text.lexicon import Lexicon
from intona.text.mixture import parts_of, read_parts


def read(
    text: str,
    *,
    language: str | Sequence[str] | None = None,
    phonemes: bool = False,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
) -> list[Utterance]:
    """The sentences of a text as they are read aloud; `str(utterance)` is the line of phonemes.

    Warns of sentences that cannot be spoken and of characters without a reading.

    Args:
        language: "ru", "en" or a language code of espeak-ng; None: Russian if there are Cyrillic letters,
            else English. Several, such as ("ru", "en"): each sentence in the one that is written in its
            script, as a voice of these languages reads it.
        phonemes: compute `phonemes` and `words`, too, which loads espeak-ng and the stress model.
        lexicon: the pronunciation of certain words, or a file with it.

    Raises:
        UserError: nothing that can be spoken, an unknown language, unknown phonemes in the text.
    """
    entries = lexicons.of(lexicon)

    def read_in(code: str, text: str | MarkedText) -> list[Utterance]:
        frontend = _frontend(code)
        if phonemes:
            _ = frontend.phonemizer  # loaded once for all lexicons
        return frontend.with_lexicon(entries).speakable(text, phonemes=phonemes, names=True)

    if language is None or isinstance(language, str):
        return read_in(language or by_script(without(text)), text)
    return read_parts(_parts(text, language, entries), read_in)


def _parts(text: str, languages: Sequence[str], entries: Lexicon | None) -> list[tuple[str, MarkedText]]:
    """A text in stretches of one language each.

    Raises:
        UserError: the script of the text does not decide between the languages.
    """
    marked = read_marks(text)
    splitters = {code: _frontend(code).with_lexicon(entries).whole_sentences for code in languages}
    return parts_of(marked, splitters) or [(language_of(without(text), languages), marked)]


def left_out(
    text: str, utterances: Sequence[Utterance], *, language: str | Sequence[str] | None = None
) -> list[tuple[str, Unspeakable]]:
    """The sentences of a text that `read` has left out of its utterances, each with the reason."""
    if language is not None and not isinstance(language, str):
        rows = (left_out(part.text, utterances, language=code) for code, part in _parts(text, language, None))
        return [row for part in rows for row in part]
    language = language or by_script(without(text))
    spoken, out = {u.text for u in utterances}, []
    for sentence in _frontend(language).sentences(text):
        if sentence in spoken:
            continue
        try:
            read(sentence, language=language)
        except Unspeakable as e:
            out.append((sentence, e))
    return out


@lru_cache(maxsize=8)
def _frontend(language: str) -> Frontend:
    return Frontend(FrontendConfig(language=language))
