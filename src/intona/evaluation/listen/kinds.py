"""The four tests and their wording. The wording is part of the measure: another word makes another test.

MOS: ITU-T P.800 (absolute category rating) for naturalness. CMOS: the comparison category rating of P.800.
MUSHRA: ITU-R BS.1534-3. IntMOS is MOS for intonation alone; no paper states its wording, so it is fixed here,
and every result carries `VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

VERSION = "1"
Kind = Literal["mos", "intmos", "cmos", "mushra"]
Language = Literal["en", "ru"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Integers from `low` to `high`; `signed` shows a plus sign."""

    title: str
    low: int
    high: int
    signed: bool = False


KINDS: Mapping[str, Scale] = {
    "mos": Scale(title="MOS (naturalness)", low=1, high=5),
    "intmos": Scale(title="IntMOS (intonation)", low=1, high=5),
    "cmos": Scale(title="CMOS", low=-3, high=3, signed=True),
    "mushra": Scale(title="MUSHRA", low=0, high=100),
}

_FIVE = {
    "en": {
        "5": "Excellent: completely natural",
        "4": "Good: mostly natural",
        "3": "Fair: as natural as unnatural",
        "2": "Poor: mostly unnatural",
        "1": "Bad: completely unnatural",
    },
    "ru": {
        "5": "Отлично: совершенно естественно",
        "4": "Хорошо: в основном естественно",
        "3": "Средне: естественно и неестественно поровну",
        "2": "Плохо: в основном неестественно",
        "1": "Очень плохо: совершенно неестественно",
    },
}

# kind -> language -> question, labels of the scale, and what to do about beeps.
_WORDING: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "mos": {
        "en": {
            "question": "How natural does this speech sound?",
            "labels": _FIVE["en"],
            "check": "Some items are beeps instead of speech: count them and press that number.",
        },
        "ru": {
            "question": "Насколько естественно звучит эта речь?",
            "labels": _FIVE["ru"],
            "check": "Иногда вместо речи звучат гудки: сосчитайте их и нажмите это число.",
        },
    },
    "intmos": {
        "en": {
            "question": (
                "How natural is the intonation: the rise and fall of the voice, the stress and the pauses? "
                "Judge the intonation only, not the sound quality and not how clear the words are."
            ),
            "labels": _FIVE["en"],
            "check": "Some items are beeps instead of speech: count them and press that number.",
        },
        "ru": {
            "question": (
                "Насколько естественна интонация: повышения и понижения голоса, ударения и паузы? "
                "Оценивайте только интонацию, а не качество звука и не разборчивость слов."
            ),
            "labels": _FIVE["ru"],
            "check": "Иногда вместо речи звучат гудки: сосчитайте их и нажмите это число.",
        },
    },
    "cmos": {
        "en": {
            "question": "How natural does the second clip sound, compared with the first?",
            "labels": {
                "-3": "Much worse",
                "-2": "Worse",
                "-1": "Slightly worse",
                "0": "About the same",
                "1": "Slightly better",
                "2": "Better",
                "3": "Much better",
            },
            "check": (
                "Some items are beeps instead of speech: answer +3 if the second clip has more beeps, "
                "−3 if it has fewer."
            ),
        },
        "ru": {
            "question": "Насколько естественно звучит вторая запись по сравнению с первой?",
            "labels": {
                "-3": "Намного хуже",
                "-2": "Хуже",
                "-1": "Немного хуже",
                "0": "Примерно так же",
                "1": "Немного лучше",
                "2": "Лучше",
                "3": "Намного лучше",
            },
            "check": (
                "Иногда вместо речи звучат гудки: ответьте +3, если во второй записи их больше, "
                "и −3, если меньше."
            ),
        },
    },
    "mushra": {
        "en": {
            "question": "How close is each clip to the reference? 100: no difference can be heard.",
            "labels": {
                "0–20": "Bad",
                "20–40": "Poor",
                "40–60": "Fair",
                "60–80": "Good",
                "80–100": "Excellent",
            },
            "check": "Some items are beeps, not speech: set each slider to ten times the number of beeps.",
        },
        "ru": {
            "question": "Насколько каждая запись близка к эталону? 100: разницы не слышно.",
            "labels": {
                "0–20": "Очень плохо",
                "20–40": "Плохо",
                "40–60": "Средне",
                "60–80": "Хорошо",
                "80–100": "Отлично",
            },
            "check": (
                "Иногда вместо речи звучат гудки: поставьте каждый ползунок на число гудков, "
                "умноженное на 10."
            ),
        },
    },
}

_PAGE: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Listening test",
        "intro": "Use headphones in a quiet room, and keep the volume as it is once you have begun.",
        "blind": "You will not be told which system made a clip. There is no right answer but your own.",
        "hear": "Every clip has to be heard to its end once before you can go on. You may hear it again.",
        "kept": "Your answers are kept in this browser: the same code goes on where you stopped.",
        "code": "Your rater code",
        "code_hint": "Letters, digits, - and _; as given to you by whoever runs the test.",
        "start": "Start",
        "item": "Item {i} of {n}",
        "play": "Play",
        "pause": "Pause",
        "clip": "Clip",
        "first": "First",
        "second": "Second",
        "reference": "Reference",
        "next": "Next",
        "back": "Back",
        "not_set": "not set",
        "listen_first": "Hear every clip to its end first.",
        "answer_first": "Answer first.",
        "broken": "A clip cannot be played. Tell whoever runs the test; your answers so far are kept.",
        "done": "Done. Thank you!",
        "send": "Download the file and send it to whoever runs the test.",
        "download": "Download results (CSV)",
        "so_far": "Download what is answered so far",
        "copy": "Or copy this text:",
        "keys_five": "Keys: space plays, 1 to 5 answer, Enter goes on.",
        "keys_cmos": "Keys: A and B play the clips, 1 to 7 answer from left to right, Enter goes on.",
        "keys_mushra": "Keys: R plays the reference, A, B, … the clips; arrows move a slider, Enter goes on.",
    },
    "ru": {
        "title": "Тест на слух",
        "intro": "Слушайте в наушниках в тихом месте и не меняйте громкость после начала.",
        "blind": "Вам не скажут, какая система создала запись. Правильный ответ один: ваш собственный.",
        "hear": "Каждую запись нужно один раз дослушать до конца. Потом её можно слушать ещё.",
        "kept": "Ответы хранятся в этом браузере: тот же код продолжит с того же места.",
        "code": "Ваш код",
        "code_hint": "Латинские буквы, цифры, - и _; код даёт тот, кто проводит тест.",
        "start": "Начать",
        "item": "Задание {i} из {n}",
        "play": "Слушать",
        "pause": "Пауза",
        "clip": "Запись",
        "first": "Первая",
        "second": "Вторая",
        "reference": "Эталон",
        "next": "Дальше",
        "back": "Назад",
        "not_set": "не задано",
        "listen_first": "Сначала дослушайте каждую запись до конца.",
        "answer_first": "Сначала ответьте.",
        "broken": "Запись не воспроизводится. Сообщите тому, кто проводит тест; ответы сохранены.",
        "done": "Готово. Спасибо!",
        "send": "Скачайте файл и отправьте его тому, кто проводит тест.",
        "download": "Скачать результаты (CSV)",
        "so_far": "Скачать то, что уже отвечено",
        "copy": "Или скопируйте этот текст:",
        "keys_five": "Клавиши: пробел — слушать, 1–5 — ответ, Enter — дальше.",
        "keys_cmos": "Клавиши: A и B — слушать, 1–7 — ответ слева направо, Enter — дальше.",
        "keys_mushra": "Клавиши: R — эталон, A, B, … — записи; стрелки двигают ползунок, Enter — дальше.",
    },
}


def wording(kind: Kind, language: Language) -> dict[str, object]:
    """All text that a rater reads in this test."""
    return {**_PAGE[language], **_WORDING[kind][language]}
