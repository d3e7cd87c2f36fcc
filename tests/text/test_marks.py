"""`*слово*`: what is a mark, that marks never change the reading, and which words they belong to."""

from __future__ import annotations

import re
import runpy
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig, Lexicon, Utterance
from intona.text.attribution import parts_of_words
from intona.text.controls import MarkedText, Span, TextPoint, WordControl, read_marks
from intona.text.symbols import PUNCTUATION, plain

HERE = Path(__file__).parent
RU = Frontend(FrontendConfig(stress="marks"))
EN = Frontend(FrontendConfig(language="en"))


def corpus() -> list[tuple[Frontend, str]]:
    """Sentences of the other tests: numbers, dates, money, abbreviations, initials, addresses."""
    russian = [text for text, _ in runpy.run_path(str(HERE / "test_russian_reading.py"))["READINGS"]]
    english = [p.values[0] for p in runpy.run_path(str(HERE / "test_english.py"))["LINES"]]
    texts = [(RU, t) for t in russian[::5]] + [(EN, t) for t in english[::7]]
    return [(f, t) for f, t in texts if "*" not in t and "[[" not in t]


CORPUS = corpus()


def marked_words(text: str, frontend: Frontend = RU) -> list[str]:
    return [
        w.text
        for u in frontend.speakable(text)
        for w, c in zip(u.words, u.controls, strict=False)
        if c.emphasis
    ]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("Это *слово* важно.", ["слово"]),
        ("*Это* слово", ["Это"]),
        ("слово *это*", ["это"]),
        ("Кто, *ты*? Да, *я*!", ["ты", "я"]),
        ("(*да*) «*нет*» — *может быть*…", ["да", "нет", "может быть"]),
        ("через *5* минут, *№ 5*, *25%*, *$5*", ["5", "№ 5", "25%", "$5"]),
        ("*д+ома* и *дома\u0301*", ["д+ома", "дома\u0301"]),
        ("это *[[d ˈo m]]*", ["[[d ˈo m]]"]),
        ("* пункт *важный*", ["важный"]),
        ("I did *not* say 'it*'", ["not"]),
        # all of these are no marks
        ("2*3 = 6, 2 * 3 * 4, 2 *3* 4", []),
        ("* пункт\n* ещё пункт", []),
        ("это **важно** и ***очень***", []),
        ("слово* сноска * слово*", []),
        ("a*b*c, S*T*A*R, б*я, f***", []),
        ("* * *", []),
        ("int *p, *q; f(*a, *b), *args", []),
        ("*.txt и *.md", []),
        ("*пункт\nдругой*", []),
        ("/* комментарий */", []),
        ("*" + "слово " * 20 + "слово*", []),
        ("**", []),
    ],
)
def test_grammar(text: str, content: list[str]) -> None:
    marked = read_marks(text)
    assert [marked.text[s.start : s.end] for s in marked.spans] == content
    assert len(marked.text) == len(text) - 2 * len(content)


@given(st.text("a1* .\n+([«", max_size=30))
def test_all_but_the_marks_stays(text: str) -> None:
    marked = read_marks(text)
    assert marked.text.replace("*", "") == text.replace("*", "")
    for span in marked.spans:
        content = marked.text[span.start : span.end]
        assert content and content == content.strip() and "*" not in content


def reading(utterances: list[Utterance]) -> list[tuple[str, tuple[str, ...]]]:
    return [(u.normalized, u.phonemes) for u in utterances]


@settings(max_examples=60)
@given(st.data())
def test_marks_never_change_the_reading(data: st.DataObject) -> None:
    frontend, text = data.draw(st.sampled_from(CORPUS))
    words = [m.span() for m in re.finditer(r"[^\W_][^\s*]*[^\W_]|[^\W_]", text)]
    if not words:
        return
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 2, len(words) - 1)))
    a, b = words[first][0], words[last][1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plain_reading = frontend.speakable(text)
        except UserError:
            return
        written = f"{text[:a]}*{text[a:b]}*{text[b:]}"
        if read_marks(written).text == text:
            assert reading(frontend.speakable(written)) == reading(plain_reading)
        span = Span(start=a, end=b, control=WordControl(rate=0.5), nucleus=True)
        marked = frontend.speakable(
            MarkedText(text=text, spans=(span,), points=(TextPoint(at=b, pause=0.5),))
        )
    assert reading(marked) == reading(plain_reading)
    for utterance in marked:
        assert len(utterance.controls) in (0, len(utterance.words))


def test_a_word_that_is_read_as_written_belongs_to_itself() -> None:
    """Every text of the corpus, cut between all of its words."""
    checked = 0
    for frontend, text in CORPUS:
        reader = frontend._reader
        parts = re.findall(r"\S+\s*", text)
        try:
            tokens, _ = reader.tokens(text)
        except UserError:
            continue
        owners = reader.parts_of_tokens(tokens, parts)
        spoken = [plain(str(t)).casefold() for t in tokens]
        written = [re.sub(r"[^\w'-]", "", p).casefold() for p in parts]
        real = [o for t, o in zip(tokens, owners, strict=True) if t not in PUNCTUATION]
        assert real == sorted(real) and all(0 <= o < len(parts) for o in real)
        for word, owner in zip(spoken, owners, strict=True):
            if spoken.count(word) == written.count(word) == 1 and len(word) > 2:
                assert written[owner] == word, (text, word, parts[owner])
                checked += 1
    assert checked > 80


@pytest.mark.parametrize(
    ("frontend", "text", "words"),
    [
        (RU, "Придём через *5* минут", ["пять"]),
        (RU, "по *5* км", ["пять"]),
        (RU, "ещё 5 *км*", ["километров"]),
        (RU, "в *12:30* обед", ["двенадцать", "часов", "тридцать", "минут"]),
        (RU, "настал *XX* век", ["двадцатый"]),
        (RU, "пришёл *г-н* Иванов", ["господин"]),
        (RU, "в *1999* году", ["тысяча", "девятьсот", "девяносто", "девятом"]),
        (RU, "до *2-го* мая", ["второго"]),
        (RU, "из *США* в *ООН*", ["сэ", "шэ", "а", "оон"]),
        (RU, "не *да*, а *да да*", ["да", "да", "да"]),
        (EN, "I paid *$5* to Mr. *Smith*", ["five", "dollars", "Smith"]),
        (EN, "on the *3rd* of May", ["third"]),
        (EN, "*Dr.* Brown", []),
    ],
)
def test_words_that_a_mark_becomes(frontend: Frontend, text: str, words: list[str]) -> None:
    assert marked_words(text, frontend) == words


def test_with_a_lexicon() -> None:
    lexicon = Lexicon.parse("nginx = энджин+икс\nЙосеф = [[j ˈo sʲ ɪ f]]\nСША = Соединённые Штаты")
    frontend = RU.with_lexicon(lexicon)
    text = "Это *nginx*, это *Йосеф* из *США*."
    assert marked_words(text, frontend) == ["энджиникс", "Йосеф", "Соединённые", "Штаты"]
    assert reading(frontend.speakable(text)) == reading(frontend.speakable(text.replace("*", "")))


def test_the_last_marked_word_of_each_sentence_bears_its_nucleus() -> None:
    one, two, three = RU.speakable("Это *не* кот, а *большой пёс*. И он спит. *Где*?")
    assert one.nucleus is not None and one.words[one.nucleus].text == "пёс"
    assert two.nucleus is None and two.controls == ()
    assert three.nucleus == 0


def test_nested_controls_add_up() -> None:
    outer, inner = WordControl(rate=0.5, pitch=2.0, energy=3.0), WordControl(rate=0.5, emphasis="strong")
    text = MarkedText(
        text="раз два три",
        spans=(Span(start=0, end=11, control=outer), Span(start=4, end=7, control=inner)),
    )
    (utterance,) = RU.speakable(text)
    assert utterance.controls == (
        outer,
        WordControl(rate=0.25, pitch=2.0, energy=3.0, emphasis="strong"),
        outer,
    )


def test_pauses_and_names_belong_to_the_words_before_and_after_them() -> None:
    text = "Раз два. Три четыре."
    points = (
        TextPoint(at=0, pause=1.0),
        TextPoint(at=4, mark="a"),
        TextPoint(at=4, pause=0.25),
        TextPoint(at=4, mark="b"),
        TextPoint(at=8, pause=0.5),
        TextPoint(at=len(text), mark="end"),
    )
    one, two = RU.speakable(MarkedText(text=text, points=points))
    assert [(c.before, c.pause) for c in one.controls] == [(1.0, 0.25), (0.0, 0.5)]
    assert [(m.name, m.word, m.early) for m in one.marks] == [("a", 1, True), ("b", 1, False)]
    assert [(m.name, m.word) for m in two.marks] == [("end", 2)]


def test_a_pause_behind_a_sentence_that_is_left_out() -> None:
    text = "Раз. * * * Два."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, *_ = RU.speakable(MarkedText(text=text, points=(TextPoint(at=10, pause=0.5),)))
    assert first.controls[-1].pause == 0.5


def test_a_mark_without_a_word_is_named() -> None:
    span = Span(start=5, end=6, control=WordControl(rate=0.5))
    with pytest.warns(UserWarning, match="no word by itself"):
        RU.speakable(MarkedText(text="один ; два", spans=(span,)))


def test_an_aligned_reading() -> None:
    assert parts_of_words(["a", "b", "c"], [["a"], ["b", "c"]]) == [0, 1, 1]
    assert parts_of_words(["two", "thousand", "cats"], [["two"], ["cat"]]) == [0, 0, 1]
    assert parts_of_words(["x"], [[], ["y"]]) == [1]
    assert parts_of_words(["x", "y"], [[], []]) == [0, 0]
    assert parts_of_words([], [["x"]]) == []
