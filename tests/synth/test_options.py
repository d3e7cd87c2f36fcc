"""`SpeakOptions`: limits, changes, old keywords; `Capabilities`: what is refused, and with which words."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import registry
from intona.audio import Audio
from intona.errors import UserError
from intona.synth import capabilities
from intona.synth.batch import SetConfig
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.options import FLAG_TYPES, OPTIONS, SpeakOptions
from intona.synth.voice import BaseVoice, Voice

NUMBERS = {n: o.limits for n, o in OPTIONS.items() if o.limits is not None}


class Echo(BaseVoice):
    """The smallest voice: one sample per character."""

    capabilities = Capabilities(system="echo", options=frozenset({"rate", "reference"}))
    sample_rate = 8000

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        if not text:
            raise UserError("nothing to say")
        return Audio(np.full(round(len(text) / (options.rate or 1)), 0.5, np.float32), self.sample_rate)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_outside_their_limits_are_refused_by_their_flag(name: str) -> None:
    low, high = NUMBERS[name]
    for value in (low, high):
        SpeakOptions(**{name: value})
    flag = "--" + name.replace("_", "-")
    for value in (low - 1, high * 2 + 1, math.nan, math.inf, -math.inf, "1", True):
        with pytest.raises(UserError, match=f"^{flag}: .* is not between"):
            SpeakOptions(**{name: value})
    with pytest.raises(UserError, match=flag):
        SetConfig(**{name: math.nan})


def test_every_option_has_help_and_a_type_for_the_command_line() -> None:
    names = [f.name for f in dataclasses.fields(SpeakOptions)]
    assert names == list(OPTIONS) == list(FLAG_TYPES)
    assert all(o.help for o in OPTIONS.values())
    assert FLAG_TYPES["reference"] == Path | None and FLAG_TYPES["steps"] == int | None


def test_options_and_keywords() -> None:
    base = SpeakOptions(rate=1.1, seed=3)
    assert SpeakOptions.of() == SpeakOptions() and SpeakOptions.of(base) is base
    assert SpeakOptions.of(base, seed=4) == SpeakOptions(rate=1.1, seed=4)
    assert base.changed == {"rate": 1.1, "seed": 3} and SetConfig(batch=3, seed=1).changed == {"seed": 1}
    recording = Audio(np.zeros(8000, np.float32), 8000)
    assert list(SpeakOptions(reference=recording).changed) == ["reference"]
    with pytest.raises(TypeError, match="sped"):
        SpeakOptions.of(sped=2)
    with pytest.raises(UserError, match="--style: an empty style"):
        SpeakOptions(style="  ")


def test_a_reference_is_a_recording_or_its_file(tmp_path: Path) -> None:
    recording = Audio(np.full(8000, 0.25, np.float32), 8000)
    recording.write(tmp_path / "a.wav")
    for reference in (recording, tmp_path / "a.wav", str(tmp_path / "a.wav")):
        options = SpeakOptions(reference=reference).with_recording()
        assert isinstance(options.reference, Audio) and len(options.reference) == 8000
    assert SpeakOptions().with_recording().recording() is None
    with pytest.raises(UserError, match=r"b\.wav"):
        SpeakOptions(reference=tmp_path / "b.wav").recording()


def test_old_keywords_still_work_and_are_deprecated() -> None:
    recording = Audio(np.zeros(80, np.float32), 8000)
    with pytest.warns(DeprecationWarning, match="voice= is now reference=") as caught:
        assert len(Echo().say("text", voice=recording)) == 4
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="voice_text= is now reference_text="):
        assert SpeakOptions.of(voice_text="words").reference_text == "words"


def test_the_smallest_voice_has_everything() -> None:
    voice = Echo()
    assert isinstance(voice, Voice) and not isinstance(object(), Voice)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(voice.say("text")) == len(voice.say("text", SpeakOptions(rate=1.0))) == 4
        assert len(voice.say("text", SpeakOptions(rate=1.0), rate=2.0)) == 2
        assert [len(a) for a in voice.stream("text", rate=4.0)] == [1]
    readings = [voice.read("ab"), voice.read(""), voice.read("abcd", rate=2.0)]
    results = list(voice.speak_batch(readings))
    assert [len(r) if isinstance(r, Audio) else str(r) for r in results] == [2, "nothing to say", 2]
    assert voice.settled(rate=2.0).rate == 2.0 and voice.info["sample_rate"] == 8000
    assert voice.identity() == {} and voice.preload() is None
    with pytest.raises(UserError, match="--lexicon: echo voices take no lexicon"):
        voice.use_lexicon("words.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"guidance": 2.0},
            "--guidance: echo voices have no such option; voices that have it: ditto, restyle",
        ),
        (
            {"reference_text": "words"},
            "--reference-text: echo voices have no such option; voices that have it: meld",
        ),
        ({"speaker": "anna"}, "voices that have it: ditto, gradtts, meld, restyle"),
    ],
)
def test_an_option_that_a_voice_does_not_take_names_those_that_do(
    change: dict[str, Any], message: str
) -> None:
    voice = Echo()
    for call in (voice.say, voice.stream, voice.read):
        with pytest.raises(UserError) as e:
            call("text", **change)
        assert message in str(e.value)
    with pytest.raises(UserError, match="no such option"):
        voice.settled(**change)


def test_voices_are_asked_for_data_and_never_probed(root: Path) -> None:
    probes = re.compile(r"hasattr\(|inspect\.signature|isinstance\([^)]*Voice\b")
    for folder in ("synth", "cli", "vocoder"):
        for path in sorted((root / "src/intona" / folder).rglob("*.py")):
            assert not probes.search(path.read_text(encoding="utf-8")), path


def test_capabilities_of_kinds_that_cannot_be_imported_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    @voice_loader(Echo.capabilities)
    def declared(path: Path, **how: Any) -> Echo:
        return Echo()

    def undeclared(path: Path, **how: Any) -> Echo:
        return Echo()

    def get(group: str, name: str, *, where: object = None) -> Any:
        if name == "broken":
            raise UserError("cannot be imported")
        return {"declared": declared, "undeclared": undeclared}[name]

    monkeypatch.setattr(registry, "names", lambda group: ("broken", "declared", "undeclared"))
    monkeypatch.setattr(registry, "get", get)
    assert capabilities.systems_with("rate") == ["echo"] and capabilities.systems_with("style") == []
    assert capabilities.capabilities_of("undeclared") is None
    with pytest.raises(ValueError, match="no such option of speech: timbre"):
        Capabilities(system="x", options=frozenset({"timbre"}))
