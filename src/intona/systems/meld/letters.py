"""Voices that read the letters of a text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intona.audio import MelSpec
from intona.errors import Unspeakable
from intona.synth.model_voice import Model, ModelVoice, refuse_inline
from intona.systems.meld import spelling
from intona.text import BpeTokenizer, Frontend, FrontendConfig
from intona.text.frontend import shown
from intona.text.languages import language_of


class LetterVoice(ModelVoice[Model]):
    """A voice with a text side of BPE pieces, without phonemes."""

    def __init__(
        self,
        model: Model,
        tokenizer: BpeTokenizer,
        spec: MelSpec,
        *,
        speakers: Sequence[str],
        languages: Sequence[str],
        card: dict[str, Any] | None,
        path: Path | None,
        vocoder: str | None = None,
    ) -> None:
        super().__init__(
            model, spec, speakers=speakers, languages=languages, card=card, path=path, vocoder=vocoder
        )
        self.tokenizer = tokenizer

    def sentences(self, text: str, language: str | None = None) -> list[tuple[str, list[int]]]:
        """The sentences of a text as read aloud, and their pieces.

        Characters that the training did not have are left out, and so are sentences that cannot be spoken; a
        warning names them.

        Args:
            language: code of the text's language; recognized by the script if None.

        Raises:
            Unspeakable: nothing is left to say, or phonemes in the text: this voice reads letters.
        """
        refuse_inline(text)
        frontend = self._frontend(language_of(text, self.languages, language))
        out: list[tuple[str, list[int]]] = []
        silent: list[str] = []
        for utterance in frontend.speakable(text, phonemes=False):
            encoded = spelling.encode(self.tokenizer, utterance.plain)
            if encoded.unknown:
                unknown = " ".join(sorted(set(encoded.unknown))[:10])
                warnings.warn(f"left out, the training had none of these characters: {unknown}", stacklevel=3)
            if encoded.ids:
                out.append((utterance.plain, encoded.ids))
            else:
                silent.append(utterance.text)
        if not out:
            raise Unspeakable("no characters that the voice knows", where="text")
        for text in silent:
            warnings.warn(f"left out: {shown(text)}: no characters that the voice knows", stacklevel=3)
        return out

    def pieces(self, text: str, language: str | None = None) -> tuple[str, list[int]]:
        """All sentences of a text as one."""
        parts = self.sentences(text, language)
        return " ".join(spoken for spoken, _ in parts), [i for _, pieces in parts for i in pieces]

    def preload(self) -> None:
        super().preload()
        self._frontend(self.languages[0])

    def _frontend(self, language: str) -> Frontend:
        """The text front end of a language; of the lexicon it uses the spellings."""
        with self._lock:
            if language not in self._frontends:
                entries = self.lexicon and self.lexicon.spellings()
                if self.lexicon and entries and len(entries) < len(self.lexicon):
                    n = len(self.lexicon) - len(entries)
                    message = f"{n} words with phonemes in the lexicon are read as written"
                    warnings.warn(f"this voice reads letters: {message}", stacklevel=4)
                self._frontends[language] = Frontend(
                    FrontendConfig(language=language), lexicon=entries, inline=False
                )
            return self._frontends[language]
