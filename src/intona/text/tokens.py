"""A text to tokens: words, punctuation symbols, and words with their phonemes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from intona.errors import UserError
from intona.text import inline, languages, normalize
from intona.text.attribution import parts_of_words
from intona.text.inline import Pronounced
from intona.text.lexicon import Lexicon, LexiconEntry
from intona.text.sentences import MAX_CHARS, split_sentences
from intona.text.symbols import PUNCTUATION, plain

Token = str | Pronounced


@dataclass(frozen=True, kw_only=True)
class TokenReader:
    """Texts to sentences and tokens.

    Args:
        language: code of the texts' language.
        lexicon: the pronunciation of certain words.
        phones: those allowed in `[[…]]`; None: any that can be written in IPA.
        stressed: whether they keep their stress marks.
        inline: False treats `[[` as any other sign.
    """

    language: str
    lexicon: Lexicon | None = None
    phones: frozenset[str] | None = None
    stressed: bool = True
    inline: bool = True

    def sentences(self, text: str, *, max_chars: int = MAX_CHARS) -> list[str]:
        """The sentences of a text in order. Neither `[[…]]` nor a word of the lexicon is split.

        Args:
            max_chars: longer sentences are cut.

        Raises:
            PhonemeError: `[[` without `]]`, or nothing between them.
        """
        whole = inline.spans_of(text) if self.inline else []
        if self.lexicon is not None:
            words = self.lexicon.matches(text)
            stops = [(m.start, m.end) for m in words if any(c in ".!?…" for c in m.entry.word)]
            whole = sorted([*whole, *(s for s in stops if not any(a < s[1] and s[0] < b for a, b in whole))])
        if not whole:
            return split_sentences(text, self.language, max_chars=max_chars)
        # Each is replaced by a letter that has no case and does not occur in the text.
        letter = next(chr(c) for c in range(0xA000, 0xA48D) if chr(c) not in text)
        parts, at = [], 0
        for start, end in whole:
            parts += [text[at:start], letter]
            at = end
        kept = iter([text[a:b] for a, b in whole])
        return [
            "".join(next(kept) if c == letter else c for c in sentence)
            for sentence in split_sentences("".join(parts) + text[at:], self.language, max_chars=max_chars)
        ]

    def tokens(self, text: str) -> tuple[list[Token], tuple[str, ...]]:
        """Tokens of a text, and the characters in it without a reading. The steps: see `text/frontend.py`.

        Raises:
            UserError: nothing to read, or unknown phonemes.
        """
        pieces: list[str | list[Token]] = []
        respelled: set[str] = set()
        at = 0
        for start, end in inline.spans_of(text) if self.inline else []:
            pieces += self._looked_up(text[at:start], respelled)
            pieces.append(self._pronounced("", text[start + 2 : end - 2], text[start:end]))
            at = end
        pieces += self._looked_up(text[at:], respelled)
        tokens, unreadable = self._normalized(pieces)
        return self._look_up_again(tokens, respelled), unreadable

    def parts_of_tokens(self, tokens: Sequence[Token], parts: Sequence[str]) -> list[int]:
        """The part of a text that each of its tokens comes from; see `attribution`.

        Args:
            tokens: of the whole text. parts: of the text, in order.
        """
        words = [str(t) for t in tokens if t not in PUNCTUATION]
        owners = iter(parts_of_words(words, [self._words(part) for part in parts]))
        return [-1 if t in PUNCTUATION else next(owners) for t in tokens]

    def _words(self, part: str) -> list[str]:
        """The words of a part, read by itself; none if it cannot be read so."""
        try:
            tokens, _ = self.tokens(part)
        except UserError:
            return []
        return [str(t) for t in tokens if t not in PUNCTUATION]

    def _looked_up(self, text: str, respelled: set[str]) -> list[str | list[Token]]:
        """Part of a text with words of the lexicon respelled, cut at those with phonemes.

        Args:
            respelled: the words of the spellings are added to it.
        """
        out: list[str | list[Token]] = []
        part, at = "", 0
        for m in self.lexicon.matches(text) if self.lexicon is not None else ():
            part += text[at : m.start]
            at = m.end
            if m.entry.spelling:
                part += m.entry.spelling
                respelled.update(plain(m.entry.spelling).lower().split())
            else:
                out += [part, self._pronounced(text[m.start : m.end], m.entry.phonemes, m.entry.where)]
                part = ""
        return [*out, part + text[at:]]

    def _look_up_again(self, tokens: list[Token], respelled: set[str]) -> list[Token]:
        """Tokens with words of the lexicon replaced, except those that it has respelled already."""
        if self.lexicon is None:
            return tokens
        out: list[Token] = []
        run: list[str] = []
        for token in [*tokens, ""]:
            is_word = isinstance(token, str) and token not in ("", *PUNCTUATION)
            if is_word and token.lower() not in respelled:
                run.append(token)
                continue
            out += self._replaced(run)
            out += [token] if token else []
            run = []
        return out

    def _replaced(self, words: list[str]) -> list[Token]:
        assert self.lexicon is not None
        text = " ".join(words)
        starts, ends, at = {}, {}, 0
        for i, word in enumerate(words):
            starts[at], ends[at + len(word)] = i, i + 1
            at += len(word) + 1
        out: list[Token] = []
        done = 0
        for m in self.lexicon.matches(text):
            if m.start in starts and m.end in ends:  # not part of a hyphenated word
                out += [*words[done : starts[m.start]], *self._entry_tokens(m.entry, text[m.start : m.end])]
                done = ends[m.end]
        return [*out, *words[done:]]

    def _entry_tokens(self, entry: LexiconEntry, written: str) -> list[Token]:
        if entry.phonemes:
            return self._pronounced(written, entry.phonemes, entry.where)
        return list(normalize.normalize(entry.spelling, self.language).tokens)

    def _pronounced(self, written: str, phonemes: str, where: str) -> list[Token]:
        """Words with their phonemes, and punctuation.

        If there are not as many written words as pronounced ones, each of these has all the letters.
        """
        parts = inline.parse(phonemes, self.phones, where=where, stressed=self.stressed)
        n = sum(not isinstance(p, str) for p in parts)
        letters = written.split()
        if n == 1:
            letters = [" ".join(letters)]
        elif len(letters) != n:
            letters = [written] * n
        names = iter(letters or [""] * n)
        return [p if isinstance(p, str) else Pronounced(next(names), p) for p in parts]

    def _normalized(self, pieces: Sequence[str | list[Token]]) -> tuple[list[Token], tuple[str, ...]]:
        """Tokens of a text from its pieces: parts to normalize, and tokens that need no work."""
        tokens: list[Token] = []
        unreadable: dict[str, None] = {}
        rules = languages.get(self.language)
        pieces = [p for p in pieces if not isinstance(p, str) or p.strip()] or [""]
        for i, piece in enumerate(pieces):
            if isinstance(piece, str):
                last = tokens[-1] if tokens else ""
                if isinstance(last, Pronounced) and (suffix := rules.suffix(last.phones, piece)):
                    tokens[-1] = last.followed_by(suffix.text, suffix.phones)
                    piece = piece[len(suffix.text) :]
                part, signs = self._part(piece, first=i == 0, last=i == len(pieces) - 1)
                unreadable.update(dict.fromkeys(signs))
            else:
                part = piece
            for token in part:
                if not (token in PUNCTUATION and (not tokens or token == tokens[-1])):
                    tokens.append(token)
        return tokens, tuple(unreadable)

    def _part(self, text: str, *, first: bool, last: bool) -> tuple[Sequence[Token], tuple[str, ...]]:
        """One part, normalized; letters that touch the words around it are separate words."""
        if first and last:
            whole = normalize.normalize(text, self.language)
            return whole.tokens, whole.unreadable
        before, after = languages.get(self.language).neighbours
        before, after = "" if first else before, "" if last else after
        if before:
            text = re.sub(r"^[-'’+]*(?=\w)", " ", text)
        if after:
            text = re.sub(r"(?<=\w)[-'’+]*$", " ", text)
        whole = normalize.normalize(before + text + after, self.language)
        if (before and whole.tokens[0] != before) or (after and whole.tokens[-1] != after):
            raise UserError(f'"{text.strip()[:40]}" cannot be read beside phonemes', where="text")
        return whole.tokens[len(before) > 0 : len(whole.tokens) - (len(after) > 0)], whole.unreadable
