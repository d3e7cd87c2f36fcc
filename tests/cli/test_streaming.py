"""`say --stream` writes what `say` would, piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.audio import Audio
from intona.audio.pcm import pcm16
from intona.cli import streaming
from intona.cli.lines import InputLines, Line
from intona.errors import UserError
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.voice import BaseVoice

RATE = 8000


class Talker(BaseVoice):
    """Speaks one ramp per word; fails at "bad"."""

    capabilities = Capabilities(system="talker", options=frozenset({"guidance"}), streams=True)
    sample_rate = RATE

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return Audio(np.concatenate([a.samples for a in self.stream_text(text, options)]), RATE)

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        for word in text.split():
            if word == "bad":
                raise UserError("cannot say that")
            yield Audio(np.linspace(-0.5, 0.5, 100 * len(word), dtype=np.float32), RATE)


def lines(*texts: str) -> InputLines:
    return InputLines([Line(i, text) for i, text in enumerate(texts, start=1)], "book.txt")


class Mute(BaseVoice):
    capabilities = Capabilities(system="mute", options=frozenset())
    sample_rate = RATE

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return Audio(np.full(RATE, 0.25, np.float32), RATE)


def test_a_file_is_what_say_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    streaming.write(Talker(), lines("one three"), [path], SpeakOptions(seed=3))
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples, Talker().say("one three").samples, atol=1 / 32000)
    assert "the first after" in capsys.readouterr().err


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"before")
    with pytest.raises(UserError, match="cannot say that"):
        streaming.write(Talker(), lines("one bad"), [path], SpeakOptions())
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_the_stream_on_stdout_is_a_wav_of_unknown_length() -> None:
    out = io.BytesIO()
    seconds, first, took = streaming._stdout(Talker().stream("one three"), out)
    raw = out.getvalue()
    assert raw[:4] == b"RIFF" and raw[4:8] == b"\xff" * 4 and raw[40:44] == b"\xff" * 4
    assert len(raw) == 44 + 2 * 800 and seconds == pytest.approx(0.1) and first <= took
    samples, rate = soundfile.read(io.BytesIO(raw), dtype="float32")
    assert rate == RATE and len(samples) == 800


def test_a_voice_that_cannot_stream_speaks_the_whole() -> None:
    assert [a.duration for a in Mute().stream("x")] == [1.0]


def test_nothing_that_stands_beside_the_file_is_touched(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / ".a.wav.part.wav"
    victim.write_text("mine")
    link.symlink_to(victim)
    streaming.write(Talker(), lines("one"), [tmp_path / "a.wav"], SpeakOptions())
    assert victim.read_text() == "mine" and sorted(p.name for p in tmp_path.iterdir()) == [
        ".a.wav.part.wav",
        "a.wav",
        "victim",
    ]
    with pytest.raises(UserError, match="NaN"):
        pcm16(Audio(np.full(9, np.nan, np.float32), RATE))
