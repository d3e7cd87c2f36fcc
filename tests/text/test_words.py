"""Word maps, IPA splitting, sharing out merged words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import BpeTokenizer, Frontend, FrontendConfig, WordMap, split_ipa, word_map
from intona.text.ipa import is_word_symbol, settle_stress
from intona.text.phonemize import share

TEXT = "Со спокойным мужеством, Скайлс, ожидал всего, в этом безумном городе."
FRONTEND = Frontend(FrontendConfig(stress="marks"))
BPE = BpeTokenizer.train([TEXT, "кто-то из-за угла"], size=80)
WORDS = ["со", "спокойным", "кто-то", "из-за", "мол+око", "я", "в", "б", "щука", "ёж", "эхо", "Ж", "вьюга"]


def test_map_of_a_real_sentence():
    u = FRONTEND([TEXT])[0]
    encoded, m = word_map(u, BPE)
    assert m.words == (
        "Со",
        "спокойным",
        "мужеством",
        "Скайлс",
        "ожидал",
        "всего",
        "в",
        "этом",
        "безумном",
        "городе",
    )
    assert encoded.unknown == []
    assert encoded.ids == BPE.encode(u.plain).ids
    pieces = BPE.decode(encoded.ids)
    for text, (a, b) in zip(m.words, m.pieces, strict=True):
        assert "".join(pieces[a:b]) == text.lower()
    assert [w for w in m.piece_to_word if w < 0] == [-1] * 4  # three commas and a full stop
    assert m.filled(m.phoneme_to_word)[-1] == 9
    assert -1 not in m.filled(m.piece_to_word)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*WORDS, "世", "zzz"]), st.sampled_from(["", ",", "!", " —", "?!"])),
        min_size=1,
        max_size=12,
    )
)
def test_maps_are_exact(parts):
    text = " ".join(w + p for w, p in parts)
    try:
        u = FRONTEND([text])[0]
    except UserError:
        assert "世" in text
        return
    encoded, m = word_map(u, BPE)
    assert encoded.ids == BPE.encode(u.plain).ids
    assert len(m.piece_to_word) == len(encoded.ids) and len(m.phoneme_to_word) == len(u.phonemes)
    for k, ((pa, pb), (fa, fb)) in enumerate(zip(m.pieces, m.phonemes, strict=True)):
        assert set(m.piece_to_word[pa:pb]) == {k} and set(m.phoneme_to_word[fa:fb]) == {k}
        assert all(map(is_word_symbol, u.phonemes[fa:fb]))
    assert [s for s, w in zip(u.phonemes, m.phoneme_to_word, strict=True) if w < 0] == [
        s for s in u.phonemes if not is_word_symbol(s)
    ]


def test_word_map_refuses_nonsense():
    ok = dict(words=("a",), pieces=((0, 1),), phonemes=((0, 2),), piece_to_word=(0,), phoneme_to_word=(0, 0))
    WordMap(**ok)
    for change in (
        {"pieces": ((0, 2),)}, {"pieces": ((0, 0),)}, {"piece_to_word": (-1,)}, {"words": ("a", "b")},
        {"phoneme_to_word": (0, 0, 0)}, {"phonemes": ((1, 2),)},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            WordMap(**{**ok, **change})


def test_bare_phonemes_have_no_pieces():
    with pytest.raises(UserError, match="no text"):
        word_map(FRONTEND.from_phonemes("p rʲ ɪ vʲ ˈe t | mʲ ˈi r !"), BPE)


def test_split_ipa():
    assert split_ipa("prʲivʲˈet") == ["p", "rʲ", "i", "vʲ", "ˈe", "t"]
    assert split_ipa("t͡ɕɪˈstə") == ["t͡ɕ", "ɪ", "s", "t", "ˈə"] or split_ipa("t͡ɕɪsˈtə")[-1] == "ˈtə"
    assert split_ipa("bɔ̃ʒuːʁ") == ["b", "ɔ̃", "ʒ", "uː", "ʁ"]
    assert split_ipa("") == []


def test_stress_moves_to_the_vowel():
    assert settle_stress(["ˈs", "t", "ɑː"]) == ["s", "t", "ˈɑː"]
    assert settle_stress(["ˌa", "b", "ˈo"], secondary=False) == ["a", "b", "ˈo"]
    assert settle_stress(["ˈ", "m", "i"]) == ["m", "ˈi"]


def test_share_cuts_merged_words():
    assert share([("ʌ", "v"), ("ð", "ə")], ["ə", "v", "ð", "ə"]) == [("ə", "v"), ("ð", "ə")]
    assert share([("a",), ("b",)], ["x"]) in ([("x",), ()], [(), ("x",)])
    assert share([(), ("a", "b")], ["a", "b"]) == [(), ("a", "b")]


@given(
    st.lists(st.lists(st.sampled_from("abuetk"), max_size=5).map(tuple), min_size=1, max_size=6),
    st.lists(st.sampled_from("abuetk"), min_size=0, max_size=25),
)
def test_share_covers_everything_in_order(alone, heard):
    out = share(alone, heard)
    assert len(out) == len(alone)
    assert [p for word in out for p in word] == heard
    if len(heard) == sum(map(len, alone)) and [p for w in alone for p in w] == heard:
        assert out == alone
