"""Voices with a variance adaptor without torch: what they are steered by, against torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intona import checkpoint, synth
from intona.errors import UserError
from intona.nn import precision
from intona.synth.controls import Controls
from intona.synth.variance import Values, interpolated, spoken_values
from intona.systems.gradtts.onnx import OnnxVoice
from intona.systems.gradtts.voice import GradTTSVoice, SpokenMel
from intona.text.controls import WordControl
from intona.text.question import PitchTarget, QuestionPlan

Exported = Callable[[str], Path]
STATEMENT, QUESTION = "m ˈa m ə | m ˈa , m ə .", "m ˈa m ə | m ə | m ˈa m ə ?"
NAMES = ["steerable", "steerable-one"]
CONTROLS = (
    WordControl(emphasis="strong"),
    WordControl(rate=0.6, pitch=-3.0, range=0.5, energy=4.0),
    WordControl(pitch=2.0),
)
pytestmark = pytest.mark.filterwarnings("ignore:the text front end is not")


@pytest.fixture(autouse=True)
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bf16_wins", lambda device="cpu": False)


def both(path: Path) -> list[GradTTSVoice]:
    voices: Any = [synth.load(path, vocoder="griffin-lim", backend=b) for b in ("onnx", "torch")]
    assert isinstance(voices[0], OnnxVoice) and not isinstance(voices[1], OnnxVoice)
    return voices


def spoken(
    voice: GradTTSVoice, text: str, controls: tuple[WordControl, ...] = (), **options: Any
) -> SpokenMel:
    (sentence,) = voice.sentences(text, phonemes=True)
    sentence = dataclasses.replace(sentence, controls=controls)
    speakers = [voice.speaker_id(options.get("speaker"))]
    return voice.spoken([sentence], speakers, seed=3, random=voice.random([(3, 0)]), **options)[0]


def assert_alike(a: SpokenMel, b: SpokenMel) -> None:
    assert list(a.durations) == list(b.durations)
    np.testing.assert_allclose(np.asarray(a.mel), np.asarray(b.mel), atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [STATEMENT, QUESTION])
@pytest.mark.parametrize(
    "options",
    [{}, {"pitch": 3.0}, {"range": 0.2, "energy": -5.0, "rate": 0.8}, {"controls": CONTROLS, "range": 1.5}],
)
def test_the_mel_is_that_of_torch(exported: Exported, name: str, text: str, options: dict[str, Any]) -> None:
    onnx, torch_ = both(exported(name))
    if name == "steerable":
        options = {**options, "speaker": "boris"}
    mel = spoken(onnx, text, **options)
    assert_alike(mel, spoken(torch_, text, **options))
    neutral = {k: v for k, v in options.items() if k == "speaker"}
    if options != neutral:
        changed = spoken(onnx, text, **neutral)
        assert len(mel.mel) != len(changed.mel) or np.abs(mel.mel - changed.mel).max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_raised_unless_the_card_says_otherwise(exported: Exported, name: str) -> None:
    onnx, torch_ = both(exported(name))
    raised = spoken(onnx, QUESTION)
    for voice in (onnx, torch_):
        voice.manner = dataclasses.replace(voice.manner, question_contour=False)
    plain = spoken(onnx, QUESTION)
    assert np.abs(raised.mel - plain.mel).max() > 1e-2
    assert_alike(plain, spoken(torch_, QUESTION))


def test_it_says_what_it_obeys(exported: Exported) -> None:
    onnx, torch_ = both(exported("steerable"))
    for voice in (onnx, torch_):
        assert voice.steerable and all(voice.capabilities.takes(o) for o in ("pitch", "range", "energy"))
    assert onnx.info["parameters"] == torch_.info["parameters"] and onnx.identity() == torch_.identity()
    plain = synth.load(exported("plain"), backend="onnx")
    assert not plain.capabilities.takes("pitch")
    with pytest.raises(UserError, match="no variance adaptor"):
        plain.say(STATEMENT, phonemes=True, pitch=2.0)


def test_ssml_times_and_audio_are_those_of_torch(exported: Exported) -> None:
    ssml = (
        '<speak><prosody pitch="+3st" volume="+4dB"><phoneme ph="mˈamə">мама</phoneme></prosody> '
        '<emphasis level="strong"><phoneme ph="mˈa">ма</phoneme></emphasis>?</speak>'
    )
    speeches = [voice.speech(ssml, ssml=True, seed=2) for voice in both(exported("steerable"))]
    assert speeches[0].words == speeches[1].words and len(speeches[0].words) == 2
    assert len(speeches[0].audio) == len(speeches[1].audio)


def test_a_damaged_adaptor_is_one_line(exported: Exported, tmp_path: Path) -> None:
    import shutil

    path = shutil.copytree(exported("steerable"), tmp_path / "voice")
    names = json.loads((path / checkpoint.INDEX).read_text(encoding="utf-8"))
    assert "adaptor.onnx" in names
    (path / "adaptor.onnx").unlink()
    checkpoint.write_index(path, [n for n in names if n != "adaptor.onnx"])
    with pytest.raises(UserError, match="the graph is missing"):
        synth.load(path, backend="onnx")


def values(kind: Callable[[np.ndarray], Any]) -> Values:
    """Two rows of eight symbols; the last two of the second are padding."""
    rng = np.random.default_rng(0)
    pitch, energy = rng.normal(size=(2, 2, 8)).astype(np.float32)
    voiced = rng.uniform(size=(2, 8)).astype(np.float32)
    return Values(pitch=kind(pitch), voiced=kind(voiced), energy=kind(energy))


def test_arrays_and_tensors_become_the_same_values() -> None:
    plan = QuestionPlan(
        vowels=(1, 4), targets=(PitchTarget(symbol=1, start=0, end=3, floor=5.0, above=3.0),), voiced=(1, 2)
    )
    rows = []
    for kind in (np.asarray, torch.from_numpy):
        predicted = values(kind)
        ones = np.ones((2, 8), np.float32)
        rows.append(
            spoken_values(
                predicted,
                kind(np.arange(8) < np.array([[8], [6]])),
                pitch_std=kind(np.array([[2.0], [3.0]], np.float32)),
                energy_std=kind(np.array([[5.0], [4.0]], np.float32)),
                statement=predicted,
                questions=[None, plan],
                controls=Controls(pitch=kind(2 * ones), range=kind(0.5 * ones), energy=kind(-3 * ones)),
            )
        )
    for name, array in vars(rows[0]).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, getattr(rows[1], name).numpy(), atol=1e-6)


def test_interpolated_arrays_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    known = rng.uniform(size=(5, 12)) < 0.4
    known[4] = False
    rows = rng.normal(size=(5, 12)).astype(np.float32)
    result = interpolated(rows, known)
    assert result.dtype == np.float32
    for row, k, out in zip(rows, known, result, strict=True):
        at = np.flatnonzero(k)
        np.testing.assert_allclose(out, np.interp(np.arange(12), at, row[at]) if len(at) else 0, atol=1e-6)
