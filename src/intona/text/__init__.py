"""Text to symbols: normalization, phonemes with stress, tokenizers, word maps. Needs no torch."""

from __future__ import annotations

from intona.text.frontend import Frontend, FrontendConfig, Utterance, Word, compatible, inventory_differences
from intona.text.ipa import from_text as phonemes_from_text
from intona.text.ipa import split_ipa
from intona.text.ipa import to_text as phonemes_to_text
from intona.text.lexicon import Lexicon
from intona.text.reading import read
from intona.text.sentences import split_sentences
from intona.text.tokenizer import BpeTokenizer, Encoded, PhonemeTokenizer, PublishedPieces, load_tokenizer
from intona.text.words import WordMap, word_map

__all__ = [
    "BpeTokenizer",
    "Encoded",
    "Frontend",
    "FrontendConfig",
    "Lexicon",
    "PhonemeTokenizer",
    "PublishedPieces",
    "Utterance",
    "Word",
    "WordMap",
    "compatible",
    "inventory_differences",
    "load_tokenizer",
    "phonemes_from_text",
    "phonemes_to_text",
    "read",
    "split_ipa",
    "split_sentences",
    "word_map",
]
