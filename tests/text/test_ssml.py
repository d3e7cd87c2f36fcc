"""SSML to passages: what each element does, what is named and ignored, and what is refused."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intona.errors import Unspeakable, UserError
from intona.text import ssml
from intona.text.controls import TextPoint, WordControl
from intona.text.prosody_values import energy_of, pause_of, pitch_of, range_of, rate_of
from intona.text.ssml import MAX_DEPTH, MAX_ELEMENTS, Passage, looks_like_ssml, parse


def one(body: str, **how: str) -> Passage:
    (passage,) = parse(f"<speak>{body}</speak>", **how)
    return passage


def text_of(body: str, **how: str) -> str:
    return one(body, **how).text.text


def controls(body: str) -> list[tuple[str, WordControl]]:
    marked = one(body).text
    return [(marked.text[s.start : s.end], s.control) for s in marked.spans]


def test_white_space_is_one_space_and_blocks_are_sentences() -> None:
    assert text_of("\n  Раз\n\t два  \n") == "Раз два "
    assert text_of("Раз<p>два</p>три").split("\n\n") == ["Раз", "два", "три"]
    assert text_of("<p><s>Раз</s><s>два</s></p>").split("\n\n") == ["Раз", "два", ""]


def test_comments_instructions_and_namespaces_do_nothing() -> None:
    document = (
        '<?xml version="1.0" encoding="utf-8"?><!-- a --><?pi b?>'
        '<ssml:speak xmlns:ssml="http://www.w3.org/2001/10/synthesis" version="1.1">'
        "да<!-- нет --><ssml:s>вот</ssml:s></ssml:speak>"
    )
    (passage,) = parse(document)
    assert passage.text.text.split() == ["да", "вот"]


@pytest.mark.parametrize(
    ("element", "seconds"),
    [
        ("<break/>", 0.3),
        ('<break strength="none"/>', 0.0),
        ('<break strength="x-strong"/>', 1.0),
        ('<break time="500ms"/>', 0.5),
        ('<break strength="weak" time="1.5s"/>', 1.5),
        ('<break time="99s"/>', 10.0),
    ],
)
def test_a_break_is_a_pause_between_words(element: str, seconds: float) -> None:
    marked = one(f"раз{element}два").text
    assert marked.text == "раз два" and marked.points == (TextPoint(at=4, pause=seconds),)


def test_prosody() -> None:
    assert controls('раз <prosody rate="slow" pitch="+2st" volume="loud" range="+50%">два</prosody>') == [
        ("два", WordControl(rate=0.75, pitch=2.0, energy=4.0, range=1.5))
    ]


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (rate_of, "x-slow", 0.5),
        (rate_of, "80%", 0.8),
        (rate_of, "+20%", 1.2),
        (rate_of, "-20%", 0.8),
        (rate_of, "1.5", 1.5),
        (rate_of, "1000%", 4.0),
        (rate_of, "0%", None),
        (rate_of, "-100%", None),
        (rate_of, "nan", None),
        (pitch_of, "x-high", 6.0),
        (pitch_of, "-1.5st", -1.5),
        (pitch_of, "+100%", 12.0),
        (pitch_of, "-50%", -12.0),
        (pitch_of, "+20hz", None),
        (pitch_of, "-100%", None),
        (range_of, "low", 0.6),
        (range_of, "+100%", 2.0),
        (range_of, "+2st", None),
        (energy_of, "silent", -60.0),
        (energy_of, "+6db", 6.0),
        (energy_of, "50", pytest.approx(-6.02, abs=0.01)),
        (energy_of, "+100%", pytest.approx(6.02, abs=0.01)),
        (energy_of, "0", -60.0),
        (energy_of, "200", None),
        (pause_of, "1s", 1.0),
        (pause_of, "250ms", 0.25),
        (pause_of, "-1s", None),
        (pause_of, "1", None),
        (pause_of, "1e9s", None),
    ],
)
def test_values(read, written: str, value: float | None) -> None:
    assert read(written) == value


def test_emphasis_bears_the_nucleus() -> None:
    spans = one(
        "<emphasis>раз</emphasis> <emphasis level='reduced'>два</emphasis>"
        " <emphasis level='none'>три</emphasis>"
    ).text.spans
    assert [(s.control.emphasis, s.nucleus) for s in spans] == [("moderate", True), ("reduced", False)]


def test_controls_nest() -> None:
    marked = one(
        '<prosody rate="50%">раз <prosody rate="50%"><emphasis>два</emphasis></prosody></prosody>'
    ).text
    assert marked.control_at(0) == WordControl(rate=0.5)
    assert marked.control_at(4) == WordControl(rate=0.25, emphasis="moderate")


def test_what_is_read_instead() -> None:
    assert text_of('Это <sub alias="Всемирная сеть">WWW</sub>.') == "Это Всемирная сеть."
    assert text_of('Это <phoneme alphabet="ipa" ph="m ˈa m ə">мама</phoneme>.') == "Это [[m ˈa m ə]]."
    assert text_of('<say-as interpret-as="characters">США</say-as>') == "эс ша +а"
    assert text_of('<say-as interpret-as="spell-out">USA</say-as>', language="en") == "U S A"
    assert text_of('<say-as interpret-as="digits">2024</say-as> год') == "два ноль два четыре год"
    assert text_of('<say-as interpret-as="ordinal">5</say-as> год', language="ru") == "пятый год"
    assert text_of('<say-as interpret-as="ordinal">21</say-as>', language="en") == "twenty-first"
    assert text_of('<say-as interpret-as="cardinal">1 000</say-as>', language="ru") == "1000"
    assert text_of('<say-as interpret-as="date" format="dmy">12.05.2020</say-as>') == "2020-05-12"
    assert (
        text_of('<say-as interpret-as="telephone">555-12</say-as>', language="en")
        == "five five five, one two"
    )


def test_languages_and_speakers_are_passages() -> None:
    passages = parse(
        '<speak xml:lang="ru">Да <prosody rate="50%">нет <lang xml:lang="en-US">yes</lang> вот</prosody>'
        '<voice name="anna">я</voice></speak>'
    )
    assert [(p.text.text.strip(), p.language, p.speaker) for p in passages] == [
        ("Да нет", "ru", None),
        ("yes", "en-US", None),
        ("вот", "ru", None),
        ("я", "ru", "anna"),
    ]
    slow = [[p.text.text[s.start : s.end].strip() for s in p.text.spans] for p in passages]
    assert slow == [["нет"], ["yes"], ["вот"], []]


def test_marks_and_pauses_without_text_move_to_the_text() -> None:
    first, second = parse(
        '<speak><voice name="a"><break time="1s"/></voice>да<lang xml:lang="en">yes</lang>'
        '<mark name="x"/></speak>'
    )
    assert first.text.points == (TextPoint(at=0, pause=1.0),)
    assert second.text.points == (TextPoint(at=3, mark="x"),)


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ("<foo>да</foo><foo/>", "<foo>"),
        ('<audio src="http://x/y.wav">да</audio>', "<audio>"),
        ("<desc>нет</desc>да", "<desc>"),
        ('<prosody rate="bogus" contour="x">да</prosody>', 'prosody rate="bogus", prosody contour'),
        ('<break time="soon"/>да', 'break time="soon"'),
        ('<emphasis level="huge">да</emphasis>', 'emphasis level="huge"'),
        ('<phoneme alphabet="x-sampa" ph="da">да</phoneme>', 'phoneme alphabet="x-sampa"'),
        ('<phoneme ph="d ]] a">да</phoneme>', 'phoneme ph="d ]] a"'),
        ('<phoneme ph="">да</phoneme>', "phoneme without ph"),
        ('<say-as interpret-as="currency">да</say-as>', 'say-as interpret-as="currency"'),
        ('<say-as interpret-as="ordinal">да</say-as>', 'say-as interpret-as="ordinal" of "да"'),
        ("<sub>да</sub><mark/>", "sub without an alias, mark without a name"),
        ('<voice gender="female">да</voice>', "voice gender"),
    ],
)
def test_what_has_no_effect_is_named_once_and_its_text_is_spoken(body: str, ignored: str) -> None:
    with pytest.warns(UserWarning) as caught:
        assert text_of(body).strip() == "да"
    assert [str(w.message) for w in caught] == [f"SSML without effect: {ignored}"]


def test_phonemes_for_a_voice_that_reads_letters() -> None:
    with pytest.warns(UserWarning, match="<phoneme>, for this voice reads letters"):
        (passage,) = parse('<speak>Это <phoneme ph="d ˈa">да</phoneme></speak>', phonemes=False)
    assert passage.text.text == "Это да"


def test_a_long_list_of_what_has_no_effect_is_cut() -> None:
    with pytest.warns(UserWarning, match=r"<t7> and 2 more$"):
        text_of("".join(f"<t{i}>да</t{i}>" for i in range(10)))


BOMB = (
    "<!DOCTYPE lolz [<!ENTITY a 'lol'>"
    + "".join(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10 if i else '&a;' * 10}'>" for i in range(9))
    + "]><speak>&a8;</speak>"
)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<speak>да<b></speak>", "SSML, line 1, column 15: malformed XML: mismatched tag"),
        ("<speak>\n да &nbsp;</speak>", "SSML, line 2, column 5: malformed XML: undefined entity"),
        ("<speak>да", "malformed XML: no element found"),
        ("да", "malformed XML: syntax error"),
        ("", "malformed XML: no element found"),
        ("<speak>да</speak>нет", "malformed XML: junk after document element"),
        ("<p>да</p>", "<p> at the top"),
        ("<speak>a\0b</speak>", "malformed XML"),
        ("<speak>\ud800</speak>", "characters or an encoding"),
        ("<speak/>", "no text"),
        ('<speak><break time="1s"/>...</speak>', "no text"),
        (BOMB, "a DTD or an entity"),
        ("<!DOCTYPE speak SYSTEM 'file:///etc/passwd'><speak>да</speak>", "a DTD or an entity"),
        (
            "<!DOCTYPE speak [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><speak>&x;</speak>",
            "a DTD or an entity",
        ),
        ("<speak>" + "<p>" * MAX_DEPTH + "да" + "</p>" * MAX_DEPTH + "</speak>", "more than 50 levels"),
        ("<speak>" + "<s/>" * MAX_ELEMENTS + "</speak>", "more than 10000 elements"),
        ("<speak>" + "<s>" * 31_000, "more than 10000 elements"),
        ("<speak>" + "да" * 200_000, "characters of SSML"),
    ],
)
def test_refused_in_one_line(document: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(document)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_bomb_is_never_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser stops at the declaration, before any text: nothing is expanded and no file is opened."""
    events: list[str] = []
    monkeypatch.setattr(ssml._Reader, "text", lambda self, content: events.append(content))
    monkeypatch.setattr(ssml._Reader, "start", lambda self, name, attributes: events.append(name))
    with pytest.raises(UserError, match="a DTD or an entity"):
        parse(BOMB)
    assert events == []


def test_what_looks_like_ssml() -> None:
    assert looks_like_ssml(' <?xml version="1.0"?>\n<!-- x --><speak version="1.1">')
    assert not looks_like_ssml("a <speak>") and not looks_like_ssml("<speaker>")


CLOSED = ("speak", "p", "s", "emphasis", "prosody", "say-as", "phoneme", "sub", "lang", "voice")
OPENED = [
    *(
        "<speak>",
        "<p>",
        "<s>",
        "<emphasis>",
        '<prosody rate="50%">',
        '<say-as interpret-as="digits">',
        "<a:b>",
    ),
    *('<phoneme ph="d ˈa">', '<sub alias="нет">', '<lang xml:lang="en">', '<voice name="b">', "<!DOCTYPE a>"),
    *("<break/>", '<break time="1s"/>', '<mark name="a"/>', "<!-- x -->", "<![CDATA[<]]>", "<?pi?>"),
]
WRITTEN = ["да", "5", " ", "\n", "\0", "<", "&amp;", "&#1076;", "&x;", 'x="', "]]>", "[[", "]]", "*да*"]
PIECES = st.sampled_from([*OPENED, *WRITTEN, *(f"</{name}>" for name in CLOSED)])


@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=25).map("".join)), st.booleans())
@example("<speak><emphasis/>да</speak>", False)
@example('<speak><lang xml:lang="en"><emphasis>', True)
def test_anything_gives_passages_or_one_line(document: str, inside: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            passages = parse(f"<speak>{document}</speak>" if inside else document)
        except UserError as e:
            assert "\n" not in str(e)
            return
    assert passages
    for passage in passages:
        marked = passage.text
        assert any(c.isalnum() for c in marked.text)
        assert all(0 <= s.start < s.end <= len(marked.text) for s in marked.spans)
        places = [p.at for p in marked.points]
        assert places == sorted(places) and all(0 <= p <= len(marked.text) for p in places)


def test_no_text_is_an_unspeakable_text() -> None:
    with pytest.raises(Unspeakable):
        parse("<speak> </speak>")


def test_work_grows_with_the_length_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans over the whole text and thousands of points: no square of their number."""
    calls = 0
    within = WordControl.within

    def counted(self: WordControl, outer: WordControl) -> WordControl:
        nonlocal calls
        calls += 1
        return within(self, outer)

    monkeypatch.setattr(WordControl, "within", counted)
    body = '<prosody rate="50%">да</prosody><break time="1ms"/><mark name="x"/> ' * 1200
    marked = one(f'<prosody pitch="high">{body}</prosody>').text
    assert len(marked.spans) == 1201 and len(marked.points) == 2400
    starts, controls = marked.stretches
    assert marked.control_at(len(marked.text) - 2) == WordControl(rate=0.5, pitch=3.0)
    assert starts == sorted(starts) and len(starts) == len(controls) and calls < 4 * len(starts)
