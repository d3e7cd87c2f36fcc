"""Columns in the wrong place: speakers or files where the text should be.

A voice would learn a wrong column without any error, so tables that do not look like sentences are rejected.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from intona.data.corpora.record import AUDIO_SUFFIXES
from intona.data.corpora.separated import Table
from intona.errors import UserError

_SENTENCE_WORDS = 5
_AFTER_NAMES = frozenset({"jr", "sr", "dr", "phd", "ph.d", "md", "esq", "st", "мл", "ст", "др"})
_TOO_MANY_SHARED = 0.3  # share of the texts; normalized texts correspond almost one to one to the texts


def is_file_name(text: str) -> bool:
    """Whether a text is the name or path of an audio file: one word, or several with a slash."""
    return text.lower().endswith(AUDIO_SUFFIXES) and (len(text.split()) == 1 or bool(set("/\\") & set(text)))


def is_sentence(text: str) -> bool:
    """Whether a text is too long for a name or ends like a sentence ("Jr." and "Dr." do not)."""
    words = text.split()
    if len(words) >= _SENTENCE_WORDS:
        return True
    last = words[-1].rstrip("\"»”')") if words else ""
    if len(words) < 2 or not last.endswith((".", "!", "?", "…")):
        return False
    name = last[:-1].lower()
    return not last.endswith(".") or not (len(name) == 1 or name in _AFTER_NAMES)


def check_speakers(table: Table) -> None:
    """Reject a table whose speakers and texts are swapped.

    Raises:
        UserError: most "speakers" are sentences and most "texts" are not, or the texts are few and repeated
            while all "speakers" differ and are longer.
    """
    rows = [r for r in table.good if r.cells.get("speaker") and r.cells.get("text")]
    if not rows:
        return
    texts, speakers = [r.cells["text"] for r in rows], [r.cells["speaker"] for r in rows]
    sentences = sum(map(is_sentence, speakers))
    swapped = 2 * sentences > len(rows) and 2 * sum(map(is_sentence, texts)) < sentences
    few = 2 * len(set(texts)) <= len(rows) and len(set(speakers)) == len(rows) >= 4
    longer = sum(len(s.split()) for s in speakers) > sum(len(t.split()) for t in texts)
    if swapped or (few and longer):
        raise UserError(
            f'the text is "{texts[0][:40]}" and the speaker "{speakers[0][:40]}": are the columns swapped?',
            where=f"{table.path}, line {rows[0].number}",
            hint=f"expected {table.columns}; a first line (id|speaker|text) can name another order",
        )


def check_normalized(table: Table) -> None:
    """Reject a table `id|text|normalized` whose second or third column holds speakers.

    Raises:
        UserError: different texts have the same normalized text, or the reverse, throughout.
    """
    rows = [r for r in table.good if r.cells.get("text") and r.cells.get("normalized")]
    texts = {r.cells["text"] for r in rows}
    normalized = {r.cells["normalized"] for r in rows}
    most = max(len(texts), len(normalized), 1)
    if abs(len(texts) - len(normalized)) < max(1, _TOO_MANY_SHARED * most):
        return
    place, name = ("second", "text") if len(texts) < len(normalized) else ("third", "normalized")
    raise UserError(
        f'the {place} column repeats "{rows[0].cells[name][:40]}" beside different texts: a speaker?',
        where=f"{table.path}, line {rows[0].number}",
        hint="expected id|text|normalized text; the layout csv reads id|text|speaker",
    )


def normalized_fault(text: str, normalized: str) -> str | None:
    """Why `normalized` cannot be the written-out text, or None: it is much shorter, or lacks most words."""
    if not normalized or not text:
        return None
    if 2 * sum(map(str.isalnum, normalized)) < sum(map(str.isalnum, text)):
        return f'the normalized text "{normalized[:40]}" is much shorter than the text'
    # Words that need no writing out: no numbers, acronyms or abbreviations.
    plain = [w for w in re.findall(r"[^\W\d_]{3,}(?![\w.])", _letters(text)) if not w.isupper()]
    written = set(re.findall(r"\w+", _letters(normalized).lower()))
    if plain and 2 * sum(w.lower() in written for w in plain) < len(plain):
        return f'the normalized text "{normalized[:40]}" lacks the words of the text (a text cannot hold "|")'
    return None


def _letters(text: str) -> str:
    """Without accents and stress marks, which are often in only one of the two texts."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.replace("+", "")


def known_speakers(table: Table) -> Counter[str]:
    return Counter(r.cells["speaker"] for r in table.good if r.cells.get("speaker"))


def text_fault(text: str, speaker: str, speakers: Counter[str]) -> str | None:
    """Why a cell cannot be the text of its line, or None: it names a file, or a speaker of other lines."""
    if is_file_name(text):
        return f'the text "{text[:60]}" is the name of a file'
    if not speaker:
        return f'the text "{text[:40]}" is a speaker of other lines' if speakers[text] else None
    others = speakers[text] - (speaker == text)
    if others > 0 and speakers[speaker] == 1 and speaker != text:
        return f'the text "{text[:40]}" is a speaker of other lines'
    if is_sentence(speaker):
        return f'the speaker "{speaker[:40]}" is a sentence'
    return None
