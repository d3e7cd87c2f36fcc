"""Times of words: from durations, shifted, joined; and voices that have none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.audio import Audio
from intona.errors import UserError
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.speech import (
    Mark,
    Speech,
    TimedWord,
    Timeline,
    Timelines,
    concatenated,
    gathered,
    timed_words,
    without_blanks,
)
from intona.synth.voice import BaseVoice
from intona.text import Utterance
from intona.text.frontend import Word

RATE = 1000


def utterance(*words: tuple[str, int, str]) -> Utterance:
    """Words (text, number of phones, punctuation after)."""
    row: list[str] = []
    ranges = []
    for text, n, after in words:
        row += [" "] if row else []
        ranges.append(Word(text, len(row), len(row) + n))
        row += ["a"] * n + list(after)
    return Utterance(text="", normalized="", phonemes=tuple(row), words=tuple(ranges))


def speech(seconds: float, *words: tuple[str, float, float]) -> Speech:
    return Speech(
        audio=Audio(np.full(round(seconds * RATE), 0.1, np.float32), RATE),
        words=tuple(TimedWord(text=t, start=a, end=b) for t, a, b in words),
    )


def test_words_begin_and_end_where_their_symbols_do() -> None:
    one, two = timed_words(
        utterance(("да", 2, ","), ("нет", 1, "!")),
        [2, 3, 5, 1, 4, 7],
        hop_length=500,
        sample_rate=1000,
        sentence=3,
    )
    assert (one.text, one.start, one.end, one.after) == ("да", 0.0, 2.5, ",")
    assert [(p.symbol, p.start, p.end) for p in one.phones] == [("a", 0.0, 1.0), ("a", 1.0, 2.5)]
    assert (two.start, two.end, two.after, two.sentence) == (5.5, 7.5, "!", 3)
    with pytest.raises(ValueError, match="2 durations for 6 symbols"):
        timed_words(utterance(("да", 2, ","), ("нет", 1, "!")), [1, 2], hop_length=1, sample_rate=1)


@given(
    words=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["", ",", ".", "?!"])), min_size=1, max_size=9
    ),
    data=st.data(),
)
def test_times_never_run_backwards_and_phones_tile_their_word(
    words: list[tuple[int, str]], data: st.DataObject
) -> None:
    spoken = utterance(*((str(i), n, after) for i, (n, after) in enumerate(words)))
    n = len(spoken.phonemes)
    durations = data.draw(st.lists(st.integers(0, 40), min_size=n, max_size=n))
    timed = timed_words(spoken, durations, hop_length=256, sample_rate=22050)
    at = 0.0
    for word, (n, after) in zip(timed, words, strict=True):
        assert len(word.phones) == n and word.after == after
        assert at <= word.start == word.phones[0].start and word.end == word.phones[-1].end
        for left, right in itertools.pairwise(word.phones):
            assert left.start <= left.end == right.start
        at = word.end
    assert at <= sum(durations) * 256 / 22050


def test_a_blank_counts_to_the_symbol_before_it() -> None:
    frames = np.array([1, 10, 2, 20, 4])  # _ a _ b _
    assert without_blanks(frames).tolist() == [13, 24]


def test_speeches_one_after_another() -> None:
    whole = concatenated([speech(1.0, ("a", 0.25, 1.0)), speech(0.5, ("b", 0.0, 0.5))], pause=0.25)
    assert [(w.text, w.start, w.end, w.sentence) for w in whole.words] == [
        ("a", 0.25, 1.0, 0),
        ("b", 1.25, 1.75, 1),
    ]
    assert whole.duration == 1.75 and not whole.audio.samples[1000:1250].any()


def test_pieces_of_a_stream_count_from_the_start_of_the_text() -> None:
    parts = [speech(1.0, ("a", 0.0, 1.0)), speech(0.5), speech(1.0, ("b", 1.5, 2.5))]
    whole = gathered(parts)
    assert [w.start for w in whole.words] == [0.0, 1.5] and whole.duration == 2.5


def test_marks_move_with_their_speech() -> None:
    timelines = Timelines()
    for _ in range(2):
        timelines.add(Timeline(marks=(Mark(name="x", time=0.5),), duration=2.0))
    assert [m.time for m in timelines.whole.marks] == [0.5, 2.5]


def test_a_voice_without_times_names_those_that_have_them() -> None:
    class Plain(BaseVoice):
        capabilities = Capabilities(system="plain", options=frozenset())
        sample_rate = RATE

        def speak_text(self, text: str, options: SpeakOptions) -> Audio:
            return speech(1.0).audio

    for call in (Plain().speech, Plain().stream_speech):
        with pytest.raises(UserError, match=r"plain voices do not know the times.*gradtts"):
            call("x")
