"""The front end on real sentences: exact words, marks, languages, hand-written phonemes."""

from __future__ import annotations

import pytest

from intona.errors import UserError
from intona.text import (
    Frontend,
    FrontendConfig,
    compatible,
    inventory_differences,
    load_tokenizer,
    phonemes_to_text,
)
from intona.text.ipa import is_word_symbol

SENTENCES = [  # festvox-ru prompts
    "Она завела, прядь волнистых вол+ос за ухо, подняла с тротуара корзинку с зеленью, и пошла через улицу.",
    "Со спокойным мужеством, Скайлс, ожидал всего, в этом безумном городе.",
    "+Окна многоэтажных домов, иные разбитые, иные заколоченные досками, казались нежилыми, - ни одна "
    "голова, не выглядывала на улицу.",
]


@pytest.fixture(scope="module")
def ru() -> Frontend:
    return Frontend(FrontendConfig(stress="marks"))


@pytest.fixture(scope="module")
def en() -> Frontend:
    return Frontend(FrontendConfig(language="en"))


def check_words(u) -> None:
    """Words are disjoint, in order, made of phones only, and own every phone."""
    owned = [i for w in u.words for i in range(w.start, w.end)]
    assert owned == [i for i, s in enumerate(u.phonemes) if is_word_symbol(s)]
    assert all(w.end > w.start for w in u.words)


def word(frontend: Frontend, text: str, i: int = 0) -> str:
    u = frontend([text])[0]
    w = u.words[i]
    return " ".join(u.phonemes[w.start : w.end])


def test_real_sentences_have_exact_words(ru):
    for text, u in zip(SENTENCES, ru(SENTENCES), strict=True):
        check_words(u)
        spoken = [t.strip(",.-").replace("+", "") for t in text.split()]
        assert [w.text for w in u.words] == [t for t in spoken if t]
        assert u.phonemes[-1] == "."


def test_punctuation_follows_its_word_and_spaces_part_words(ru):
    u = ru(["Привет, мир!"])[0]
    assert phonemes_to_text(u.phonemes) == "p rʲ ɪ vʲ ˈe t , | mʲ ˈi r !"


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("з+амок", "z ˈa m ə k"), ("зам+ок", "z ɐ m ˈo k"), ("за́мок", "z ˈa m ə k"), ("замо́к",
        "z ɐ m ˈo k"),
        ("большой", "b ɐ lʲ ʂ ˈo j"), ("деньги", "dʲ ˈe nʲ ɡʲ ɪ"), ("подъезд", "p ɐ d j ˈe s t"),
        ("счастье", "ɕː ˈa sʲ tʲ j ɪ"), ("его", "j ɪ v ˈo"), ("много", "m n ˈo ɡ ə"), ("полёт",
        "p ɐ lʲ ˈo t"),
        ("ёлка", "j ˈo ɫ k ə"), ("жить", "ʐ ˈɨ tʲ"), ("сделать", "zʲ dʲ ˈe ɫ ə tʲ"), ("твой", "t v ˈo j"),
        ("надеется", "n ɐ dʲ ˈe j ɪ ts ə"), ("чувство", "tɕ ˈu s t v ə"), ("что", "ʂ t ˈo"), ("из-за",
        "ɪ z z ɐ"),
    ],
)  # fmt: skip
def test_russian_words(ru, text, phones):
    assert word(ru, text) == phones


def test_prepositions_follow_the_next_word(ru):
    assert word(ru, "в парке") == "f"
    assert word(ru, "в лесу") == "v"
    assert word(ru, "с братом") == "z"
    assert word(ru, "из дома") == "ɪ z"
    assert word(ru, "из парка") == "ɪ s"
    assert word(ru, "в, парке") == "f"  # a pause between them ends the word


def test_no_stress_mode():
    u = Frontend(FrontendConfig(stress="none"))(["Молоко на столе."])[0]
    assert not any("ˈ" in p for p in u.phonemes)


def test_espeak_phones_honour_marks():
    f = Frontend(FrontendConfig(stress="marks", g2p="espeak"))
    vowels = [p for p in f(["з+амок"])[0].phonemes if p[-1] in "aɑoʌ"]
    assert vowels[0].startswith("ˈ")
    assert not vowels[1].startswith("ˈ")
    assert f.describe()["backend"] == "espeak-ng"


def test_english_clauses_are_shared_out_exactly(en):
    # espeak-ng merges "of the"; heard whole, "the" before a vowel differs from "the" before a consonant.
    u = en(["Hello world, this is the end of the story, isn't it?"])[0]
    check_words(u)
    said = {w.text: u.phonemes[w.start : w.end] for w in u.words}
    assert said["of"] == ("ʌ", "v")
    assert said["story"][:2] == ("s", "t")
    assert said["isn't"][-1] == "t"
    assert len(u.words) == 11


def test_other_language():
    u = Frontend(FrontendConfig(language="de"))(["Guten Tag, schöne Welt."])[0]
    assert [w.text for w in u.words] == ["Guten", "Tag", "schöne", "Welt"]
    check_words(u)


def test_every_code_that_espeak_lists_can_be_spoken(en):
    """Two voices answer to their names only; "en-gb" was refused with itself as the suggestion."""
    british = Frontend(FrontendConfig(language="en-gb"))
    assert word(british, "car") == "k ˈɑː" != word(en, "car")
    assert british(["Dr. Smith's 2 cars"])[0].plain == "doctor Smith's two cars"
    assert word(Frontend(FrontendConfig(language="fr-fr")), "oui") == "w ˈi"


def test_unknown_language_offers_a_near_one():
    with pytest.raises(UserError, match="does not speak"):
        Frontend(FrontendConfig(language="qqx"))(["hi"])


def test_from_phonemes_and_back(ru):
    u = ru(["Привет, мир!"])[0]
    again = ru.from_phonemes(str(u))
    assert again.phonemes == u.phonemes
    assert [(w.start, w.end) for w in again.words] == [(w.start, w.end) for w in u.words]
    for bad in ("", "  ", ". !", "|"):
        with pytest.raises(UserError):
            ru.from_phonemes(bad)


def test_describe_and_compatible(ru, en):
    a, b = ru.describe(), en.describe()
    assert a["backend_version"] and a["normalizer_version"]
    assert compatible(a, a) == []
    lines = compatible(a, b)
    assert any(line.startswith("language: 'ru' there, 'en' here") for line in lines)
    assert compatible(a, {**a, "stress_version": "0"}) == [
        f"stress source version: {a['stress_version']!r} there, '0' here"
    ]


def test_batch_names_the_bad_text(ru):
    with pytest.raises(UserError, match="text 1"):
        ru(["Привет.", "", "Мир."])


def test_batch_equals_one_by_one(ru):
    assert ru(SENTENCES) == [ru([s])[0] for s in SENTENCES]


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("шоссе", "ʂ ɐ s s ˈɛ"), ("отель", "ɐ t ˈɛ lʲ"), ("кафе", "k ɐ f ˈɛ"), ("тест", "t ˈɛ s t"),
        ("модель", "m ɐ d ˈɛ lʲ"), ("бизнес", "bʲ ˈi z n ɨ s"), ("проект", "p r ɐ ˈɛ k t"),
        ("тесто", "tʲ ˈe s t ə"), ("степь", "sʲ tʲ ˈe pʲ"), ("температ+ура", "tʲ ɪ m pʲ ɪ r ɐ t ˈu r ə"),
        ("к+афель", "k ˈa fʲ ɪ lʲ"), ("интер+ес", "ɪ nʲ tʲ ɪ rʲ ˈe s"), ("атл+ет", "ɐ t lʲ ˈe t"),
    ],
)  # fmt: skip
def test_hard_consonants_of_loanwords(ru, text, phones):
    assert word(ru, text) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("счет", "ɕː ˈo t"), ("лед", "lʲ ˈo t"), ("шел", "ʂ ˈo ɫ"), ("еще", "j ɪ ɕː ˈo"),
        ("елка", "j ˈo ɫ k ə"), ("зеленый", "zʲ ɪ lʲ ˈo n ɨ j"),
        ("небо", "nʲ ˈe b ə"), ("нет", "nʲ ˈe t"), ("лес", "lʲ ˈe s"),
    ],
)  # fmt: skip
def test_yo_that_the_spelling_leaves_out(ru, text, phones):
    assert word(ru, text) == phones


def test_a_voice_of_an_older_front_end_is_told_apart_by_its_phones_only(ru):
    here = ru.describe()
    older = {**here, "normalizer_version": "1", "backend_version": "2", "stress_version": "0"}
    assert inventory_differences(older, here) == []
    assert len(compatible(older, here)) == 3
    assert inventory_differences({**older, "backend_version": "1"}, here) == [
        "phonemizer version: '1' there, '3' here"
    ]
    assert inventory_differences({**older, "stress": "none"}, here) != []
    assert inventory_differences({**older, "language": "en"}, here) != []


def test_the_shipped_voices_know_every_phone_of_the_rules(ru):
    """What the loanword and ё rules make, against the symbols that the shipped voice was trained with."""
    known = set(load_tokenizer("models/ru-en/tokenizer.json").symbols)
    texts = [
        *SENTENCES,
        "Шоссе, отель, кафе, тест и проект в интернете.",
        "Счет 5:3, $1.2 млрд, ФСБ и МГУ, А. С. Пушкин.",
    ]
    assert {s for u in ru(texts) for s in u.phonemes} <= known
