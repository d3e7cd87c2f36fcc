"""Failures of autoregressive synthesis, one by one; the alignment against jiwer's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.audio import Audio
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.failures import (
    FailureJudge,
    deleted_runs,
    repeats,
    text_failures,
)
from intona.evaluation.judges.recognizer import SharedTranscriber
from intona.evaluation.judges.transcript import Transcript
from intona.evaluation.judges.wer import count_edits
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import normalizer

TEXT = "мама мыла раму а папа читал газету у окна"
Voice = Callable[..., Audio]
words = st.lists(st.sampled_from("абв"), min_size=0, max_size=8)


def _judge(ears: Any, heard: str, audio: Audio, text: str = TEXT) -> dict[str, float | None]:
    judge = FailureJudge(SharedTranscriber(ears(lambda audio: heard)), normalizer("ru"))
    return {k: s.value for k, s in judge.judge(audio, Row(id="a", text=text), None).items()}


@pytest.mark.parametrize(
    ("heard", "kinds"),
    [
        (TEXT, set()),
        ("мама мыла раму а папа читал газету", {"cut_off"}),
        ("мама мыла раму а папа читал газету у", set()),  # one word may be the recognizer's
        ("мама мыла газету у окна", {"omission"}),
        ("мама мыла раму папа читал у окна", set()),
        ("мама мыла", {"cut_off", "omission"}),
        ("", {"cut_off", "omission"}),
        ("мама мама мыла раму а папа читал газету у окна", {"repeat"}),
        ("мама мыла раму мама мыла раму а папа читал газету у окна", {"repeat"}),
        ("мама мыла раму а папа читал газету у окна читал газету у окна", {"repeat"}),
        ("мама мыла рану а папа читал газеты у окна", set()),
    ],
)
def test_text_failures(ears: Any, voice: Voice, heard: str, kinds: set[str]) -> None:
    found = _judge(ears, heard, voice(3.0))
    assert {k for k, v in found.items() if v and k != "ar_failure"} == kinds
    assert found["ar_failure"] == float(bool(kinds))


def test_what_the_text_itself_repeats_is_no_repeat() -> None:
    once = ["одно", "и", "то", "же"]
    text = ["да", "да", "нет", *once, "и", *once]
    assert repeats(text, text) == []
    assert repeats(text, [*text, *once]) == ["одно и то", "и то же"]


def test_running_on_and_trailing_off(ears: Any, voice: Voice) -> None:
    """34 letters should take 3.4 s: 9 s are slow, 10 s are not speech of this text."""
    assert _judge(ears, TEXT, voice(9.0))["runaway"] == 0
    assert _judge(ears, TEXT, voice(10.0))["runaway"] == 1
    audio = voice(3.0)
    for seconds, flag in ((0.9, 0.0), (1.2, 1.0)):
        tail = np.full(round(seconds * 16000), 1e-5, np.float32)
        found = _judge(ears, TEXT, Audio(np.concatenate([audio.samples, tail]), 16000))
        assert (found["trailing_silence"], found["ar_failure"]) == (flag, flag)


def test_figures_take_as_long_as_their_words(ears: Any, voice: Voice) -> None:
    """Nine letters and digits, of which some 35 letters are spoken."""
    text, transcript = "В 1999 году", "в тысяча девятьсот девяносто девять году"
    assert _judge(ears, transcript, voice(4.0), text)["runaway"] == 0
    assert _judge(ears, transcript, voice(12.0), text)["runaway"] == 1


def test_a_failed_output_was_not_spoken(ears: Any) -> None:
    judge = FailureJudge(SharedTranscriber(ears(str)), normalizer("ru"))
    found = {k: s.value for k, s in judge.failed(Row(id="a", text=TEXT)).items()}
    assert found["ar_failure"] == found["cut_off"] == found["omission"] == 1.0
    assert found["repeat"] is found["runaway"] is found["trailing_silence"] is None


def test_one_hearing_serves_both_judges(ears: Any, voice: Voice) -> None:
    inner = ears(lambda audio: TEXT)
    shared, row = SharedTranscriber(inner), Row(id="a", text=TEXT)
    judges = [AsrJudge(shared, normalizer("ru")), FailureJudge(shared, normalizer("ru"))]
    for audio in (voice(1.0), voice(1.0), voice(1.0, f0=150.0)):
        for judge in judges:
            judge.judge(audio, row, None)
    assert inner.calls == 2
    assert shared.describe() == inner.describe()


def test_a_decoder_that_looped_is_noted(voice: Voice) -> None:
    class Loops:
        def describe(self) -> dict[str, Any]:
            return {}

        def __call__(self, audio: Audio) -> Transcript:
            return Transcript(text=TEXT, looped=True)

        def speech_seconds(self, audio: Audio) -> None:
            return None

    found = FailureJudge(Loops(), normalizer("ru")).judge(voice(3.0), Row(id="a", text=TEXT), None)
    assert found["ar_failure"].detail is not None and found["ar_failure"].detail["looped"]


def test_details_name_the_words() -> None:
    _, detail = text_failures(list("абвгд"), list("адд"))
    assert detail == {"not_heard": ["б в"], "heard_again": ["д"]}


@given(words, words)
def test_deletions_are_those_of_the_wer(text: list[str], heard: list[str]) -> None:
    if not text:
        return
    runs = deleted_runs(text, heard)
    assert sum(b - a for a, b in runs) == count_edits(text, heard).deletions
    assert all(a < b for a, b in runs) and all(x[1] < y[0] for x, y in itertools.pairwise(runs))


@pytest.mark.parametrize("heard", ["мама мыла газету у окна", "мама мыла", "раму а папа читал газету у окна"])
def test_runs_agree_with_jiwer(heard: str) -> None:
    """Where only one alignment is cheapest, the deleted ranges are jiwer's."""
    chunks = jiwer.process_words(TEXT, heard).alignments[0]
    expected = [(c.ref_start_idx, c.ref_end_idx) for c in chunks if c.type == "delete"]
    assert deleted_runs(TEXT.split(), heard.split()) == expected
