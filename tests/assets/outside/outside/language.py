"""A language: Esperanto's espeak-ng voice under a code of its own, with "&" read as a word."""

from __future__ import annotations

from dataclasses import dataclass

from intona.text.languages.base import Language, Verbalized


@dataclass(frozen=True, kw_only=True)
class Qx(Language):
    def verbalize(self, text: str) -> Verbalized:
        return super().verbalize(text.replace("&", " kaj "))


QX = Qx(code="qx", voice="eo", scripts=("LATIN",))
