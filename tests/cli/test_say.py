"""`intona say` with a stand-in voice: where the text comes from, where the wav goes, what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from intona import cli, synth
from intona.audio import Audio
from intona.cli import say
from intona.errors import Unspeakable, UserError
from intona.synth.capabilities import Capabilities
from intona.synth.options import OPTIONS, SpeakOptions
from intona.synth.speech import Speech, TimedWord
from intona.synth.voice import BaseVoice
from intona.text import Lexicon

RATE = 22_050


class Voice(BaseVoice):
    """Speaks a tenth of a second per character and keeps the options of each call."""

    capabilities = Capabilities(system="test", options=frozenset(OPTIONS), lexicon=True, vocoder=True)
    sample_rate = RATE

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.loaded: dict[str, Any] = {}

    @property
    def lexicon(self) -> Lexicon | None:
        return self.loaded["lexicon"]

    def load(self, name: str, **how: Any) -> Voice:
        self.loaded = {"name": name, **how}
        return self

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        if text == "* * *":
            raise Unspeakable("no words in the text", where="text")
        if text == "broken":
            raise UserError("the vocoder's samples are not finite")
        if "♥" in text:
            warnings.warn("not read: ♥ (U+2665)", stacklevel=2)
        self.calls.append((text, options.changed))
        return Audio(np.full(len(text) * RATE // 10, 0.25, dtype=np.float32), RATE)


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Voice:
    voice = Voice()
    monkeypatch.setattr(synth, "load", voice.load)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # `main` installs its own
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTONA_DEBUG", raising=False)
    return voice


def stdin(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_words_make_one_wav(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["say", "Добрый", "день!", "-o", "a.wav"]) == 0
    assert voice.calls[0][0] == "Добрый день!"
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == RATE and len(samples) == 12 * RATE // 10
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("a.wav: 1.20 s of speech in ") and "RTF" in err


def test_options_reach_the_voice(voice: Voice):
    flags = "--rate 1.1 --steps 7 --seed 3 --temperature 0.5 --speaker anna --phonemes --style calm"
    flags += " --guidance 2 --length 3 --tries 4 --solver ddim --language ru --reference-text words"
    assert cli.main(["say", "p rʲ", *flags.split(), "--vocoder", "fast", "--device", "cpu"]) == 0
    assert voice.calls[0][1] == {
        "rate": 1.1,
        "steps": 7,
        "seed": 3,
        "temperature": 0.5,
        "speaker": "anna",
        "phonemes": True,
        "style": "calm",
        "guidance": 2.0,
        "length": 3.0,
        "tries": 4,
        "solver": "ddim",
        "language": "ru",
        "reference_text": "words",
    }
    others = {"vocoder": "fast", "lexicon": None, "backend": None}
    assert voice.loaded == {"name": "ru", "device": "cpu", **others}


def test_every_option_but_strict_is_a_flag(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["say", "--help"]) == 0
    help = capsys.readouterr().out
    assert [n for n in OPTIONS if f"--{n.replace('_', '-')}" not in help] == ["strict"]


@pytest.mark.parametrize("flags", [("--reference", "--reference-text"), ("--voice", "--voice-text")])
def test_a_reference_is_read_once_and_its_old_flags_still_work(
    voice: Voice, tmp_path: Path, flags: tuple[str, str], capsys: pytest.CaptureFixture[str]
):
    Audio(np.full(RATE, 0.25, np.float32), RATE).write("ref.wav")
    book(tmp_path, "one", "two")
    assert cli.main(["say", "-f", "book.txt", flags[0], "ref.wav", f"{flags[1]}=some words"]) == 0
    first, second = (options for _, options in voice.calls)
    assert isinstance(first["reference"], Audio) and first["reference"] is second["reference"]
    assert first["reference_text"] == "some words"
    err = capsys.readouterr().err
    assert ("--voice is now --reference" in err) == ("--voice-text is now" in err) == ("--voice" in flags)
    assert cli.main(["say", "a", "--reference", "none.wav"]) == 1
    assert "none.wav" in capsys.readouterr().err


def test_a_file_makes_one_wav_a_line(voice: Voice, tmp_path: Path):
    (tmp_path / "text.txt").write_text("\ufeffпервая\n\n  вторая \r\nтретья", encoding="utf-8")
    assert cli.main(["say", "--file", "text.txt", "-o", "new/folder/line.flac"]) == 0
    assert [text for text, _ in voice.calls] == ["первая", "вторая", "третья"]
    made = sorted(p.name for p in (tmp_path / "new/folder").iterdir())
    assert made == ["line_001.flac", "line_002.flac", "line_003.flac"]


@pytest.mark.parametrize("arguments", [[], ["-"], ["-f", "-"]])
def test_text_on_stdin(voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]):
    stdin(monkeypatch, "привет".encode())
    assert cli.main(["say", *arguments]) == 0
    assert voice.calls[0][0] == "привет" and (tmp_path / "out.wav").is_file()


def test_lines_to_stdout_make_one_wav(voice: Voice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stdin(monkeypatch, b"one\nfour")
    with open(tmp_path / "pipe", "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["say", "-o", "-"]) == 0
    samples, rate = soundfile.read(tmp_path / "pipe")
    assert rate == RATE
    assert len(samples) == 3 * RATE // 10 + round(say.PAUSE_SECONDS * RATE) + 4 * RATE // 10
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", ""], "text: no text to speak"),
        (["say", " \t "], "text: no text to speak"),
        (["say", "x" * 100_000], "text: 100000 characters, more than the 20000 that one line may have"),
        (["say", "a", "--rate", "0"], "--rate: 0 is not between 0.25 and 4"),
        (["say", "a", "--rate", "nan"], "--rate: nan is not between 0.25 and 4"),
        (["say", "a", "--steps", "0"], "--steps: 0 is not between 1 and 1000"),
        (["say", "a", "--seed", "-1"], "--seed: -1 is not between 0 and"),
        (["say", "a", "--temperature", "inf"], "--temperature: inf is not between 0 and 10"),
        (["say", "a", "--file", "b.txt"], "--file: a text and a file were both given"),
        (["say", "--file", "none.txt"], "none.txt: cannot be read (No such file or directory)"),
        (["say", "--file", "."], ".: cannot be read (Is a directory)"),
        (["say", "a", "-o", "a.mp3"], 'a.mp3: unknown audio format ".mp3"; use .wav or .flac'),
        (["say", "a", "-o", "blocked/a.wav"], "blocked: the folder cannot be created"),
        (["say", "a\udcff"], "text: not UTF-8 text (byte 1)"),
    ],
)
def test_refused_before_the_voice_is_loaded(
    voice: Voice, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"intona: error: {message}")
    assert voice.calls == []


def test_a_file_that_is_no_text(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.txt").write_bytes(b"ok\nRIFF\xff\xfe")
    assert cli.main(["say", "--file", "a.txt"]) == 1
    assert capsys.readouterr().err == "intona: error: a.txt: not UTF-8 text (byte 7)\n"


def test_a_long_line_is_named(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.txt").write_text("ok\n" + "x" * 20_001)
    assert cli.main(["say", "--file", "a.txt"]) == 1
    assert "a.txt: line 2: 20001 characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "n", "expected"),
    [
        ("-", 3, None),
        ("a.wav", 1, ["a.wav"]),
        ("a", 1, ["a.wav"]),
        ("a.wav", 2, ["a_001.wav", "a_002.wav"]),
        (".", 1, ["out.wav"]),
    ],
)
def test_names_of_the_wavs(output: str, n: int, expected: list[str] | None):
    paths = say.outputs(output, n)
    assert (None if paths is None else [str(p) for p in paths]) == expected


def test_names_keep_their_order_past_a_thousand_lines():
    paths = say.outputs("a.wav", 1200)
    assert paths is not None and [p.name for p in sorted(paths)] == [p.name for p in paths]


def book(tmp_path: Path, *lines: str) -> None:
    (tmp_path / "book.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("flags", [[], ["--stream"]])
def test_a_book_goes_on_past_a_line_that_cannot_be_spoken(
    voice: Voice, tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
):
    book(tmp_path, "раз", "", "* * *", "два ♥", "* * *", "три ♥")
    assert cli.main(["say", "-f", "book.txt", "-o", "line.wav", *flags]) == 1
    assert [text for text, _ in voice.calls] == ["раз", "два ♥", "три ♥"]
    # The numbers are those of the lines that are not blank, so that a line keeps its name.
    assert sorted(p.name for p in tmp_path.glob("*.wav")) == ["line_001.wav", "line_003.wav", "line_005.wav"]
    err = capsys.readouterr().err.splitlines()
    warned = [line for line in err if line.startswith("intona: warning: ")]
    assert warned == [
        "intona: warning: book.txt: line 3: not spoken: text: no words in the text",
        "intona: warning: book.txt: line 4: not read: ♥ (U+2665)",
        "intona: warning: book.txt: line 5: not spoken: text: no words in the text",
        "intona: warning: book.txt: line 6: not read: ♥ (U+2665)",
    ]
    assert err[-1] == "intona: error: book.txt: 2 of 5 lines could not be spoken"


@pytest.mark.parametrize("flags", [[], ["--stream"]])
def test_a_book_on_stdout_is_what_could_be_spoken(
    voice: Voice, tmp_path: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch
):
    book(tmp_path, "* * *", "one", "* * *")
    with open(tmp_path / "pipe", "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["say", "-f", "book.txt", "-o", "-", *flags]) == 1
    samples, _ = soundfile.read(tmp_path / "pipe")
    assert len(samples) == 3 * RATE // 10


def test_a_book_of_nothing(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    book(tmp_path, "* * *", "* * *")
    for output in ("-", "a.wav"):
        assert cli.main(["say", "-f", "book.txt", "-o", output]) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.endswith("2 of 2 lines could not be spoken\n")


def test_an_error_that_is_not_the_text_s_ends_the_book(
    voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    book(tmp_path, "раз", "broken", "два")
    assert cli.main(["say", "-f", "book.txt"]) == 1
    assert [text for text, _ in voice.calls] == ["раз"]
    assert capsys.readouterr().err.endswith("intona: error: the vocoder's samples are not finite\n")


def test_one_text_that_cannot_be_spoken_is_an_error(voice: Voice, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["say", "* * *"]) == 1
    assert capsys.readouterr().err == "intona: error: text: no words in the text\n"


def test_a_long_line_of_a_book_is_named_by_its_place_in_the_file(
    voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    book(tmp_path, "раз", "", "x" * 20_001)
    assert cli.main(["say", "-f", "book.txt"]) == 1
    assert "book.txt: line 3: 20001 characters" in capsys.readouterr().err


def test_a_lexicon_reaches_the_voice(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "lexicon.txt").write_text("nginx = энджин+икс", encoding="utf-8")
    assert cli.main(["say", "--lexicon", "lexicon.txt", "nginx"]) == 0
    assert voice.lexicon is not None and [e.word for e in voice.lexicon.entries] == ["nginx"]
    (tmp_path / "lexicon.txt").write_text("nginx", encoding="utf-8")
    voice.calls.clear()
    assert cli.main(["say", "--lexicon", "lexicon.txt", "nginx"]) == 1
    assert "lexicon.txt, line 1: 1 fields, expected 2" in capsys.readouterr().err and voice.calls == []


def timed(self: Voice, text: str, options: SpeakOptions) -> Iterator[Speech]:
    """A word per character."""
    words = [TimedWord(text=c, start=i / 10, end=(i + 1) / 10) for i, c in enumerate(text)]
    half = len(text) // 2
    audio = self.speak_text(text, options)
    yield Speech(audio=audio.trim(0, half / 10), words=tuple(words[:half]))
    yield Speech(audio=audio.trim(half / 10), words=tuple(words[half:]))


@pytest.fixture
def timed_voice(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> Voice:
    monkeypatch.setattr(Voice, "stream_timed", timed)
    monkeypatch.setattr(Voice, "capabilities", dataclasses.replace(Voice.capabilities, times=True))
    return voice


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_times_stand_beside_each_wav(timed_voice: Voice, tmp_path: Path, stream: list[str]):
    book(tmp_path, "ab", "* * *", "cde")
    assert cli.main(["say", "-f", "book.txt", "-o", "a.wav", "--times", "t/a.srt", *stream]) == 1
    assert [p.name for p in sorted((tmp_path / "t").iterdir())] == ["a_001.srt", "a_003.srt"]
    assert (tmp_path / "t" / "a_003.srt").read_text() == "1\n00:00:00,000 --> 00:00:00,300\nc d e\n"
    assert soundfile.info(tmp_path / "a_003.wav").frames == 3 * RATE // 10


def test_times_of_lines_on_stdout_are_one_file(
    timed_voice: Voice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for flags, second in ([], 0.2 + say.PAUSE_SECONDS), (["--stream"], 0.2):
        stdin(monkeypatch, b"ab\nc")
        with open(tmp_path / "pipe", "w") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert cli.main(["say", "-o", "-", "--times", "a.json", *flags]) == 0
        times = json.loads((tmp_path / "a.json").read_text())
        assert [w["text"] for w in times["words"]] == ["a", "b", "c"]
        assert times["words"][2]["start"] == pytest.approx(second)
        assert times["duration"] == pytest.approx(second + 0.1)


def test_times_that_cannot_be_written_are_refused_before_speaking(
    voice: Voice, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["say", "a", "--times", "a.txt"]) == 1
    assert ".json, .srt, .vtt" in capsys.readouterr().err and not voice.loaded
    assert cli.main(["say", "a", "--times", "a.srt"]) == 1
    assert "--times: test voices do not know the times" in capsys.readouterr().err and not voice.calls


def test_ssml_is_one_document_of_all_lines(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    book(tmp_path, "<speak>", "раз", '<break time="1s"/>два', "</speak>")
    assert cli.main(["say", "--ssml", "-f", "book.txt"]) == 0
    assert [text for text, _ in voice.calls] == ["раз", "два"]
    assert soundfile.info(tmp_path / "out.wav").frames == round(1.6 * RATE)
    assert cli.main(["say", "--ssml", "<speak>", "да"]) == 1
    assert "error: SSML, line 1, column 11: malformed XML: no element found" in capsys.readouterr().err
    assert cli.main(["say", "<speak>да</speak>"]) == 0
    assert "looks like SSML" in capsys.readouterr().err


def test_a_marked_word_is_spoken_without_its_asterisks(voice: Voice, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["say", "не *это*"]) == 0
    assert voice.calls[0][0] == "не это" and "emphasis" in capsys.readouterr().err
