"""Sources of Russian stress: order of precedence, the adapter of silero-stress, what happens without it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig, espeak
from intona.text.languages.russian import silero, stress
from intona.text.normalize import normalize
from intona.text.once import once

_SPEC = importlib.util.find_spec("silero_stress")
SILERO = Path(_SPEC.origin).parent / "data" / "accentor.pt" if _SPEC and _SPEC.origin else Path()
SENTENCES = [
    "В лесу стоял старый замок, на двери висел замок.",
    "Мука муке рознь, а все еще берет большую часть атласа.",
    "Она завела прядь волнистых волос за ухо и пошла через улицу.",
    "Небо было синим, звезды светили, кто-то пел.",
]


class Fake:
    """Stands for the model: stresses the first vowel of everything, and counts its calls."""

    version = "fake"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def mark(self, words: list[str], text: str) -> list[str]:
        self.calls.append(len(words))
        out = []
        for w in words:
            at = next((i for i, c in enumerate(w) if c.lower() in "аеёиоуыэюя"), None)
            out.append(w if at is None or "+" in w else w[:at] + "+" + w[at:])
        return out


def resolved(text: str, model=None) -> dict[str, int | None]:
    return dict(stress.resolve(normalize(text, "ru").tokens, model))


def test_precedence():
    got = resolved("молок+о молоко ёлка лесоповёз стол на из-за же", Fake())
    assert got == {"молоко": 0, "ёлка": 0, "лесоповёз": 3, "стол": 0, "на": None, "из-за": None, "же": None}
    assert resolved("молок+о", Fake()) == {"молоко": 2}
    assert resolved("н+а голову", Fake())["на"] == 0  # a mark beats the clitic list
    assert resolved("молоко") == {"молоко": None}  # left to the dictionary


def test_model_is_spared_where_spelling_settles_everything():
    fake = Fake()
    resolved("ёлка стол и дом", fake)
    assert fake.calls == []


def test_long_text_goes_in_stretches():
    fake = Fake()
    resolved("молоко " * 1000, fake)
    assert sum(fake.calls) == 1000
    assert max(fake.calls) <= 60


def test_espeak_dictionary():
    d = stress.EspeakStress()
    assert [d.of(w) for w in ("молоко", "привет", "корова", "ёлка", "на", "в", "кто-нибудь")][:6] == [
        2,
        1,
        1,
        0,
        None,
        None,
    ]


@pytest.mark.parametrize("name", ["silero_stress", "torch"])
def test_a_missing_package_is_named_only_where_it_is_requested(monkeypatch, name):
    spec = importlib.machinery.ModuleSpec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == name else spec(n, None))
    with pytest.raises(UserError, match=r"is not installed.*the same model, which is shipped"):
        silero.load()
    assert Frontend(FrontendConfig(stress="auto")).describe()["stress"] == "silero"


def test_espeak_missing_is_said(monkeypatch):
    monkeypatch.setattr(espeak, "_ONE", [])
    monkeypatch.setattr(espeak.ctypes, "CDLL", _no_library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *a: None)
    assert not espeak.available()
    with pytest.raises(UserError, match="apt-get install espeak-ng"):
        Frontend(FrontendConfig(stress="marks"))(["молоко"])
    # Hand-written phonemes need no espeak-ng at all.
    assert Frontend(FrontendConfig(stress="marks")).from_phonemes("m ˈi r").words[0].end == 3


def _no_library(*_):
    raise OSError("no such library")


@pytest.mark.slow
def test_the_package_reads_homographs_by_context():
    pytest.importorskip("silero_stress")
    import torch

    threads = torch.get_num_threads()
    f = Frontend(FrontendConfig(stress="silero"))
    u = f(["В лесу стоял старый замок, на двери висел замок."])[0]
    phones = [" ".join(u.phonemes[w.start : w.end]) for w in u.words if w.text == "замок"]
    assert phones == ["z ˈa m ə k", "z ɐ m ˈo k"]
    assert torch.get_num_threads() == threads
    assert f.describe()["stress"] == "silero"


@pytest.mark.slow
def test_loading_silero_changes_nothing_in_the_process(monkeypatch):
    pytest.importorskip("silero_stress")
    import torch

    def refuse(*_):
        raise AssertionError("a setting of the whole process")

    changes = []

    class Watched(type(re)):
        def __setattr__(self, name, value):
            changes.append(name)
            super().__setattr__(name, value)

    monkeypatch.setattr(torch, "set_num_threads", refuse)
    monkeypatch.setattr(re, "__class__", Watched)
    accentor = silero.read_accentor(SILERO)
    assert torch.is_grad_enabled()
    assert changes == []
    assert accentor("Молоко.") == "Молок+о."


@pytest.mark.slow
def test_silero_is_read_as_by_its_own_loader():
    """In a process of its own, since that loader changes settings of the whole process."""
    pytest.importorskip("silero_stress")
    code = f"""
import torch
from pathlib import Path
from silero_stress import load_accentor
from intona.text.languages.russian.silero import read_accentor
theirs, ours = load_accentor("ru"), read_accentor(Path({str(SILERO)!r}))
for text in {SENTENCES!r}:
    assert ours(text) == theirs(text), text
a, b = (x.homosolver.model.bert.embeddings.word_embeddings.weight for x in (theirs, ours))
assert torch.equal(a, b)
patterns, expected = (x.homosolver.compiled_phrases for x in (ours, theirs))
assert len(patterns) > 1000 and list(patterns) == list(expected)
for word in list(patterns)[:20]:
    assert (patterns[word].pattern, patterns[word].flags) == (expected[word].pattern, expected[word].flags)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_silero_is_loaded_once_for_the_process(monkeypatch):
    pytest.importorskip("silero_stress")
    paths = []

    def read(path):
        paths.append(path)
        return object()

    monkeypatch.setattr(silero, "read_accentor", read)
    monkeypatch.setattr(silero, "_shared", once(silero._shared.__wrapped__))
    assert silero.load() is silero.load()
    assert paths == [SILERO]


@pytest.mark.parametrize("error", [AttributeError("no homosolver"), RuntimeError("not an archive\ntrace")])
def test_a_model_of_another_format_is_named(monkeypatch, error):
    pytest.importorskip("silero_stress")

    def read(path):
        raise error

    monkeypatch.setattr(silero, "read_accentor", read)
    monkeypatch.setattr(silero, "_shared", once(silero._shared.__wrapped__))
    with pytest.raises(
        UserError, match=r"accentor.pt: the model of silero-stress .* cannot be read.*auto"
    ) as e:
        Frontend(FrontendConfig(stress="silero"))(["молоко"])
    assert "trace" not in str(e.value)


def test_a_lazy_pattern_is_a_pattern():
    lazy = silero.LazyPattern(r"(?P<name>а+)", re.IGNORECASE)
    assert lazy.search("баАб")["name"] == "аА"
    assert lazy.flags == re.compile("", re.IGNORECASE).flags and lazy.pattern == r"(?P<name>а+)"
    with pytest.raises(AttributeError):
        _ = lazy.nothing
