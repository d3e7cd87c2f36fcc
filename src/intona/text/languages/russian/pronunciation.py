"""Russian letters to IPA for a known stress: palatalisation, voicing, vowel reduction.

These rules replace the phones of espeak-ng: version 1.51 drops the softness of "ль" and "нь" before a
consonant and the [j] of "-аёт-", reduces vowels differently, and does not accept the stress as an input. With
the stress known, Russian spelling is nearly regular, so the rules are short. Source: Avanesov's orthoepy as
summarized in phonetics courses (akanye, ikanye, final devoicing, regressive assimilation).
"""

from __future__ import annotations

import re

from intona.text.languages.russian.loanwords import respelled
from intona.text.symbols import RU_VOWELS

SOFTENS = frozenset("еёиюяь")
IOTATED = {"е": "е", "ё": "о", "ю": "у", "я": "а"}
BASE = {
    "б": "b", "в": "v", "г": "ɡ", "д": "d", "ж": "ʐ", "з": "z", "й": "j", "к": "k", "л": "l", "м": "m",
    "н": "n", "п": "p", "р": "r", "с": "s", "т": "t", "ф": "f", "х": "x", "ц": "ts", "ч": "tɕ", "ш": "ʂ",
    "щ": "ɕː",
}  # fmt: skip
ALWAYS_HARD, ALWAYS_SOFT = frozenset("жшц"), frozenset("чщй")
DEVOICE = {"b": "p", "v": "f", "ɡ": "k", "d": "t", "ʐ": "ʂ", "z": "s", "ʑː": "ɕː", "dz": "ts", "dʑ": "tɕ"}
VOICE = {
    "p": "b",
    "f": "v",
    "k": "ɡ",
    "t": "d",
    "ʂ": "ʐ",
    "s": "z",
    "ɕː": "ʑː",
    "ts": "dz",
    "tɕ": "dʑ",
    "x": "ɣ",
}
VOICED, VOICELESS = frozenset(DEVOICE) | {"ɣ"}, frozenset(VOICE)
STRESSED = {"а": "a", "о": "o", "у": "u", "ы": "ɨ", "и": "i", "э": "ɛ", "е": "e"}

# Clitics: prepositions, conjunctions and particles, which are not stressed.
PROCLITICS = frozenset(
    [
        "в",
        "во",
        "к",
        "ко",
        "с",
        "со",
        "о",
        "об",
        "обо",
        "от",
        "ото",
        "до",
        "из",
        "изо",
        "за",
        "на",
        "над",
        "надо",
        "по",
        "под",
        "подо",
        "при",
        "про",
        "без",
        "безо",
        "для",
        "у",
        "и",
        "а",
        "но",
        "не",
        "ни",
    ]
)
ENCLITICS = frozenset(["же", "ж", "ли", "ль", "бы", "б", "ка", "то", "таки"])
# The voicing of their last consonant depends on the next word ("из дома" with z, "в парке" with f).
LEANING = frozenset(["в", "к", "с", "об", "от", "из", "над", "под", "без"])

LETTERS = {
    "б": "бэ", "в": "вэ", "г": "гэ", "д": "дэ", "ж": "жэ", "з": "зэ", "й": "ий", "к": "ка", "л": "эль",
    "м": "эм",
    "н": "эн", "п": "пэ", "р": "эр", "с": "эс", "т": "тэ", "ф": "эф", "х": "ха", "ц": "цэ", "ч": "че",
    "ш": "ша",
    "щ": "ща", "ъ": "твёрдыйзнак", "ь": "мягкийзнак",
}  # fmt: skip

_RESPELL = tuple(
    (re.compile(p), r)
    for p, r in (
        (r"^что", "што"), (r"^ничто", "ништо"), (r"конечн(?=[оыа])", "конешн"), (r"скучн", "скушн"),
        (r"нарочно", "нарошно"), (r"яичниц", "яишниц"), (r"^сегодня", "севодня"),
        (r"^(кое|ни|не)?(ко|че)го$", r"\1\2во"),
        (r"^(?!(?:не|ни)?(?:много|строго|дорого|убого|полого|лого|ого|нестрого)$)"
         r"(.*[а-яё])?([оеё])го(?=(?:ся)?$)", r"\1\2во"), (r"^([её])го$", r"\1во"),
        (r"ть?ся$", "ца"), (r"[тд]ц", "ц"), (r"[тд]ств", "цтв"), (r"([тд])ск", "цк"),
        (r"здн", "зн"), (r"стн", "сн"), (r"(?<=[уа])вств", "ств"), (r"лнц", "нц"), (r"рдц", "рц"),
        (r"стлив", "слив"), (r"[сзж]ч", "щ"), (r"[сз]щ", "щ"), (r"[сз]ш", "шш"), (r"[сз]ж", "жж"),
        (r"(?<=[ея])гк", "хк"), (r"(?<=[ея])гч", "хч"),
    )
)  # fmt: skip


def phones(word: str, stress: int | None, *, following: str = "") -> tuple[str, ...]:
    """IPA phones of one lower-case Russian word.

    Args:
        word: Cyrillic letters only (others are skipped).
        stress: ordinal of the stressed vowel letter, or None for an unstressed clitic.
        following: first phone of the next word; the last consonant of a word in LEANING depends on it.
    """
    word = respelled(word.lower())
    for pattern, to in _RESPELL:
        word = pattern.sub(to, word)
    word = "".join(ch for ch in word if ch in BASE or ch in RU_VOWELS or ch in "ьъ")
    n_vowels = sum(ch in RU_VOWELS for ch in word)
    if stress is not None and stress >= n_vowels:
        stress = n_vowels - 1 if n_vowels else None
    out: list[str] = []
    soft = False  # whether the consonant before is soft
    seen = 0
    for i, ch in enumerate(word):
        previous = word[i - 1] if i else ""
        if ch in BASE:
            after = word[i + 1] if i + 1 < len(word) else ""
            soft = ch in ALWAYS_SOFT or (ch not in ALWAYS_HARD and after in SOFTENS and after != "")
            out.append(BASE[ch] + ("ʲ" if soft and ch not in ALWAYS_SOFT else ""))
        elif ch in RU_VOWELS:
            if (ch in IOTATED and (not previous or previous in RU_VOWELS or previous in "ьъ")) or (
                previous == "ь" and ch in "ио"
            ):
                out.append("j")
                soft = True
            elif not previous or previous in RU_VOWELS:
                soft = ch == "и"
            left = n_vowels - seen - 1
            where = None if stress is None else seen - stress
            ending = word[i + 1 :]
            out.append(
                _vowel(
                    ch,
                    where,
                    soft,
                    initial=not previous,
                    hiatus=ending[:1] in tuple("аоэуи"),
                    left=left,
                    ending=ending,
                )
            )
            seen += 1
            soft = False
    return tuple(_dark(_assimilate(out, word, following)))


def _vowel(
    ch: str, where: int | None, soft: bool, *, initial: bool, hiatus: bool, left: int, ending: str
) -> str:
    """One vowel. `where` is its distance from the stress, negative before it; None in a clitic."""
    v = IOTATED.get(ch, ch)
    if v == "и" and not soft and not initial:
        v = "ы"  # after ж, ш, ц
    if where == 0:
        return "ˈ" + ("ɛ" if v == "е" and not soft else STRESSED[v])
    if v == "у":
        return "ʊ"
    if v == "ы":
        return "ɨ"
    if v in "иэ":
        return "ɪ" if v == "и" or initial else "ɨ"
    if v == "е":
        return "ɪ" if soft else "ɨ"
    if soft:  # я and а after a soft consonant: [ə] in endings, else [ɪ]
        after_stress = where is None or where > 0
        return (
            "ə"
            if after_stress and ending in ("", "м", "х", "ми", "т", "сь", "йа")
            else ("ə" if ch == "ё" else "ɪ")
        )
    return "ɐ" if initial or hiatus or where == -1 or where is None else "ə"


def _assimilate(out: list[str], word: str, following: str) -> list[str]:
    """Voicing and softness, which spread from right to left through consonant clusters."""
    trigger = ""  # "voiced" or "voiceless" obstruent to the right, "" for none
    after_soft = ""  # the soft phone to the right
    last = following.removeprefix("ˈ").removesuffix("ʲ")
    if word in LEANING and following:
        trigger = "voiced" if last in VOICED and last != "v" else "voiceless" if last in VOICELESS else ""
    else:
        trigger = "voiceless"
    for i in range(len(out) - 1, -1, -1):
        phone = out[i]
        core, mark = phone.removesuffix("ʲ"), "ʲ" * phone.endswith("ʲ")
        if core in VOICED or core in VOICELESS:
            if trigger == "voiceless":
                core = DEVOICE.get(core, core)
            elif trigger == "voiced":
                core = VOICE.get(core, core)
            # [v] assimilates but does not cause assimilation: "твой" keeps its t.
            trigger = "" if core == "v" else "voiced" if core in VOICED else "voiceless"
        else:
            trigger = ""
        if (
            not mark
            and after_soft
            and (
                (core in ("s", "z") and after_soft in ("tʲ", "dʲ", "nʲ", "sʲ", "zʲ"))
                or (core == "n" and after_soft in ("tʲ", "dʲ", "nʲ", "sʲ", "zʲ", "tɕ", "ɕː"))
                or (core in ("t", "d") and after_soft in ("tʲ", "dʲ"))
                or (core == after_soft.removesuffix("ʲ"))
            )
        ):
            mark = "ʲ" if core not in ("tɕ", "ɕː", "j", "ts", "ʂ", "ʐ") else ""
        out[i] = core + mark
        after_soft = out[i] if mark or core in ("tɕ", "ɕː") else ""
    return out


def _dark(out: list[str]) -> list[str]:
    return ["ɫ" if p == "l" else p for p in out]
