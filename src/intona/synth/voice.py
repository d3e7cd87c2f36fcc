"""What voices of every kind have, and what those that read phonemes have beside it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.data.pieces import Pieces, Text, collate_pieces, collate_tokens, text_of
from intona.encoders.base import TextEncoderConfig
from intona.errors import Unspeakable, UserError, unknown
from intona.text import (
    BpeTokenizer,
    Frontend,
    FrontendConfig,
    Lexicon,
    PhonemeTokenizer,
    Utterance,
    inline,
    inventory_differences,
    lexicon,
    load_tokenizer,
)
from intona.text.ipa import is_word_symbol
from intona.text.languages import language_of, warn_of_script
from intona.text.tokenizer import PAD, UNK

PAUSE_SECONDS = 0.18  # between sentences, beside the pause that the model itself makes at the full stop
MAX_CHARACTERS = 100_000

T = TypeVar("T")
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a voice speaks when nobody says otherwise. Its card may set each; None: its kind's default."""

    steps: int | None = None
    temperature: float | None = None
    guidance: float | None = None
    length_scale: float = 1.0
    solver: str | None = None

    def __post_init__(self) -> None:
        configs.within(self, steps=(1, 1000), temperature=(0, 10), guidance=(0, 100), length_scale=(0.1, 10))

    @classmethod
    def of(cls, card: Mapping[str, Any], *, where: str) -> Manner:
        """What a card says of it; front matter has text where JSON has numbers.

        Raises:
            UserError: a value that cannot be meant.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        said = {k: v if isinstance(v, str) else json.dumps(v) for k, v in card.items() if k in known}
        return configs.override(cls(), said, where=where)


def given(*values: T | None) -> T:
    """The first that is not None; the last is a default."""
    return next(v for v in values if v is not None)


class Voice(Generic[Model]):
    """A model with its speakers, its card and a vocoder.

    Args:
        spec: the mels it makes. speakers: names, in the order of the model's ids. languages: that it speaks.
        card: the model card. path: where it was loaded from.
    """

    def __init__(
        self,
        model: Model,
        spec: MelSpec,
        *,
        speakers: Sequence[str],
        languages: Sequence[str],
        card: dict[str, Any] | None,
        path: Path | None,
    ) -> None:
        self.model, self.spec, self.languages, self.path = model, spec, tuple(languages), path
        self.speakers, self.card = tuple(speakers), card or {}
        self._vocoder: Any = None
        self._frontends: dict[str, Frontend] = {}
        own = None if path is None else lexicon.in_directory(path)
        self.lexicon = None if own is None else Lexicon.read(own)

    @property
    def info(self) -> dict[str, Any]:
        """The model card and what the voice is made of."""
        return {
            **self.card,
            "speakers": list(self.speakers),
            "languages": list(self.languages),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "sample_rate": self.spec.sample_rate,
        }

    def use_lexicon(self, entries: Lexicon | str | os.PathLike[str]) -> None:
        """Speak words as a lexicon (or its file) says; its entries go before those the voice has.

        Raises:
            UserError: a file that is no lexicon.
        """
        more = lexicon.of(entries)
        assert more is not None
        self.lexicon = more if self.lexicon is None else more.over(self.lexicon)
        self._frontends.clear()

    @property
    def vocoder(self) -> Any:
        if self._vocoder is None:
            from intona.vocoder import load_vocoder

            self._vocoder = load_vocoder("hifigan")
            self._vocoder.spec.require_same(self.spec, where="voice and vocoder")
        return self._vocoder

    def pause(self, seconds: float = PAUSE_SECONDS) -> np.ndarray:
        """Samples of silence."""
        return np.zeros(round(seconds * self.spec.sample_rate), dtype=np.float32)

    def audio(self, samples: np.ndarray) -> Audio:
        return Audio(np.clip(samples, -1, 1), self.spec.sample_rate)

    def only_speaker(self, name: str | None, *, hint: str) -> None:
        """Refuse a name, unless it is that of the one speaker: others are asked for by a recording."""
        if name is not None and len(self.speakers) != 1:
            raise UserError("this model has no named speakers", where="--speaker", hint=hint)
        if name is not None and name not in self.speakers:
            unknown("speaker", name, self.speakers)


class PhonemeVoice(Voice[Model]):
    """A voice with a text front end.

    Args:
        tokenizer: symbols to ids. bpe: of an encoder that reads the letters beside the phonemes.
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
    ) -> None:
        super().__init__(model, spec, speakers=speakers, languages=languages, card=card, path=path)
        self.tokenizer, self.bpe = tokenizer, bpe
        self.manner = Manner.of(self.card, where=f"{path or 'model'}: card")
        self._phones = [s for s in tokenizer.symbols if is_word_symbol(s) and s not in (PAD, UNK)]

    @property
    def frontend(self) -> Frontend:
        """The text front end of the voice's first language."""
        return self.frontend_of(self.languages[0])

    def frontend_of(self, language: str) -> Frontend:
        """The text front end the voice was trained with; another version of it warns once."""
        if language not in self._frontends:
            frontend = _frontend_for(self.tokenizer, language)
            self._frontends[language] = frontend.with_phones(self._phones).with_lexicon(self.lexicon)
        return self._frontends[language]

    def sentences(self, text: str, *, phonemes: bool = False, language: str | None = None) -> list[Utterance]:
        """A text as the front end reads it; a sentence that cannot be spoken is left out with a warning.

        Args:
            phonemes: the text is symbols separated by spaces, words by "|".
            language: of the text; told by its script if None.

        Raises:
            UserError: nothing to say, a text over the cap, phonemes for a voice that reads letters too,
                unknown phonemes, a language that the voice does not speak, a text that may be in several.
        """
        check_size(text)
        if phonemes and self.bpe is not None:
            raise UserError(
                "this voice reads the letters beside the phonemes", hint="give the text without --phonemes"
            )
        if phonemes:
            return [self.frontend.from_phonemes(text)]
        if self.bpe is not None:
            refuse_inline(text)
        letters = inline.without(text)
        language = language_of(letters, self.languages, language)
        warn_of_script(letters, language)
        return self.frontend_of(language).speakable(text)

    def numbers(self, sentences: Sequence[Utterance]) -> tuple[torch.Tensor, torch.Tensor, Pieces | None]:
        """(B, N) ids, (B,) lengths, and the BPE pieces if the encoder reads them; unknown symbols warn."""
        texts: list[Text] = []
        for sentence in sentences:
            encoded = self.tokenizer.encode(sentence.phonemes)
            if encoded.unknown:
                shown = " ".join(sorted(set(encoded.unknown))[:10])
                warnings.warn(f"the voice has never heard these symbols: {shown}", stacklevel=3)
            if self.bpe is None:
                ids = tuple(encoded.ids)
                texts.append(Text(tokens=ids, pieces=(), piece_words=(), token_words=(), spans=()))
                continue
            texts.append(text_of(sentence, encoded.ids, self.bpe))
        return *collate_tokens(texts), None if self.bpe is None else collate_pieces(texts)

    def joined(self, waves: Sequence[np.ndarray], pauses: Sequence[float] | None = None) -> np.ndarray:
        """Waves with silence between: `pauses` of seconds, one fewer than waves; the usual one if None."""
        seconds = [PAUSE_SECONDS] * (len(waves) - 1) if pauses is None else pauses
        between = [(self.pause(s), w) for s, w in zip(seconds, waves[1:], strict=True)]
        return np.concatenate([waves[0], *(x for pair in between for x in pair)])


def options_of(voice: Any) -> frozenset[str]:
    """Names of the options that a voice of any kind takes beside the text."""
    calls = [getattr(voice, n) for n in ("say", "stream") if hasattr(voice, n)]
    return frozenset(p for c in calls for p in inspect.signature(c).parameters) - {"text", "how"}


def refuse_inline(text: str) -> None:
    """Refuse phonemes in a text for a voice that reads its letters."""
    if inline.present(text):
        raise Unspeakable(
            f"this voice reads letters, it cannot take {inline.EXAMPLE} inside a text",
            where="text",
            hint="write the word, and give its spelling in a lexicon (--lexicon FILE)",
        )


def check_size(text: str) -> None:
    """Refuse a text over the cap."""
    if len(text) > MAX_CHARACTERS:
        raise Unspeakable(f"{len(text)} characters, more than {MAX_CHARACTERS}", hint="split the text")


def read_tokenizers(
    path: Path, encoder: TextEncoderConfig, n_tokens: int
) -> tuple[PhonemeTokenizer, BpeTokenizer | None]:
    """Phonemes of a voice, and the pieces where the encoder of this config reads them too.

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
