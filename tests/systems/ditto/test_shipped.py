"""The shipped voice of several readers and languages: as long as a reader, in the voice it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intona import models
from intona.audio import Audio, f0_contour, median_hz, read_audio
from intona.systems.ditto import voice as ditto
from intona.systems.ditto.voice import DittoVoice

TEXT = "Одни и те же семена оседают на марс и на землю."


@pytest.fixture(scope="module")
def voice() -> DittoVoice:
    if "ditto" not in {c.name for c in models.shipped("voice")}:
        pytest.skip("ditto is not shipped in this checkout")
    return ditto.load(models.find("ditto"))


def test_it_takes_the_voice_it_is_given(voice: DittoVoice, root: Path) -> None:
    """The same words after a man's recording, and after the same recording raised by six semitones."""
    man = read_audio(root / "tests/assets/festvox-ru-small/wav/ru_0254.wav")
    raised = Audio(man.samples, round(man.sample_rate * 2**0.5))  # the same samples played faster
    low, high = (voice.say(TEXT, reference=given, steps=8, seed=1) for given in (man, raised))
    for audio in (low, high):
        assert 1.5 < audio.duration < 6  # 47 characters, the reader's 15 a second
        assert float(abs(audio.samples).max()) > 0.05
    assert median_hz(f0_contour(high).f0) > 1.15 * median_hz(f0_contour(low).f0)


def test_it_speaks_each_language_of_its_card(voice: DittoVoice) -> None:
    for language, text in {"en": "Please enter your password.", "it": "Inserire la password."}.items():
        audio = voice.say(text, language=language, steps=4, seed=1)
        assert 0.5 < audio.duration < 5 and np.isfinite(audio.samples).all()
