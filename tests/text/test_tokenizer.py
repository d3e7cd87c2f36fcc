"""Tokenizers: one interface, one JSON, unknown symbols reported, corrupted files refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import BpeTokenizer, Frontend, FrontendConfig, PhonemeTokenizer, load_tokenizer
from intona.text.tokenizer import Tokenizer

TEXTS = [
    "Она завела прядь волнистых волос за ухо, подняла с тротуара корзинку с зеленью и пошла через улицу.",
    "Со спокойным мужеством Скайлс ожидал всего в этом безумном городе.",
    "Окна многоэтажных домов, иные разбитые, иные заколоченные досками, казались нежилыми.",
]


@pytest.fixture(scope="module")
def frontend() -> Frontend:
    return Frontend(FrontendConfig(stress="marks"))


@pytest.fixture(scope="module")
def phoneme(frontend) -> PhonemeTokenizer:
    return PhonemeTokenizer.build((u.phonemes for u in frontend(TEXTS)), frontend=frontend.describe())


@pytest.fixture(scope="module")
def bpe(frontend) -> BpeTokenizer:
    return BpeTokenizer.train([u.plain for u in frontend(TEXTS)], size=120, frontend=frontend.describe())


def test_round_trip(frontend, phoneme):
    for u in frontend(TEXTS):
        e = phoneme.encode(u.phonemes)
        assert e.unknown == []
        assert phoneme.decode(e.ids) == u.phonemes
        assert 0 not in e.ids and max(e.ids) < len(phoneme)


def test_unknown_symbols_are_reported_in_place(phoneme):
    e = phoneme.encode(["p", "ʘ", " ", "ʘ", "Q"])
    assert e.unknown == ["ʘ", "ʘ", "Q"]
    assert len(e.ids) == 5 and [i == 1 for i in e.ids] == [False, True, False, True, True]
    assert phoneme.decode([0, *e.ids, 0, 10**9, -5])[-1] == "<unk>"


def test_order_of_data_does_not_matter(frontend):
    us = [u.phonemes for u in frontend(TEXTS)]
    assert PhonemeTokenizer.build(us).symbols == PhonemeTokenizer.build(us[::-1]).symbols


def test_one_interface(phoneme, bpe):
    assert isinstance(phoneme, Tokenizer) and isinstance(bpe, Tokenizer)
    assert phoneme.pad_id == bpe.pad_id == 0 and phoneme.unk_id == bpe.unk_id == 1


def test_bpe_pieces_spell_the_text(bpe, frontend):
    for u in frontend(TEXTS):
        e = bpe.encode(u.plain)
        assert e.unknown == []
        assert "".join(bpe.decode(e.ids)) == u.plain.lower().replace(" ", "")
        parts = u.plain.replace(",", " ,").replace(".", " .").split()
        assert [i for w in bpe.words(parts) for i in w.ids] == e.ids
    assert len(bpe) <= 120


def test_a_vocabulary_without_end_is_refused():
    with pytest.raises(UserError, match="100000000000 text pieces, more than the 1000000 allowed"):
        BpeTokenizer.train(["слова"], size=10**11)


def test_bpe_reports_unknown_characters(bpe):
    e = bpe.encode("дом世Q")
    assert e.unknown == ["世", "Q"]
    assert e.ids.count(1) == 2


@pytest.mark.parametrize("which", ["phoneme", "bpe"])
def test_save_and_load(which, request, tmp_path):
    tok = request.getfixturevalue(which)
    path = tmp_path / "tokenizer.json"
    tok.save(path)
    again = load_tokenizer(path)
    assert type(again) is type(tok) and len(again) == len(tok)
    assert again.frontend == tok.frontend and again.frontend["language"] == "ru"
    sample = ["p", "ˈa", "?!"] if which == "phoneme" else TEXTS[1] + " ʘ"
    assert again.encode(sample) == tok.encode(sample)
    assert again.to_json() == tok.to_json()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda v: v.pop("kind"), lambda v: v.update(kind="pickle"), lambda v: v.update(version=9),
        lambda v: v.pop("frontend"), lambda v: v.update(frontend=[]), lambda v: v.pop("vocabulary",
        v.pop("model", None)),
        lambda v: v.update(vocabulary=["a", "b"], model={"a": 1}),
        lambda v: v.update(vocabulary=[1, 2], model=3),
        lambda v: v.update(vocabulary=["<pad>", "<unk>", "a", "a"], model={"version": "1.0", "model": None}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["phoneme", "bpe"])
def test_corrupted_files_are_refused(which, break_it, request, tmp_path):
    value = json.loads(json.dumps(request.getfixturevalue(which).to_json()))
    break_it(value)
    path = tmp_path / "t.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match=r"t\.json"):
        load_tokenizer(path)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"kind": "phoneme"', b"[" * 100_000]
)
def test_garbage_is_refused(raw, tmp_path):
    path = tmp_path / "t.json"
    path.write_bytes(raw)
    with pytest.raises(UserError):
        load_tokenizer(path)
    with pytest.raises(UserError):
        load_tokenizer(tmp_path / "missing.json")


def test_truncated_at_every_tenth(phoneme, bpe, tmp_path):
    for tok in (phoneme, bpe):
        path = tmp_path / "t.json"
        tok.save(path)
        whole = path.read_bytes()
        for k in range(10):
            path.write_bytes(whole[: len(whole) * k // 10])
            with pytest.raises(UserError):
                load_tokenizer(path)


@given(st.lists(st.text(min_size=1, max_size=3), max_size=30))
def test_any_symbols_encode(symbols):
    tok = PhonemeTokenizer.build([["a", "b", " "]])
    e = tok.encode(symbols)
    assert len(e.ids) == len(symbols)
    assert (
        e.unknown == [s for s in symbols if s not in ("a", "b", " ", "<pad>", "<unk>")] or "<unk>" in symbols
    )


def test_a_bpe_file_can_neither_cut_nor_pad_a_text(bpe, tmp_path):
    value = bpe.to_json()
    value["model"]["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    value["model"]["padding"] = {
        "strategy": {"Fixed": 100},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    path = tmp_path / "bpe.json"
    path.write_text(json.dumps(value), "utf-8")
    text = "на печальные поляны льёт печально свет она"
    assert load_tokenizer(path).encode(text).ids == bpe.encode(text).ids
    del value["model"]["padding"], value["model"]["truncation"]
    value["model"]["model"]["unk_token"] = "nosuch"
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(UserError, match="not a BPE model"):
        load_tokenizer(path)
