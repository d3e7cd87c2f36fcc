"""The pronunciation lexicon: its file, what it matches, and what reaches the phonemes."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig, Lexicon
from intona.text import lexicon as lexicons
from intona.text.inline import PhonemeError

RU = Frontend(FrontendConfig(stress="marks"))


def normalized(text: str, entries: str, language: str = "ru") -> str:
    frontend = Frontend(FrontendConfig(language=language), lexicon=Lexicon.parse(entries))
    (sentence,) = frontend.speakable(text, phonemes=False)
    return sentence.normalized


def words(text: str, entries: str) -> list[str]:
    u = RU.with_lexicon(Lexicon.parse(entries))([text])[0]
    return [" ".join(u.phonemes[w.start : w.end]) for w in u.words]


def test_a_file(tmp_path: Path):
    path = tmp_path / "lexicon.txt"
    path.write_text(
        "\ufeff# names\n\nХэмингуэй\tХемингу+эй\r\nnginx = энджин+икс\nнью-йорк\t\t[[nʲ ʊ j ˈo r k]]\n",
        encoding="utf-8",
    )
    lexicon = Lexicon.read(path)
    assert [(e.word, e.spelling, e.phonemes) for e in lexicon.entries] == [
        ("Хэмингуэй", "Хемингу+эй", ""),
        ("nginx", "энджин+икс", ""),
        ("нью-йорк", "", "nʲ ʊ j ˈo r k"),
    ]
    assert lexicon.entries[1].where == f"{path}, line 4"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("слово", "lexicon, line 1: 1 fields, expected 2; write WORD, a tab"),
        ("# a\n\nа\tб\tв", "line 3: 3 fields, expected 2"),
        ("а\tб\n\nА = в", 'line 3: "А" is listed twice, first in lexicon, line 1'),
        (" = б", "line 1: 1 fields"),
        ("??\tб", r'line 1: "\?\?" is not a word'),
        ("а\t!", 'line 1: "!" is not a spelling'),
        ("а = [[]]", "line 1: no phonemes between"),
        ("а = [[m", r"line 1: \[\[ without \]\]"),
        ("а = [[m]] б", r"line 1: text after \]\]"),
        ("а = б [[m]]", "line 1: a spelling as well as phonemes"),
        ("а = бв+г", r'line 1: "\+" is not before a Russian vowel'),
        ("а = бв+", r'line 1: "\+" is not before a Russian vowel'),
        ("зам+ок = зам+ок", 'line 1: "зам[+]ок" has a stress mark'),
        ("а = б # так", 'line 1: "#" in a spelling'),
        ("а" * 101 + " = б", "line 1: more than 100 characters"),
    ],
)
def test_a_bad_line_is_named(lines: str, message: str):
    with pytest.raises(UserError, match=message):
        Lexicon.parse(lines)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"none.txt: cannot be read \(No such file"):
        Lexicon.read(tmp_path / "none.txt")
    path = tmp_path / "a.txt"
    path.write_bytes(b"a = b\n\xff")
    with pytest.raises(UserError, match=r"not UTF-8 text \(byte 6\)"):
        Lexicon.read(path)
    monkeypatch.setattr(lexicons, "MAX_BYTES", 4)
    with pytest.raises(UserError, match="more than 0 MB"):
        Lexicon.read(path)
    monkeypatch.setattr(lexicons, "MAX_ENTRIES", 1)
    with pytest.raises(UserError, match="more than 1 entries"):
        Lexicon.parse("а = б\nв = г")


@pytest.mark.parametrize(
    ("text", "entries", "expected"),
    [
        ("Вот ХЭМИНГУЭЙ и хэмингуэй.", "Хэмингуэй = Хемингу+эй", "Вот Хемингу+эй и Хемингу+эй."),
        ("Вот Хэмингуэя.", "Хэмингуэй = Хемингу+эй", "Вот Хэмингуэя."),  # whole words
        ("Елка, ёлка.", "ёлка = с+осна", "с+осна, с+осна."),
        ("Все, всё.", "все = вс+е\nвсё = вс+ё", "вс+е, вс+ё."),  # the very letters first
        ("Наш nginx-сервер.", "nginx = энджин+икс", "Наш энджин+икс-сервер."),
        ("Нью  Йорк и Нью.", "нью йорк = нью-й+орк\nнью = нь+ю", "нью-й+орк и нь+ю."),  # the longest
        ("замок, зам+ок", "замок = з+амок", "з+амок, зам+ок"),  # a mark in the text goes first
        ("Это 5.", "пять = п+ядь", "Это п+ядь."),  # words that came out of a number
        ("один два", "один = два\nдва = один", "два один"),  # each word once
        ("C++ и C.", "C++ = си плюс пл+юс\nC = с+и", "си плюс пл+юс и с+и."),
    ],
)
def test_matches(text: str, entries: str, expected: str):
    assert normalized(text, entries) == expected


def test_english():
    entries = "Dept. = department\nNew York = noo yawk"
    assert normalized("The Dept. of New  York's mayor", entries, "en") == "The department of noo yawk's mayor"
    frontend = Frontend(FrontendConfig(language="en"), lexicon=Lexicon.parse(entries))
    assert frontend.sentences("The Dept. Of it. So.") == ["The Dept. Of it.", "So."]


def test_phonemes_reach_the_words():
    entries = "Хэмингуэй = [[x ɪ mʲ ɪ n ɡ ʊ ˈe j]]\nпять = [[p ˈɛ tʲ]]\nнью йорк = [[n ʊ | j ˈo r k]]"
    assert words("Это Хэмингуэй.", entries) == ["ˈɛ t ə", "x ɪ mʲ ɪ n ɡ ʊ ˈe j"]
    assert words("5, Нью Йорк", entries) == ["p ˈɛ tʲ", "n ʊ", "j ˈo r k"]
    u = RU.with_lexicon(Lexicon.parse(entries))(["в Нью Йорк, 5"])[0]
    assert [w.text for w in u.words] == ["в", "Нью", "Йорк", "пять"]
    assert u.normalized == "в Нью Йорк, пять"


def test_an_unknown_phoneme_is_named_with_its_line_where_it_is_used():
    frontend = RU.with_lexicon(Lexicon.parse("да = д+а\nнет = [[θ]]"))
    assert str(frontend(["да"])[0]) == "d ˈa"
    with pytest.raises(PhonemeError, match='lexicon, line 2: unknown phoneme "θ"'):
        frontend(["нет"])


def test_of_two_lexicons_the_first_goes_before():
    own, voice = Lexicon.parse("да = нет"), Lexicon.parse("Да = ну\nтак = эдак")
    both = own.over(voice)
    assert sorted((e.word, e.spelling) for e in both.entries) == [("да", "нет"), ("так", "эдак")]
    assert both.fingerprint != own.fingerprint
    assert both.fingerprint == Lexicon.parse("так = эдак\n# a\nда = нет").fingerprint


def test_a_long_lexicon_costs_no_more_than_its_matches():
    entries = Lexicon.parse("\n".join(f"слово{i} один два = сл+ово" for i in range(20_000)))
    matches = list(entries.matches("слово19 один два и слово19 один " * 50))
    assert len(matches) == 50 and {m.entry.word for m in matches} == {"слово19 один два"}
