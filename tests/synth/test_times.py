"""Times as JSON and as subtitles."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.synth.speech import Mark, TimedPhone, TimedWord, Timeline
from intona.synth.times import LINE, LINES, LONGEST, cues, render


def words(text: str, *, each: float = 0.5, sentence: int = 0, start: float = 0.0) -> tuple[TimedWord, ...]:
    """Words of `each` seconds; punctuation is split off."""
    out = []
    for i, part in enumerate(text.split()):
        bare = part.rstrip(",.;:!?")
        out.append(
            TimedWord(
                text=bare,
                after=part[len(bare) :],
                start=start + i * each,
                end=start + (i + 1) * each,
                sentence=sentence,
            )
        )
    return tuple(out)


def timeline(*sentences: str) -> Timeline:
    out: list[TimedWord] = []
    for i, text in enumerate(sentences):
        out += words(text, sentence=i, start=out[-1].end if out else 0.0)
    return Timeline(words=tuple(out), duration=out[-1].end)


def test_subrip() -> None:
    expected = "1\n00:00:00,000 --> 00:00:01,000\nOne, two.\n\n2\n00:00:01,000 --> 00:00:01,500\nThree!\n"
    assert render(timeline("One, two.", "Three!"), "srt") == expected


def test_webvtt_escapes_what_would_be_markup() -> None:
    assert render(timeline("a<b &c."), "vtt") == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na&lt;b &amp;c.\n"


def test_hours() -> None:
    late = Timeline(words=words("x", start=3723.5), duration=4000.0)
    assert "01:02:03.500 --> 01:02:04.500" in render(late, "vtt")


def test_json_has_phones_and_marks() -> None:
    word = TimedWord(
        text="a", start=0.00001, end=1.0, phones=(TimedPhone(symbol="ˈa", start=0.0, end=1.0),), after="."
    )
    line = Timeline(words=(word,), marks=(Mark(name="here", time=0.5),), duration=1.0)
    assert json.loads(render(line, "json")) == {
        "duration": 1.0,
        "words": [
            {
                "text": "a",
                "start": 0.0,
                "end": 1.0,
                "after": ".",
                "sentence": 0,
                "phones": [{"symbol": "ˈa", "start": 0.0, "end": 1.0}],
            }
        ],
        "marks": [{"name": "here", "time": 0.5}],
    }


def test_a_long_sentence_is_cut_after_its_clauses() -> None:
    text = "When the old bridge was closed for the winter, nobody in the village was surprised, "
    text += "but the post came late."
    shown = [c.lines for c in cues(words(text, each=0.3), 60.0)]
    assert shown == [
        ("When the old bridge was", "closed for the winter,"),
        ("nobody in the village was surprised,", "but the post came late."),
    ]


def test_a_short_cue_stays_as_long_as_the_next_lets_it() -> None:
    first, second = cues((*words("Ah!", each=0.2), *words("Oh!", each=0.2, sentence=1, start=0.7)), 1.0)
    assert (first.start, first.end) == (0.0, 0.7) and (second.start, second.end) == (0.7, 1.0)


def test_unknown_format() -> None:
    with pytest.raises(UserError, match="json, srt, vtt"):
        render(Timeline(), "ass")


@given(
    st.lists(
        st.tuples(
            st.text("abc", min_size=1, max_size=60),
            st.sampled_from(["", "", ",", "."]),
            st.floats(0, 1.5),
            st.floats(0, 1.5),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_cues_keep_every_word_in_order_within_the_lines(
    drawn: list[tuple[str, str, float, float, bool]],
) -> None:
    out: list[TimedWord] = []
    at, sentence = 0.0, 0
    for text, after, gap, length, begins in drawn:
        sentence += begins
        start, at = at + gap, at + gap + length
        out.append(TimedWord(text=text, after=after, start=start, end=at, sentence=sentence))
    shown = cues(out, at + 0.3)
    assert " ".join(line for c in shown for line in c.lines).split() == [w.text + w.after for w in out]
    for cue in shown:
        assert len(cue.lines) <= LINES
        assert all(len(line) <= LINE or " " not in line for line in cue.lines)
        assert cue.start <= cue.end <= at + 0.3
        assert cue.end - cue.start <= LONGEST or len(" ".join(cue.lines).split()) == 1
    for left, right in itertools.pairwise(shown):
        assert left.end <= right.start
