"""The shipped Russian voice, measured: silence and volume where the times say so."""

from __future__ import annotations

import numpy as np
import pytest

from intona import models, synth
from intona.audio import Audio
from intona.synth.speech import Speech
from intona.synth.voice import Voice

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(c.name == "ru" for c in models.shipped("voice")), reason="no voice ru"),
]
FRAME = 0.005  # seconds
SILENT = -50.0  # dB


@pytest.fixture(scope="module")
def voice() -> Voice:
    return synth.load("ru")


def silence_around(audio: Audio, seconds: float) -> tuple[float, float]:
    """Start and end of the silence at a place."""
    n = round(FRAME * audio.sample_rate)
    x = audio.samples[: len(audio) // n * n].reshape(-1, n)
    quiet = 10 * np.log10((x**2).mean(1) + 1e-12) < SILENT
    first = last = round(seconds / FRAME)
    while first > 0 and quiet[first - 1]:
        first -= 1
    while last < len(quiet) - 1 and quiet[last + 1]:
        last += 1
    return first * FRAME, (last + 1) * FRAME


def test_breaks_are_silent_as_long_as_they_say(voice: Voice) -> None:
    for text, pause in (
        ("Мы долго шли <break time='600ms'/> и устали.", 0.6),
        ("Сегодня утром мы поехали <break time='1s'/> за город.", 1.0),
        ("Было тепло. <break time='800ms'/> Мы ушли.", 0.8),
    ):
        speech = voice.speech(f"<speak>{text}</speak>", ssml=True)
        gaps = [b.start - a.end for a, b in zip(speech.words, speech.words[1:], strict=False)]
        k = int(np.argmax(gaps))
        assert gaps[k] == pytest.approx(pause, abs=0.001)
        start, end = silence_around(speech.audio, (speech.words[k].end + speech.words[k + 1].start) / 2)
        assert start == pytest.approx(speech.words[k].end, abs=0.05)
        assert end == pytest.approx(speech.words[k + 1].start, abs=0.1)  # a soft onset is no louder at first


def test_pauses_of_the_model_are_where_the_times_say(voice: Voice) -> None:
    """The longest silences inside the sentences lie between words, by at most 50 ms."""
    texts = [
        "Он открыл дверь, вошёл в дом, снял пальто и сел.",
        "Когда стемнело, все ушли; остался только сторож.",
    ]
    for text in texts:
        speech = voice.speech(text)
        longest = [w for w in speech.words[:-1] if w.after]
        assert longest
        for word in longest:
            following = speech.words[speech.words.index(word) + 1]
            if following.start - word.end < 0.1:
                continue
            start, end = silence_around(speech.audio, (word.end + following.start) / 2)
            assert start == pytest.approx(word.end, abs=0.05) and end == pytest.approx(
                following.start, abs=0.05
            )


def test_slow_and_quiet_words(voice: Voice) -> None:
    def seconds(speech: Speech, k: int) -> float:
        return speech.words[k].end - speech.words[k].start

    plain = voice.speech("Сегодня утром мы поехали за город.")
    slow = voice.speech(
        '<speak>Сегодня <prosody rate="slow">утром</prosody> мы поехали за город.</speak>', ssml=True
    )
    assert seconds(slow, 1) / seconds(plain, 1) == pytest.approx(1 / 0.75, rel=0.06)
    assert [seconds(slow, k) for k in (0, 3, 5)] == pytest.approx(
        [seconds(plain, k) for k in (0, 3, 5)], abs=0.025
    )
    quiet = voice.speech(
        '<speak>Сегодня утром мы <prosody volume="-12dB">поехали</prosody> за город.</speak>', ssml=True
    )
    word = plain.words[3]
    levels = [
        20 * np.log10(s.audio.trim(word.start + 0.02, word.end - 0.02).samples.std()) for s in (plain, quiet)
    ]
    assert levels[0] - levels[1] == pytest.approx(12.0, abs=0.1)
