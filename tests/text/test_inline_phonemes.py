"""Phonemes inside a text: the phones, words and signs around them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import BpeTokenizer, Frontend, FrontendConfig, Lexicon, inline, languages, word_map
from intona.text.inline import PhonemeError
from intona.text.ipa import is_word_symbol
from intona.text.languages.russian import pronunciation
from intona.text.languages.russian.pronunciation import phones as russian_phones
from intona.text.symbols import RU_VOWELS

NAME = "x ɪ mʲ ɪ n ɡ ʊ ˈe j"
RU = Frontend(FrontendConfig(stress="marks"))
EN = Frontend(FrontendConfig(language="en"))


def line(text: str, frontend: Frontend = RU) -> str:
    return str(frontend([text])[0])


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        (f"[[{NAME}]]", NAME),
        (f"Это [[{NAME}]].", f"ˈɛ t ə | {NAME} ."),
        (f"Это [[{NAME}]]? — Нет!", f"ˈɛ t ə | {NAME} ? — | nʲ ˈe t !"),
        (f"«[[{NAME}]]», сказал он", f"{NAME} , | s k ɐ z ˈa ɫ | ˈo n"),
        (f"он (по [[{NAME}]]) сказал", f"ˈo n , | p ɐ | {NAME} , | s k ɐ z ˈa ɫ"),
        ("[[m ˈa m ə | b ɨ]], да", "m ˈa m ə | b ɨ , | d ˈa"),
        ("[[m ˈa m ə , | d ˈa !]] да", "m ˈa m ə , | d ˈa ! | d ˈa"),
        ("[[m ˈa m ə]][[d ˈa]]", "m ˈa m ə | d ˈa"),
        ("5 [[m ˈa m ə]] 5", "pʲ ˈa tʲ | m ˈa m ə | pʲ ˈa tʲ"),
        ("по-[[m ˈa m ə]]-то", "p ɐ | m ˈa m ə | t ɐ"),  # letters that touch are words of their own
        ("дом[[m ˈa m ə]]дом", "d ˈo m | m ˈa m ə | d ˈo m"),
        ("..., [[d ˈa]] …", "d ˈa …"),
    ],
)
def test_a_text_around_phonemes_is_read_as_usual(text: str, phonemes: str):
    assert line(text) == phonemes
    u = RU([text])[0]
    owned = [i for w in u.words for i in range(w.start, w.end)]
    assert owned == [i for i, s in enumerate(u.phonemes) if is_word_symbol(s)]


def test_a_preposition_takes_the_voicing_of_the_phonemes():
    assert line("в [[p ˈa r k ə]], в [[d ˈo m ʊ]], в [[ˈo m ʊ]]") == (
        "f | p ˈa r k ə , | v | d ˈo m ʊ , | v | ˈo m ʊ"
    )
    assert line("с [[d ˈo m ə]]").startswith("z |")
    assert line("с [[t ˈo m ə]]").startswith("s |")
    assert line("от [[v ˈa zʲ ɪ]]").startswith("ɐ t |")


def test_english_articles_hear_the_phonemes():
    words = line("The [[ɡ ˈɪ t]] of the [[ˈæ p əl]], a [[m ˈæ n]].", EN).split(" | ")
    assert words[:5] == ["ð ə", "ɡ ˈɪ t", "ʌ v", "ð ɪ", "ˈæ p əl ,"]
    assert words[5] == "ɐ"  # a letter alone would be called "eɪ"


def test_a_possessive_belongs_to_the_word():
    assert line("[[k ˈæ t]]'s, [[b ˈɔ s]]’s and [[d ˈɔ ɡ]]'s", EN) == (
        "k ˈæ t s , | b ˈɔ s ɪ z | æ n d | d ˈɔ ɡ z"
    )


def test_stress_of_the_neighbours_is_that_of_the_plain_text():
    plain, marked = (
        RU(["Она завела мир за ухо, подняла корзинку."])[0],
        RU(["Она завела [[mʲ ˈi r]] за ухо, подняла корзинку."])[0],
    )
    assert marked.phonemes == plain.phonemes
    assert [w.text for w in marked.words] == [w.text for w in plain.words[:2]] + ["mʲˈir"] + [
        w.text for w in plain.words[3:]
    ]


@pytest.mark.parametrize(
    ("written", "phones"),
    [
        ("prʲɪvʲˈet", "p rʲ ɪ vʲ ˈe t"),
        ("ˈprʲivʲɪt", "p rʲ ˈi vʲ ɪ t"),  # a mark before the syllable
        ("ˈ p rʲ i", "p rʲ ˈi"),
        ("t͡ɕˈas", "tɕ ˈa s"),
        ("tɕˈas", "tɕ ˈa s"),
        ("n ˌɐ ɡ ˈa", "n ɐ ɡ ˈa"),  # no voice knows secondary stress
        ("nɐgˈa", "n ɐ ɡ ˈa"),  # the g of the keyboard
    ],
)
def test_ways_to_write_phones(written: str, phones: str):
    assert line(f"[[{written}]]") == phones


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Это [[m ˈa", r"\[\[ without \]\]"),
        ("Это [[m [[ˈa]]", r"\[\[ without \]\]"),
        ("Это [[]] да", "no phonemes between"),
        ("Это [[ | ]] да", "no phonemes between"),
        ("Это [[, .]] да", "no phonemes in it"),
        ("Это [[m θ m]]", r'\[\[m θ m\]\]: unknown phoneme "θ"; known: ˈa b bʲ'),
        ("Это [[m ˈɪ]]", 'unknown phoneme "ˈɪ"; did you mean ɪ?'),
        ("Это [[m a]]", 'unknown phoneme "a"; did you mean ˈa?'),
        ("Это [[ð ʒʲ ˈa]]", 'unknown phoneme "ð"'),
        ("Это [[p͡f ˈa]]", 'unknown phoneme "p͡f"'),
        ("Это [[pɸ ˈa]]", 'unknown phoneme "pɸ"'),
        ("Это [[мама]]", 'unknown phoneme "м"'),
        ("Это [[" + "m " * 5000 + "]]", "more than 2000 phonemes"),
    ],
)
def test_refused(text: str, message: str):
    with pytest.raises(PhonemeError, match=message):
        RU([text])


def test_without_a_vocabulary_anything_in_ipa_is_taken():
    assert line("[[h ə l ˈoʊ]] [[tʃ ˈɑː t]]", EN) == "h ə l ˈoʊ | tʃ ˈɑː t"
    for bad in ("мама", "a1", "A"):
        with pytest.raises(PhonemeError, match="not written in IPA"):
            EN([f"[[{bad}]]"])


def test_a_voice_s_vocabulary_decides():
    few = RU.with_phones(["m", "ˈa", "ə"])
    assert line("[[m ˈa m ə]]", few) == "m ˈa m ə"
    with pytest.raises(PhonemeError, match='unknown phoneme "d"; known: ˈa m ə'):
        few(["[[d ˈa]]"])


def test_without_stress_marks_there_are_none():
    assert (
        line("[[m ˈa m ə]]", Frontend(FrontendConfig(stress="none")).with_phones(["m", "a", "ə"]))
        == "m a m ə"
    )


def test_the_rules_of_russian_make_what_the_inventory_holds():
    phones: set[str] = set()
    for c in pronunciation.BASE:
        for word, stress in ((f"а{c}", 0), (f"а{c}ба", 0), (f"а{c}па", 0), (f"а{c}тя", 0), (f"{c}ь", None)):
            phones.update(russian_phones(word, stress))
        for v in RU_VOWELS:
            for stress in range(5):
                phones.update(russian_phones(f"{c}{v}{c}{v}та{c}{v}{c}{v}м", stress))
    for v in RU_VOWELS:
        for stress in range(3):
            phones.update(russian_phones(f"{v}{v}т{v}", stress))
    inventory = languages.get("ru").phones("auto")
    assert inventory == phones
    for word, stress in (("подъезд", 1), ("счастье", 0), ("вьюга", 0), ("отдзаджа", 1), ("яичница", 1)):
        assert set(russian_phones(word, stress)) <= phones
    assert languages.get("en").phones("auto") is None


def test_no_sentence_ends_inside_the_brackets():
    text = "Да. [[m ˈa m ə . | d ˈa !]]. Нет? [[d ˈa]] и. «[[d ˈa]]» да [[d ˈa]]. Он."
    assert RU.sentences(text) == [
        "Да.",
        "[[m ˈa m ə . | d ˈa !]].",
        "Нет?",
        "[[d ˈa]] и.",
        "«[[d ˈa]]» да [[d ˈa]].",
        "Он.",
    ]


@given(st.text(alphabet="аб .!?\n[]да", max_size=80))
def test_sentences_keep_every_pair_of_brackets(text: str):
    try:
        spans = inline.spans_of(text)
    except UserError:
        return
    inside = [text[a:b] for a, b in spans]
    joined = "\0".join(RU.sentences(text))
    assert "".join(joined.replace("\0", "").split()) == "".join(text.split())
    kept = iter(joined.split("\0"))
    sentence = next(kept, "")
    for part in inside:
        while part not in sentence:
            sentence = next(kept)  # StopIteration: it was cut


def test_texts_that_nobody_wrote_to_be_spoken_keep_their_brackets():
    plain = Frontend(FrontendConfig(stress="marks"), inline=False)
    assert line("Он [[шум]] ушёл", plain) == line("Он, шум, ушёл")


def test_words_with_phonemes_map_to_the_pieces_of_their_letters():
    lexicon = Lexicon.parse(f"Хэмингуэй = [[{NAME}]]")
    u = RU.with_lexicon(lexicon)(["Это Хэмингуэй, да."])[0]
    bpe = BpeTokenizer.train(["это хэмингуэй, да."], size=60)
    encoded, words = word_map(u, bpe)
    assert words.words == ("Это", "Хэмингуэй", "да") and encoded.unknown == []
    a, b = words.pieces[1]
    assert "".join(bpe.decode(encoded.ids[a:b])) == "хэмингуэй"
    a, b = words.phonemes[1]
    assert " ".join(u.phonemes[a:b]) == NAME
