"""Sources of Russian stress: order of precedence, the silero adapter, what happens without it."""

from __future__ import annotations

import importlib.util

import pytest

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig, espeak
from intona.text.languages.russian import stress
from intona.text.normalize import normalize


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


def test_silero_missing_is_said(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "silero_stress" else find(name, *a)
    )
    with pytest.raises(UserError, match="pip install silero-stress"):
        Frontend(FrontendConfig(stress="silero"))(["молоко"])
    assert Frontend(FrontendConfig(stress="auto")).describe()["stress"] == "espeak"


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
def test_silero_reads_homographs_by_context():
    pytest.importorskip("silero_stress")
    import torch

    threads = torch.get_num_threads()
    f = Frontend(FrontendConfig(stress="silero"))
    u = f(["В лесу стоял старый замок, на двери висел замок."])[0]
    said = [" ".join(u.phonemes[w.start : w.end]) for w in u.words if w.text == "замок"]
    assert said == ["z ˈa m ə k", "z ɐ m ˈo k"]
    assert torch.get_num_threads() == threads
    assert f.describe()["stress"] == "silero"


@pytest.mark.slow
def test_silero_leaves_gradients_and_threads_as_they_were():
    pytest.importorskip("silero_stress")
    import torch

    assert torch.is_grad_enabled()
    threads = torch.get_num_threads()
    Frontend(FrontendConfig(stress="silero"))(["Замок стоит на горе."])
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
