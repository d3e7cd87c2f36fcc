"""`intona read` and `intona.read`: what would be spoken, without a voice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import intona
from intona import cli
from intona.errors import Unspeakable
from intona.text import Lexicon


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTONA_DEBUG", raising=False)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_a_line_a_sentence(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["read", "Пришло", "5 человек. Вот и всё!"]) == 0
    assert lines(capsys) == (["Пришло пять человек.", "Вот и всё!"], [])


def test_the_script_tells_the_language(capsys: pytest.CaptureFixture[str]):
    Path("a.txt").write_text("Мы on 3\nOn 3\n\n3\n", encoding="utf-8")
    assert cli.main(["read", "-f", "a.txt"]) == 0
    assert lines(capsys)[0] == ["Мы он три", "On three", "three"]
    assert cli.main(["read", "--language", "ru", "3"]) == 0
    assert lines(capsys)[0] == ["три"]
    assert cli.main(["read", "--language", "ru, en", "Мы on 3. On 3."]) == 0
    assert lines(capsys)[0] == ["Мы он три.", "On three."]
    assert cli.main(["read", "Это [[x ɪ mʲ]] 3"]) == 0  # the phonemes are no Latin letters
    assert lines(capsys)[0] == ["Это [[x ɪ mʲ]] три"]


def test_phonemes(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["read", "--phonemes", "Hello, [[w ˈɜː l d]]!"]) == 0
    assert lines(capsys)[0] == ["h ə l ˈoʊ , | w ˈɜː l d !"]


def test_json(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["read", "--json", "--phonemes", "Да, [[d ˈa]]."]) == 0
    (line,), _ = lines(capsys)
    assert json.loads(line) == {
        "text": "Да, [[d ˈa]].",
        "normalized": "Да, [[d ˈa]].",
        "phonemes": ["d", "ˈa", ",", " ", "d", "ˈa", "."],
        "words": [{"text": "Да", "start": 0, "end": 2}, {"text": "dˈa", "start": 4, "end": 6}],
        "unreadable": [],
        "unspoken": [],
    }
    assert cli.main(["read", "--json", "Да."]) == 0
    assert json.loads(lines(capsys)[0][0]).keys() == {"text", "normalized", "unreadable", "unspoken"}


def test_a_lexicon(capsys: pytest.CaptureFixture[str]):
    Path("l.txt").write_text("nginx = энджин+икс\nХэмингуэй\t[[x ɪ m]]\n", encoding="utf-8")
    assert cli.main(["read", "--lexicon", "l.txt", "Хэмингуэй и nginx"]) == 0
    assert lines(capsys)[0] == ["Хэмингуэй и энджин+икс"]
    assert str(intona.read("Хэмингуэй", phonemes=True, lexicon="l.txt")[0]) == "x ɪ m"
    Path("l.txt").write_text("nginx\n", encoding="utf-8")
    assert cli.main(["read", "--lexicon", "l.txt", "nginx"]) == 1
    assert lines(capsys)[1][0].startswith("intona: error: l.txt, line 1: 1 fields, expected 2")


def test_a_book_goes_on(capsys: pytest.CaptureFixture[str]):
    Path("book.txt").write_text("раз\n\n* * *\nдва\n🙂\nи [[θ]]\n", encoding="utf-8")
    assert cli.main(["read", "-f", "book.txt"]) == 1
    out, err = lines(capsys)
    assert out == ["раз", "два"]
    assert err[0].startswith('intona: warning: book.txt: line 3: not spoken: text "* * *": no words')
    assert err[1].startswith("intona: warning: book.txt: line 5: not spoken: ")
    assert err[2].startswith('intona: warning: book.txt: line 6: not spoken: [[θ]]: unknown phoneme "θ"')
    assert err[3:] == ["intona: error: book.txt: 3 of 5 lines could not be spoken"]


def test_one_text_that_cannot_be_spoken_is_an_error(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["read", "* * *"]) == 1
    assert lines(capsys)[1] == [
        'intona: error: text "* * *": no words in the text; write something to be read aloud'
    ]


def test_a_sentence_that_cannot_be_spoken_is_left_out(capsys: pytest.CaptureFixture[str]):
    with pytest.warns(
        UserWarning, match='left out: "你好。": text: letters that language "ru" does not read'
    ):
        spoken = intona.read("Он ушёл. 你好。 Она пришла.")
    assert [s.normalized for s in spoken] == ["Он ушёл.", "Она пришла."]
    with pytest.raises(Unspeakable):
        intona.read("你好")


def test_what_is_not_read_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from intona.text import normalize

    real = normalize.normalize

    def marking(text: str, language: str) -> normalize.Normalized:
        signs = tuple(dict.fromkeys(c for c in text if c in "♥☎"))
        return normalize.Normalized(real(text, language).tokens, signs)

    monkeypatch.setattr(normalize, "normalize", marking)
    assert cli.main(["read", "Я ♥ [[d ˈa]] ☎ и ♥ тебя"]) == 0
    out, err = lines(capsys)
    assert out == ["Я [[d ˈa]] и тебя"]
    assert err == [
        'intona: warning: not read: ♥ (U+2665 BLACK HEART SUIT), ☎ (U+260E BLACK TELEPHONE) in "Я ♥ [[d ˈa]]'
        ' ☎ и ♥ тебя"'
    ]
    (sentence,) = intona.read("Я ♥ тебя", lexicon=Lexicon.parse("я = ты"))
    assert sentence.unreadable == ("♥",) and sentence.normalized == "ты тебя"


def test_nothing_heavy_is_loaded():
    code = """
import sys
from intona.cli import main
assert main(["read", "В 1812 г. было 5 °C [[d ˈa]].", "--json"]) == 0
assert main(["read", "Mr. Smith paid $5."]) == 0
import intona
intona.read("Да.")
heavy = {"torch", "lightning", "transformers", "silero_stress", "soundfile", "intona.synth"}
print(sorted(heavy & set(sys.modules)), "ctypes" in sys.modules and sys.modules["intona.text.espeak"]._ONE)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] []"


def test_bad_requests(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["read", "a", "-f", "b.txt"]) == 1
    assert lines(capsys)[1] == ["intona: error: --file: a text and a file were both given; give one of them"]
    assert cli.main(["read", "--phonemes", "--language", "qqx", "a"]) == 1
    assert "does not speak" in lines(capsys)[1][0]
