"""How a text would be read aloud, without a voice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from intona.errors import Unspeakable
from intona.text import lexicon as lexicons
from intona.text.frontend import Frontend, FrontendConfig, Utterance
from intona.text.inline import without
from intona.text.languages import by_script
from intona.text.lexicon import Lexicon


def read(
    text: str,
    *,
    language: str | None = None,
    phonemes: bool = False,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
) -> list[Utterance]:
    """The sentences of a text as they are read aloud; `str(utterance)` is the line of phonemes.

    Warns of sentences that cannot be spoken and of characters without a reading.

    Args:
        language: "ru", "en" or a language code of espeak-ng; None: Russian if there are Cyrillic letters,
            else English.
        phonemes: compute `phonemes` and `words`, too, which loads espeak-ng and the stress model.
        lexicon: the pronunciation of certain words, or a file with it.

    Raises:
        UserError: nothing that can be spoken, an unknown language, unknown phonemes in the text.
    """
    frontend = _frontend(language or by_script(without(text)))
    if phonemes:
        _ = frontend.phonemizer  # loaded once for all lexicons
    return frontend.with_lexicon(lexicons.of(lexicon)).speakable(text, phonemes=phonemes, names=True)


def left_out(
    text: str, utterances: Sequence[Utterance], *, language: str | None = None
) -> list[tuple[str, Unspeakable]]:
    """The sentences of a text that `read` has left out of its utterances, each with the reason."""
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
