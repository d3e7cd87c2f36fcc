"""Sentence boundaries in Russian and English: `|` in a row stands between two sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.text import split_sentences

RU = [
    "Он пришёл. | Она ушла.",
    "Он жил в 1941 г. в Москве. | Потом уехал! | Куда?",
    "Это было в 1941 г. | Он ушёл на фронт.",
    "А. С. Пушкин родился в 1799 г. | Он писал стихи.",
    "Пушкин А. С. родился в Москве.",
    "Роман написал Л.Н. Толстой. | Его читают все.",
    "Рассказы М. Горького и А. П. Чехова.",
    "Проведём прямую через угол А. | Затем измерим её.",
    "Возьмите витамин С. | Он полезен.",
    "Дом 5, кв. 45, третий этаж.",
    "Живу на ул. Ленина, д. 5, корп. 2, кв. 45.",
    "Данные приведены в табл. 5 и на рис. 3.",
    "См. рис. 3. | Там всё видно.",
    "Пришло ок. 20 чел. и ещё двое.",
    "В зале было 20 чел. | Все молчали.",
    "Он живёт в г. Москва с детства.",
    "Длина равна 5 см. | Потом её измерили снова.",
    "Он весит 80 кг. | Это много.",
    "Т. е. домой, и т. д.",
    "Яблоки, груши и т. д. | Всё это растёт в саду.",
    "Яблоки, груши и т. п. лежали на столе.",
    "Это, т. е. яблоки, лежит на столе.",
    "В XIX в. Россия росла.",
    "Это случилось в V в. до н. э. в Греции.",
    "Событие произошло в 44 г. до н. э. | Цезарь погиб.",
    "«Ты идёшь?» — спросил он.",
    "«Иду!» — крикнула она. | Потом вышла.",
    "— Ты идёшь? — спросил он. | — Да, иду.",
    "Он сказал: «Я пришёл». | Все обернулись.",
    "Он сказал: «Я пришёл.» | Все обернулись.",
    "Он помолчал... | Потом ответил.",
    "Он помолчал... и ответил.",
    "Ну… не знаю.",
    "Что?! | Не может быть!.. | А впрочем...",
    "Число пи равно 3.14. | Запомните.",
    "Версия 2.0 вышла 01.02.2024 г. | Она лучше.",
    "Цена 5 тыс. руб. за штуку. | Дорого!",
    "Цена 5 тыс. руб. | Берём!",
    "Проф. Иванов и акад. Петров встретились.",
    "Храм св. Николая стоит на пл. Ленина.",
    "Он родился в 1799 г. в с. Михайловское.",
    "1. Первый пункт. | 2. Второй пункт.",
    "(Это было давно.) | Теперь иначе.",
    "Он ушёл (и не вернулся). | Жаль.",
    "Сайт example.com работает. | Пишите на a.b@mail.ru.",
    "Глава первая\n| Было утро.",
    "Один\n\n| Два",
    "Список:\n| - яблоки\n| - груши",
    "Он шёл по длинной улице большого города и думал о том,\nкак хорошо было бы оказаться дома. | Дождь.",
    "Встреча в 10 ч. 30 мин. утра. | Не опоздайте.",
    "Скорость 90 км/ч. | Это быстро.",
    "Тел. 123-45-67, доб. 5. | Звоните.",
    "Ленин В. И. и Сталин И. В. правили долго.",
    "Я и сам так думал. | И он тоже.",
    "Им. Ленина назвали завод. | Он стоит.",
    "Приехал ген. Жуков. | Доц. Петров ушёл.",
    "Проведём отрезок. | Точка А. | Точка В.",
    "Цена 100 р. | Скидка 5 %. | Итого 95 руб. 50 коп. | Спасибо.",
    "Родился 5 янв. 1990 г. в Туле. | Умер в 2000 г. | Похоронен там же.",
    "В 1812 г. Наполеон вошёл в Москву.",
    "Летом 1941 г. Германия напала на СССР.",
    "Он погиб в 1837 г. | Россия скорбела.",
]
EN = [
    "He came. | She left.",
    "Mr. Smith came at 3.14. | He left.",
    "No. | I don't.",
    "See No. 5 on the list.",
    "He said no. | Then he left.",
    "We met at 5 p.m. | He left at once.",
    "We met at 5 p.m. on Monday.",
    "It starts at 7 p.m. Eastern time.",
    "At 9 a.m. Mary came. | It opens at 9 a.m. Sundays.",
    "I met Mr. T. | He was nice. | I got a B. | She got an A.",
    "It was 5 p.m. | John left.",
    "The U.S. Government said so.",
    "He moved to the U.S. | He likes it.",
    "J. K. Rowling wrote it. | George R. R. Martin did not.",
    "J.R.R. Tolkien and C. S. Lewis were friends.",
    "Apples, pears, etc. | The next day it rained.",
    "Apples, pears, etc. were sold.",
    "It costs $3.50. | Cheap!",
    "Fruit, e.g. this apple, is good.",
    "It is late, i.e. I must go.",
    '"Why?" he asked. | "Because."',
    '"Why?" | She did not answer.',
    'He said, "Go." | Then he left.',
    '"Go away!" John shouted. | Nobody moved.',
    "(He was late.) | We waited.",
    "He was late (as usual). | We waited.",
    "Dr. Brown lives on Elm St. | He is old.",
    "Dr. Brown lives on Riverside Dr. | He is old.",
    "St. Peter and Mt. Everest.",
    "He works for Apple Inc. | They pay well.",
    "Apple Inc. pays well.",
    "Martin Luther King Jr. spoke. | They listened.",
    "Smith vs. Jones is over.",
    "So do I. | Then she left.",
    "Choose plan B. | It is better.",
    "After World War I. | Everything changed.",
    "Wait... what? | Nothing.",
    "He paused... | Then he spoke.",
    "Well… maybe.",
    "What?! | No way!",
    "She has a Ph.D. in physics. | She teaches.",
    "On Jan. 5 we met. | It was cold.",
    "See fig. 3 and vol. 2, pp. 10-12. | They help.",
    "It is 5 in. long. | It weighs 3 lbs. | That is all.",
    "1. First item. | 2. Second item.",
    "Chapter One\n| It was morning.",
    "One\n\n| Two",
    "He walked down the long street of the big city and thought about\nhow good it was at home. | Rain.",
    "Visit example.com. | Write to a.b@mail.com.",
    "Version 2.0.1 is out. | Get it.",
    "I live in Washington, D.C. | It is hot.",
    "Gen. Lee and Col. Brown met Sen. Smith.",
    "He met Dr. Who. | They talked.",
    "Is it 5 o'clock? | Yes.",
    "She said hello.She left.",
    "Yahoo! is a company.",
    "“Is it?” she said. | “Yes.” | Good.",
]


def parts(row: str) -> tuple[str, list[str]]:
    """The text of a row and its sentences, each on one line."""
    return row.replace("| ", ""), [" ".join(p.split()) for p in row.split("|")]


@pytest.mark.parametrize(
    ("language", "row"), [("ru", r) for r in RU] + [("en", r) for r in EN], ids=lambda v: v.replace("\n", "/")
)
def test_boundaries(language: str, row: str):
    text, sentences = parts(row)
    assert [" ".join(s.split()) for s in split_sentences(text, language)] == sentences


def test_empty_text_has_no_sentences():
    assert split_sentences("", "ru") == [] == split_sentences(" \n ", "en")


def test_pieces_without_words_join_the_sentence_before():
    assert split_sentences("«Да»... Нет.", "ru") == ["«Да»...", "Нет."]
    assert split_sentences("The end.\n* * *", "en") == ["The end. * * *"]


def test_other_languages_split_at_their_own_signs():
    assert split_sentences("你好。再见！", "zh") == ["你好。", "再见！"]
    assert split_sentences("Er kam. Dann ging er.", "de") == ["Er kam.", "Dann ging er."]


# Each took minutes where the work grew with the square of the length.
@pytest.mark.parametrize("unit", [".", "!?", "。", '."', "1. ", "А. С. ", "табл. 5 ", "U.S. ", "a\n", "— "])
@pytest.mark.parametrize("language", ["ru", "en"])
def test_100k_characters(language: str, unit: str):
    text = unit * (100_000 // len(unit)) + "а"
    sentences = split_sentences(text, language)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert max(map(len, sentences)) <= 240


@pytest.mark.parametrize("length", [3_990, 4_010, 9_000])
def test_a_long_paragraph_is_split_like_a_short_one(length: int):
    sentence = "Он жил в 1941 г. в Москве и думал о том о сём."
    count = length // len(sentence) + 1
    assert split_sentences(" ".join([sentence] * count), "ru") == [sentence] * count


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="аб .,!?…г\n-«»Ая1", max_size=200), st.integers(5, 60))
def test_nothing_is_lost_in_russian(text: str, cap: int):
    check_nothing_is_lost(text, "ru", cap)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab .,!?…No1\n-\"'AI", max_size=200), st.integers(5, 60))
def test_nothing_is_lost_in_english(text: str, cap: int):
    check_nothing_is_lost(text, "en", cap)


def check_nothing_is_lost(text: str, language: str, cap: int) -> None:
    sentences = split_sentences(text, language, max_chars=cap)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(s and len(s) <= cap for s in sentences)


def test_long_sentence_is_cut_at_punctuation_then_spaces():
    pieces = split_sentences("слово слово, " * 10 + "конец", "ru", max_chars=30)
    assert all(len(p) <= 30 for p in pieces) and pieces[0].endswith(",")
    assert all(len(p) <= 50 for p in split_sentences("а" * 200, "ru", max_chars=50))
