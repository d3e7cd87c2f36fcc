"""Marks and SSML with a voice that knows nothing of them: what it obeys, and what is named."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.speech import Speech, TimedWord
from intona.synth.voice import PAUSE_SECONDS, BaseVoice

RATE = 1000


class Plain(BaseVoice):
    """A tenth of a second per letter, divided by the rate; it keeps what it was called with."""

    capabilities = Capabilities(
        system="plain", options=frozenset({"rate", "speaker", "language", "phonemes"}), times=True
    )
    sample_rate = RATE
    speakers = ("anna", "boris")
    languages = ("ru", "en")

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, object]]] = []

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        self.calls.append((text, options.changed))
        n = round(len(text) * RATE / 10 / (options.rate or 1))
        return Audio(np.full(n, 0.25, np.float32), RATE)

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        audio = self.speak_text(text, options)
        yield Speech(audio=audio, words=(TimedWord(text=text, start=0.0, end=audio.duration),))


def test_a_text_without_marks_reaches_the_voice_as_it_is() -> None:
    voice = Plain()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audio = voice.say("2*3 = 6", seed=1)
    assert voice.calls == [("2*3 = 6", {"seed": 1})] and audio.duration == 0.7


def test_a_mark_is_taken_off_and_named() -> None:
    voice = Plain()
    with pytest.warns(UserWarning, match=r"plain voices cannot do this for single words: emphasis"):
        voice.say("не *это*")
    assert voice.calls == [("не это", {})]


def test_breaks_are_silence_between_calls() -> None:
    document = '<speak><break time="1s"/>раз<break time="500ms"/>два<break time="250ms"/></speak>'
    voice = Plain()
    audio = voice.say(document, ssml=True)
    assert [text for text, _ in voice.calls] == ["раз", "два"]
    silent = np.flatnonzero(audio.samples == 0)
    assert audio.duration == pytest.approx(1.0 + 0.3 + 0.5 + 0.3 + 0.25)
    assert len(silent) == 1750 and not audio.samples[1300:1800].any()
    pieces = list(voice.stream(document, ssml=True))
    np.testing.assert_array_equal(np.concatenate([p.samples for p in pieces]), audio.samples)
    speech = voice.speech(document, ssml=True)
    assert [(w.text, w.start, w.end) for w in speech.words] == [("раз", 1.0, 1.3), ("два", 1.8, 2.1)]
    np.testing.assert_array_equal(speech.audio.samples, audio.samples)
    assert [w.start for p in voice.stream_speech(document, ssml=True) for w in p.words] == [1.0, 1.8]


def test_what_a_whole_stretch_has_becomes_an_option() -> None:
    voice = Plain()
    body = '<prosody rate="50%" volume="-20dB">раз</prosody><break time="1s"/>два'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audio = voice.say(f"<speak>{body}</speak>", ssml=True)
    assert voice.calls == [("раз", {"rate": 0.5}), ("два", {})]
    assert audio.samples[0] == pytest.approx(0.025) and audio.samples[-1] == 0.25


def test_what_cannot_be_obeyed_is_named_once() -> None:
    body = (
        '<prosody rate="50%">раз</prosody> два <break/> <prosody pitch="high">три</prosody><mark name="x"/>'
    )
    with pytest.warns(UserWarning) as caught:
        Plain().say(f"<speak>{body}</speak>", ssml=True)
    assert [str(w.message) for w in caught] == [
        "plain voices cannot do this for single words: rate, pitch, marks"
    ]


def test_speakers_and_languages_of_passages() -> None:
    body = '<voice name="boris">раз</voice><lang xml:lang="en-GB">two</lang>три'
    voice = Plain()
    audio = voice.say(f"<speak>{body}</speak>", ssml=True)
    assert voice.calls == [("раз", {"speaker": "boris"}), ("two", {"language": "en"}), ("три", {})]
    assert audio.duration == pytest.approx(0.9 + 2 * PAUSE_SECONDS)
    with pytest.warns(UserWarning) as caught:
        voice.say('<speak><voice name="carl">раз</voice><p xml:lang="de">zwei</p></speak>', ssml=True)
    assert [str(w.message) for w in caught] == [
        "the voice speaks ru, en; read as that: de",
        "the voice has no such speaker: carl",
    ]


def test_refused_at_once() -> None:
    with pytest.raises(UserError, match="malformed XML"):
        Plain().stream("<speak>", ssml=True)
    with pytest.raises(UserError, match="either SSML or phonemes"):
        Plain().say("<speak>m a</speak>", SpeakOptions(ssml=True), phonemes=True)


def test_ssml_without_the_option_gets_a_hint() -> None:
    with pytest.warns(UserWarning, match="add --ssml"):
        Plain().say("<speak>да</speak>")
