"""The shipped model of system meld: it speaks, ends by itself, and writes down held-out words."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona import models
from intona.audio import read_audio
from intona.evaluation.judges.wer import character_edits
from intona.systems.meld import voice as speech_lm
from intona.systems.meld.voice import MeldVoice

# Of the test split: never trained on.
HELD_OUT = {"ru_0254": "молодость у всякого проходит а любовь другое дело"}


@pytest.fixture(scope="module")
def voice() -> MeldVoice:
    if "meld-ru" not in {c.name for c in models.shipped("voice")}:
        pytest.skip("meld-ru is not shipped in this checkout")
    return speech_lm.load(models.find("meld-ru"))


def test_it_says_a_sentence_in_its_time(voice: MeldVoice) -> None:
    audio = voice.say("Одни и те же семена оседают на марс и на землю.", seed=1)
    assert 2 < audio.duration < 6  # 47 characters, the reader's 15 a second
    assert float(abs(audio.samples).max()) > 0.05


@pytest.mark.parametrize("name", HELD_OUT)
def test_it_writes_down_words_it_never_heard(voice: MeldVoice, root: Path, name: str) -> None:
    audio = read_audio(root / f"tests/assets/festvox-ru-small/wav/{name}.wav")
    text = " ".join(w.text for w in voice.transcribe(audio, beam=5)).lower().replace(",", "").strip(".")
    edits = character_edits(HELD_OUT[name], text)
    assert edits.errors < 0.5 * edits.reference, text
