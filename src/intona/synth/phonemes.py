"""Voices that read a text as phonemes, some of them as phonemes and letters."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intona.audio import MelSpec
from intona.errors import Unspeakable, UserError
from intona.synth.markup import check_size, passages_of
from intona.synth.model_voice import Manner, Model, ModelVoice, refuse_inline
from intona.synth.options import SpeakOptions
from intona.text import (
    BpeTokenizer,
    Frontend,
    FrontendConfig,
    PhonemeTokenizer,
    Utterance,
    inline,
    inventory_differences,
    load_tokenizer,
)
from intona.text.controls import MarkedText, read_marks
from intona.text.frontend import shown
from intona.text.ipa import is_word_symbol
from intona.text.languages import fitting, language_of, warn_of_script
from intona.text.mixture import parts_of, read_parts
from intona.text.tokenizer import PAD, UNK

if TYPE_CHECKING:
    import torch

    from intona.data.pieces import Pieces
    from intona.encoders.base import TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A sentence and the name of its speaker; None: the first of the voice."""

    sentence: Utterance
    speaker: str | None


class PhonemeVoice(ModelVoice[Model]):
    """A voice with a text front end.

    Args:
        tokenizer: phonemes to ids. bpe: letters to ids, for an encoder that reads both.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: PhonemeTokenizer,
        spec: MelSpec,
        *,
        speakers: Sequence[str] = ("",),
        languages: Sequence[str] = ("ru",),
        card: dict[str, Any] | None = None,
        path: Path | None = None,
        bpe: BpeTokenizer | None = None,
        vocoder: str | None = None,
    ) -> None:
        super().__init__(
            model, spec, speakers=speakers, languages=languages, card=card, path=path, vocoder=vocoder
        )
        self.tokenizer, self.bpe = tokenizer, bpe
        self.manner = Manner.of(self.card, where=f"{path or 'model'}: card")
        self._phones = [s for s in tokenizer.symbols if is_word_symbol(s) and s not in (PAD, UNK)]

    @property
    def frontend(self) -> Frontend:
        """The text front end of the voice's first language."""
        return self.frontend_of(self.languages[0])

    def frontend_of(self, language: str) -> Frontend:
        """The text front end the voice was trained with; another version of it warns once."""
        with self._lock:
            if language not in self._frontends:
                frontend = _frontend_for(self.tokenizer, language)
                self._frontends[language] = frontend.with_phones(self._phones).with_lexicon(self.lexicon)
            return self._frontends[language]

    def preload(self) -> None:
        super().preload()
        _ = self.frontend

    def sentences_of(self, text: str, options: SpeakOptions) -> list[Utterance]:
        """`sentences`, as the options say."""
        return self.sentences(text, phonemes=options.phonemes, language=options.language)

    def lines(self, text: str, options: SpeakOptions) -> list[Turn]:
        """Sentences with their speakers, of a text that may be SSML.

        A passage that cannot be spoken is left out with a warning, unless it is the only one.

        Raises:
            UserError: as `sentences`, and SSML that cannot be read.
        """
        passages = passages_of(text, options, self)
        out: list[Turn] = []
        for i, passage in enumerate(passages):
            try:
                sentences = self.sentences(
                    passage.text if passage.text else passage.text.text,
                    phonemes=options.phonemes,
                    language=passage.language or options.language,
                )
            except Unspeakable as e:
                if len(passages) == 1 or (i + 1 == len(passages) and not out):
                    raise
                warnings.warn(f"left out: {shown(passage.text.text)}: {e}", stacklevel=3)
                continue
            requested = passage.speaker or options.speaker
            out += [Turn(sentence=s, speaker=self.speaker_of(s, requested)) for s in sentences]
        return out

    def language_of(self, sentence: Utterance) -> str:
        """The code of the voice's language that a sentence is in."""
        return sentence.language or fitting(sentence.text, self.languages)[0]

    def speaker_of(self, sentence: Utterance, requested: str | None) -> str | None:
        """Who speaks a sentence: the requested speaker, else the one of its language; None: the first."""
        return requested or self.speaker_table.default(self.language_of(sentence))

    def sentences(
        self, text: str | MarkedText, *, phonemes: bool = False, language: str | None = None
    ) -> list[Utterance]:
        """A text as the front end reads it; a sentence that cannot be spoken is left out with a warning.

        Args:
            phonemes: the text is symbols separated by spaces, words by "|".
            language: code of the text's language; None: that of each sentence is recognized by its script.

        Raises:
            UserError: nothing to say, a text that is too long, phonemes for a voice that reads letters too,
                unknown phonemes, a language that the voice does not speak, a text that may be in several.
        """
        marked, text = text, text.text if isinstance(text, MarkedText) else text
        check_size(text)
        if phonemes and self.bpe is not None:
            raise UserError(
                "this voice reads the letters beside the phonemes", hint="give the text without --phonemes"
            )
        if phonemes:
            known = language if language in self.languages else ""
            return [dataclasses.replace(self.frontend.from_phonemes(text), language=known)]
        if self.bpe is not None:
            refuse_inline(text)
        letters = inline.without(text)
        if language is None and len(self.languages) > 1:
            whole = read_marks(marked) if isinstance(marked, str) else marked
            splitters = {code: partial(self._whole_sentences, code) for code in self.languages}
            if (parts := parts_of(whole, splitters)) is not None:
                return read_parts(parts, lambda code, part: self._read_in(part, code))
        language = language_of(letters, self.languages, language)
        warn_of_script(letters, language)
        return self._read_in(marked, language)

    def _whole_sentences(self, language: str, text: str) -> list[str]:
        return self.frontend_of(language).whole_sentences(text)

    def _read_in(self, text: str | MarkedText, language: str) -> list[Utterance]:
        sentences = self.frontend_of(language).speakable(text)
        return [dataclasses.replace(s, language=language) for s in sentences]

    def ids(self, sentence: Utterance) -> list[int]:
        """The ids of the phonemes of a sentence; unknown symbols warn."""
        encoded = self.tokenizer.encode(sentence.phonemes)
        if encoded.unknown:
            shown = " ".join(sorted(set(encoded.unknown))[:10])
            warnings.warn(f"the voice was not trained on these symbols: {shown}", stacklevel=4)
        return encoded.ids

    def numbers(self, sentences: Sequence[Utterance]) -> tuple[torch.Tensor, torch.Tensor, Pieces | None]:
        """(B, N) ids, (B,) lengths, and the BPE pieces if the encoder reads them, on the model's device.

        Unknown symbols warn.
        """
        from intona.data.pieces import Text, collate_pieces, collate_tokens, text_of

        texts = []
        for sentence in sentences:
            ids = self.ids(sentence)
            if self.bpe is None:
                texts.append(Text(tokens=tuple(ids), pieces=(), piece_words=(), token_words=(), spans=()))
                continue
            texts.append(text_of(sentence, ids, self.bpe))
        tokens, lengths = collate_tokens(texts)
        pieces = None if self.bpe is None else collate_pieces(texts).to(self.device)
        return tokens.to(self.device), lengths.to(self.device), pieces


def read_tokenizers(
    path: Path, encoder: TextEncoderConfig, n_tokens: int
) -> tuple[PhonemeTokenizer, BpeTokenizer | None]:
    """The tokenizer of a voice's phonemes, and that of its letters if the encoder reads both.

    Raises:
        UserError: one is missing, of another kind, or of more symbols than the model has.
    """
    phonemes = load_tokenizer(path / "tokenizer.json")
    if not isinstance(phonemes, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=path / "tokenizer.json")
    if len(phonemes) > n_tokens:
        raise UserError(f"{len(phonemes)} symbols, the model has {n_tokens}", where=path / "tokenizer.json")
    if not encoder.reads_pieces:
        return phonemes, None
    pieces = load_tokenizer(path / "bpe.json")
    if not isinstance(pieces, BpeTokenizer):
        raise UserError("not a BPE tokenizer", where=path / "bpe.json")
    return phonemes, pieces


def _frontend_for(tokenizer: PhonemeTokenizer, language: str) -> Frontend:
    trained_with = tokenizer.frontend or {}
    if "languages" in trained_with:  # of corpora that were merged
        trained_with = trained_with["languages"].get(language, {})
    frontend = Frontend(FrontendConfig(language=trained_with.get("language", language)))
    differences = inventory_differences(trained_with, frontend.describe()) if trained_with else []
    if differences:
        warnings.warn(
            f"the text front end is not the one of the training: {'; '.join(differences)}", stacklevel=2
        )
    return frontend
