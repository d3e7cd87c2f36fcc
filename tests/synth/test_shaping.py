"""Pauses and volume on the audio, by the times of words; controls of symbols from those of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.audio import Audio
from intona.synth.controls import EMPHASIS, PHRASE_PAUSE, ignored, phrased, resolved, symbol_values
from intona.synth.shaping import RAMP, amplified, in_sequence, shaped
from intona.synth.speech import Mark, Speech, TimedPhone, TimedWord
from intona.text import Utterance
from intona.text.controls import PlacedMark, WordControl
from intona.text.frontend import Word

RATE = 1000


def speech(*words: tuple[float, float], seconds: float = 2.0) -> Speech:
    """A constant tone, and words (start, end) with one phone each."""
    return Speech(
        audio=Audio(np.full(round(seconds * RATE), 0.25, np.float32), RATE),
        words=tuple(
            TimedWord(text=str(i), start=a, end=b, phones=(TimedPhone(symbol="a", start=a, end=b),))
            for i, (a, b) in enumerate(words)
        ),
    )


def utterance(*controls: WordControl, between: str = " ") -> Utterance:
    """Words of two phones each with `between` between them."""
    row: list[str] = []
    words = []
    for i in range(len(controls)):
        row += list(between) if row else []
        words.append(Word(str(i), len(row), len(row) + 2))
        row += ["a", "b"]
    return Utterance(text="", normalized="", phonemes=tuple(row), words=tuple(words), controls=controls)


def pause(seconds: float | None) -> WordControl:
    return WordControl(pause=seconds)


def test_a_pause_is_as_long_as_it_says() -> None:
    out = shaped(speech((0.0, 0.5), (0.5, 1.0), (1.25, 2.0)), [pause(0.5), pause(0.5), pause(9.0)])
    assert [(w.start, w.end) for w in out.words] == [(0.0, 0.5), (1.0, 1.5), (2.0, 2.75)]
    assert out.duration == 2.75  # that of the last word is left to the caller
    assert not out.audio.samples[500:1000].any() and not out.audio.samples[1625:1875].any()
    assert out.audio.samples[480] == 0.25 == out.audio.samples[1020]


def test_a_pause_can_be_shorter_than_the_model_s() -> None:
    out = shaped(speech((0.0, 0.5), (1.0, 2.0)), [pause(0.1), pause(None)])
    assert [(w.start, w.end) for w in out.words] == [(0.0, 0.5), (0.6, 1.6)] and out.duration == 1.6
    none = shaped(speech((0.0, 0.5), (1.0, 2.0)), [pause(0.0), pause(None)])
    assert none.words[1].start == 0.5 and none.duration == 1.5


def test_nothing_is_changed_without_controls() -> None:
    plain = speech((0.0, 0.5), (1.0, 2.0))
    assert shaped(plain, []).audio.samples is plain.audio.samples
    assert shaped(plain, [WordControl(), WordControl()]).words == plain.words


def test_volume_follows_the_words_with_a_ramp_between() -> None:
    out = shaped(speech((0.0, 1.0), (1.0, 2.0)), [WordControl(energy=-6.0), WordControl(energy=6.0)])
    x = out.audio.samples
    assert x[0] == pytest.approx(0.25 * 10 ** (-6 / 20)) and x[-1] == pytest.approx(0.25 * 10 ** (6 / 20))
    assert x[1000] == pytest.approx(0.25, rel=0.1)
    ramp = round(RAMP * RATE / 2) + 1
    assert x[1000 - ramp] == pytest.approx(x[0]) and x[1000 + ramp] == pytest.approx(x[-1])
    assert np.diff(x).min() >= -1e-6


def test_marks_stand_before_or_behind_the_pause() -> None:
    marks = [
        PlacedMark(name="first", word=0),
        PlacedMark(name="early", word=1, early=True),
        PlacedMark(name="late", word=1),
        PlacedMark(name="last", word=2, early=True),
        PlacedMark(name="end", word=2),
    ]
    out = shaped(speech((0.1, 0.5), (0.5, 1.0), seconds=1.2), [pause(1.0), pause(0.3)], marks=marks)
    assert out.marks == (
        Mark(name="first", time=0.1),
        Mark(name="early", time=0.5),
        Mark(name="late", time=1.5),
        Mark(name="last", time=2.0),
        Mark(name="end", time=2.3),  # the pause counts from the last word
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200), st.integers(0, 300), st.one_of(st.none(), st.integers(0, 900)),
            st.sampled_from([0.0, -6.0, 3.0]),
        ),
        min_size=1,
        max_size=8,
    )
)  # fmt: skip
def test_times_stay_in_order_and_every_pause_is_exact(
    drawn: list[tuple[int, int, int | None, float]],
) -> None:
    at, words, controls = 0, [], []
    for gap, length, silence, energy in drawn:
        words.append(((at + gap) / RATE, (at + gap + length) / RATE))
        at += gap + length
        controls.append(WordControl(pause=None if silence is None else silence / RATE, energy=energy))
    plain = speech(*words, seconds=at / RATE)
    out = shaped(plain, controls)
    for k, (before, after) in enumerate(zip(plain.words, out.words, strict=True)):
        assert round((after.end - after.start) * RATE) == round((before.end - before.start) * RATE)
        assert (after.phones[0].start, after.phones[0].end) == (after.start, after.end)
        assert after.end <= out.duration
        if k:
            silence = controls[k - 1].pause
            gap = before.start - plain.words[k - 1].end if silence is None else silence
            assert after.start - out.words[k - 1].end == pytest.approx(gap, abs=1e-6)


def test_silence_around_sentences() -> None:
    """A pause counts from the last word, of which the audio has .25 s behind it."""
    one = utterance(WordControl(before=1.0), pause(0.5))
    two, three, four = utterance(pause(None)), utterance(pause(0.1)), utterance(pause(0.5))
    spoken = speech((0.0, 0.75), seconds=1.0)
    pieces = list(in_sequence([one, two, three, four], iter([spoken] * 4), usual=0.2))
    assert [p.duration for p in pieces] == [1.0, 1.0, 0.25, 1.0, 0.2, 1.0, 1.0, 0.25]
    assert [w.start for p in pieces for w in p.words] == [1.0, 2.25, 3.45, 4.45]
    bare = Utterance(text="", normalized="", phonemes=("a",), words=(Word("a", 0, 1),))
    assert [p.duration for p in in_sequence([bare, bare], [spoken] * 2, usual=0.2)] == [1.0, 0.2, 1.0]


def test_louder_within_full_scale() -> None:
    out = amplified(speech((0.0, 1.0)), 20.0)
    assert out.audio.samples.max() == 1.0 and out.words == speech((0.0, 1.0)).words


def test_a_symbol_between_two_words_has_what_both_have() -> None:
    slow = WordControl(rate=0.5)
    rows = [utterance(slow, slow, WordControl()), utterance(WordControl())]
    values = symbol_values(rows, "rate")
    assert values is not None
    assert values.tolist() == [[0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0], [1.0] * 8]
    assert symbol_values(rows, "pitch") is None


def test_emphasis_becomes_controls() -> None:
    word = WordControl(emphasis="strong", rate=0.5, energy=1.0, pause=0.3)
    (control,) = resolved(utterance(word))
    strong = EMPHASIS["strong"]
    assert control == WordControl(
        rate=0.5 * strong.rate, energy=1.0 + strong.energy, pitch=strong.pitch, pause=0.3
    )
    assert ignored([utterance(word)], ()) == ["rate", "energy"]
    assert ignored([utterance(WordControl(pitch=1.0))], ("rate",)) == ["pitch"]


def test_a_long_pause_ends_a_phrase() -> None:
    long, short = pause(PHRASE_PAUSE), pause(PHRASE_PAUSE / 2)
    out = phrased(utterance(long, short, long, long))
    assert "".join(out.phonemes) == "ab, ab ab, ab"
    assert ["".join(out.phonemes[w.start : w.end]) for w in out.words] == ["ab"] * 4
    with_sign = utterance(long, long, between=", ")
    assert phrased(with_sign) is with_sign
