"""Russian loanwords with a hard consonant before "е" (шоссе, отель); "ё" where the spelling leaves it out.

Spelling shows neither. The stems below are written as they sound, with "э" after the hard consonant. They
follow the orthoepic norm (Borunova, Vorontsova, Es'kova); of two accepted readings, the more usual one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from intona.text.languages.russian.letters import spellings

# Whole families: whatever follows the stem.
_STEMS = """
адэкват альтэрнатив антитэз антэнн анэстэз апартэид артэри атэи атэлье аутсайдэр бартэр бестсэллэр
бижутэри бизнэс бизнэсмэн блокбастэр бойфрэнд бруствэр брэнд бутэрброд бэкграунд ватэрлоо вольтэр
вундэркинд вэстэрн гантэл гейзэр гротэск гэйм гэнэзис диадэм диспансэр дэвальв дэгенерат дэград дэдлайн
дэжавю дэзавуи дэзинф дэзодорант дэзориент дэкаданс дэкарт дэкольтэ дэмарш дэмо- дэмпинг дэноминац
дэпривац дэтэктив дэтэктор дэтэрминант дэфис дэфолт идэнти индэкс интэнсив интэрактив интэрвал интэрвенц
интэрвью интэрнат интэрнацион интэрнэт интэрпол интэрфэйс интэрьер кабарэ кармэн кафэтэри кашнэ кемпинг
кибэрнэти кодэкс коктэйл компьютэр кондэнс консомэ контэйнер кортэж коттэдж крэдо кузэн лазэр лотэре
майонэз макрамэ манчестэр метрополитэн модэл модэм модэрн морзэ мэнэджмэнт мэнэджэр мюсли нонсэнс нэглиже
нэтто орхидэ панэл партэр пастэл паттэрн патэти перформанс пиетэт плэер портмонэ постэр потэнци претэнз
принтэр продюсэр протэже протэз протэкц проэкт проэкц пэнснэ рейтинг рэгби рэзюмэ рэквием рэномэ свитэр
синтэз синтэти сканэр снайпэр стэйк стэнд стюардэсс супэрмаркет суфлэ сэкс сэлфи сэнсор сэнтэнц сэпсис
сэрвис сэрвэр сэттэр тандэм тинэйджер тоннэл трэйдэр трэйлер трэкинг трэнд трэнинг турнэ тэзис тэмбр
тэндэнц тэндэр тэннис тэрмос тэт-а-тэт уик-энд флобэр фонэти фортэпиан фрэнд хай-тэк хедж хостэл хэштэг
цитадэл чартэр шатэн шедэвр шимпанзэ шоссэ штэпсэл экстрасэнс экстэрн эстэт юнэско
"""
# Hard in these forms only: the stem alone would also match other words (тесто, кафель, сеть).
_ALONE = """
амбрэ безэ бидэ дэнди каратэ карэ кафэ кюрэ лэди пюрэ рэлэ тирэ филэ шалэ
"""
_CASES = "а|у|ом|е|ы|ов|ам|ами|ах"
_ENDINGS = {
    **dict.fromkeys(_ALONE.split(), ""),
    "мэйл": "(?:а|у|ом|е|ы|ов)?",
    "мэсс": "(?:а|ы|у|е|ой)",
    "отэл": "(?:ь|я|ю|ем|е|и|ей|ям|ями|ях|ьн[а-я]+)",
    "тэг": "(?:а|у|ом|е|и|ов|ам|ами|ах)?",
    "тэмп": f"(?:{_CASES})?",
    "тэнт": f"(?:{_CASES})?",
    "тэст": "(?:ы|ов|ам|ами|ах|ир[а-я]+|ов[а-я]+)?",
    "тэстэр": "[а-я]*",
    "фэн": f"(?:{_CASES})?",
}
_PREFIXES = (
    "авто|био|видео|гипер|кино|макро|микро|мини|мульти|нано|не|пере|под|супер|теле|топ-|фото|эко|электро"
)


def _written(sound: str) -> str:
    return sound.replace("э", "[еэ]")


_SOUNDS = {sound.replace("э", "е"): sound for sound in (*_STEMS.split(), *_ENDINGS)}
_HARD = re.compile(
    rf"^(?:{_PREFIXES})?(?P<stem>{'|'.join(_written(s) for s in _STEMS.split())}"
    rf"|{'|'.join(f'{_written(s)}(?={ending}$)' for s, ending in _ENDINGS.items())})"
)


@lru_cache(maxsize=65536)
def respelled(word: str) -> str:
    """A lower-case word with "э" for "е" after a hard consonant."""
    m = _HARD.match(word)
    if m is None:
        return word
    return word[: m.start("stem")] + _SOUNDS[m["stem"].replace("э", "е")] + word[m.end("stem") :]


# Both spellings are words; the one with "е" is far more frequent.
_KEEPS_E = frozenset(["небо", "все", "совершенный", "нем", "чем", "тем", "всем", "берет", "падеж"])


def with_yo(word: str) -> str:
    """A word with "ё" for "е" if that is its only spelling in the dictionary; marked words are unchanged."""
    if "е" not in word or "+" in word or "ё" in word:
        return word
    restored = _with_yo(word.lower())
    return "".join("ё" if r == "ё" else w for w, r in zip(word, restored, strict=True))


@lru_cache(maxsize=65536)
def _with_yo(word: str) -> str:
    if word in _KEEPS_E:
        return word
    forms = spellings(word)
    return forms[0] if len(forms) == 1 else word
