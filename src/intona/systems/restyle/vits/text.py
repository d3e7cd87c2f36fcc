"""Text to the ids of a VITS voice: characters (MMS-TTS), or espeak-ng's phonemes (vits-ljs, Piper)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from intona.errors import Unspeakable, UserError
from intona.text import espeak

_CLAUSE = re.compile(r"([.,:;!?…—-]+)")
MAX_SYMBOLS = 4000  # per text: about four minutes


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """How a voice maps text to ids.

    Attributes:
        table: symbol -> ids.
        voice: espeak-ng voice for phonemes, "" = the characters of the text.
        piper: begin and end marks and a pad after each symbol (Piper), instead of blanks between symbols.
        blank: id around each symbol; None = none.
        lower: convert characters that are not in the table to lower case.
        language: ISO code, "" = unknown.
    """

    table: dict[str, tuple[int, ...]]
    voice: str = ""
    piper: bool = False
    blank: int | None = 0
    lower: bool = True
    language: str = ""

    def ids(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            UserError: nothing in the text can be spoken, or it is too long.
        """
        spoken = ipa(text, self.voice) if self.voice else self._lower(text) if self.lower else text
        if self.piper:
            spoken = unicodedata.normalize("NFD", spoken)
        # Strip after filtering: dropping an unknown mark at an end leaves the space next to it.
        filtered = "".join(c for c in " ".join(spoken.split()) if c in self.table).strip()
        known = [self.table[c] for c in filtered]
        sounds = [c for c in spoken if c in self.table and c.isalpha()]
        if not sounds:
            hint = f"it speaks {self.language}" if self.language else "write in the voice's language"
            raise Unspeakable("nothing in the text that this voice can speak", where=text[:40], hint=hint)
        if len(known) > MAX_SYMBOLS:
            raise UserError(
                f"{len(known)} symbols, more than {MAX_SYMBOLS}", hint="give one sentence at a time"
            )
        if self.piper:
            pad = list(self.table["_"])
            out = [*self.table["^"], *pad]
            for symbol in known:
                out += [*symbol, *pad]
            return [*out, *self.table["$"]]
        flat = [i for symbol in known for i in symbol]
        if self.blank is None:
            return flat
        out = [self.blank] * (2 * len(flat) + 1)
        out[1::2] = flat
        return out

    def _lower(self, text: str) -> str:
        return "".join(c if c in self.table else c.lower() for c in text)


def ipa(text: str, voice: str) -> str:
    """The phones of espeak-ng, with spaces between words and the punctuation of the text."""
    parts = _CLAUSE.split(" ".join(text.split()))
    spoken = [p for p in parts[::2] if any(c.isalnum() for c in p)]
    words = iter(espeak.get().words([p.strip() for p in spoken], voice))
    out = ""
    for i, part in enumerate(parts):
        if i % 2:
            out = out.rstrip() + ("-" if part == "-" else part[0]) + " "
        elif any(c.isalnum() for c in part):
            out += " ".join("".join(group) for group in next(words)) + " "
    return out.strip()
