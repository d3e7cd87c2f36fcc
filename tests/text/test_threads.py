"""Several threads read at once: from empty caches on, they load everything once and agree with one thread."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from intona.text import Frontend, FrontendConfig, Lexicon
from intona.text.once import once

TEXTS = {
    "ru": [
        "В лесу стоял старый замок, на двери висел замок. Мука муке рознь!",
        "В 1812 г. на 5 км² было 30 °C; ФСБ и МГУ заплатили $1.2 млрд за iPhone.",
        "Еще шел дождь, и счет 5:3 объявили в XXI веке. А. С. Пушкин жил в д. 12.",
        "Отель, шоссе и кафе: [[x ɪ m ɪ n ɡ ʊ ˈe j]] пьёт кофе из-за скуки.",
    ],
    "en": [
        "Dr. Smith's 2nd flight, BA2490, left at 5:30 p.m. on 10/01/2024.",
        "The end of the story costs $3.50 per kg, doesn't it? Say [[n oʊ]]'s name.",
        "Henry VIII met NASA in the 1990s, and plan A was 3/4 done.",
    ],
}
READ = """
import json, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor

warnings.simplefilter("ignore")
sys.setswitchinterval(1e-5)
texts, stress = json.load(sys.stdin)
start = threading.Barrier(4)

def read(_):
    start.wait()
    from intona.text import Frontend, FrontendConfig
    return [
        [str(u), u.normalized]
        for language in texts
        for u in Frontend(FrontendConfig(language=language, stress=stress))(texts[language])
    ]

with ThreadPoolExecutor(4) as pool:
    print(json.dumps(list(pool.map(read, range(4)))))
"""


def serial(stress: str) -> list[list[str]]:
    return [
        [str(u), u.normalized]
        for language, texts in TEXTS.items()
        for u in Frontend(FrontendConfig(language=language, stress=stress))(texts)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("stress", ["marks", pytest.param("auto", marks=pytest.mark.slow)])
def test_four_threads_read_as_one_does(stress: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps([TEXTS, stress]), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [serial(stress)] * 4


def test_one_front_end_serves_four_threads() -> None:
    frontend = Frontend(FrontendConfig(stress="marks"))
    lexicons = [Lexicon.parse(f"замок = {spelling}") for spelling in ("з+амок", "зам+ок", "в+ода", "м+ир")]
    start = threading.Barrier(4)

    def read(lexicon: Lexicon) -> list[str]:
        start.wait()
        return [str(u) for u in frontend.with_lexicon(lexicon)(TEXTS["ru"])]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, lexicons))
    alone = Frontend(FrontendConfig(stress="marks"))
    assert together == [[str(u) for u in alone.with_lexicon(lex)(TEXTS["ru"])] for lex in lexicons]


def test_a_copy_shares_what_is_loaded() -> None:
    frontend = Frontend(FrontendConfig(stress="marks"))
    copy = frontend.with_lexicon(Lexicon.parse("замок = з+амок"))  # before anything is loaded
    assert copy.phonemizer is frontend.phonemizer


def test_loading_happens_once() -> None:
    first, proceed = threading.Event(), threading.Event()
    calls = []

    @once
    def load(name: str) -> object:
        calls.append(name)
        first.set()
        proceed.wait(timeout=60)
        return object()

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(load, "model") for _ in range(4)]
        assert first.wait(timeout=60)
        proceed.set()
        assert len({id(r.result()) for r in results}) == 1
    assert calls == ["model"]
    assert load("other") is not load("model")


def test_a_failure_to_load_is_not_kept() -> None:
    attempts = []

    @once
    def load() -> str:
        attempts.append(None)
        if len(attempts) == 1:
            raise OSError("busy")
        return "loaded"

    with pytest.raises(OSError):
        load()
    assert load() == load() == "loaded"
    assert len(attempts) == 2
