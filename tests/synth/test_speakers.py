"""Speakers that a card describes, and who speaks a sentence where nobody is requested."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from intona import checkpoint, cli, models, synth
from intona.config import write_json
from intona.errors import UserError
from intona.serve.describe import voice_description
from intona.synth.speakers import Speakers, labelled
from intona.systems.gradtts.voice import GradTTSVoice

from ..runtime.conftest import PLAIN, save_voice

CARD = {
    "kind": "voice",
    "default_speakers": {"ru": "boris", "en": "heart"},
    "speakers": {"heart": {"language": "en", "synthetic": True, "source": "hibari-tts"}},
    "aliases": {"rus": "ru"},
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:the text front end is not"),
    pytest.mark.filterwarnings("ignore:the voice was not trained on these symbols"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published voice "two" of Russian and English."""
    place = tmp_path_factory.mktemp("shelf")
    names = ["anna", "boris", "heart"]
    run = save_voice(place / "runs", speakers=names, languages=["en", "ru"], **PLAIN)
    checkpoint.publish(run, place / "shelf/two", card=CARD)
    return place / "shelf"


@pytest.fixture
def voice(shelf: Path) -> GradTTSVoice:
    voice = synth.load(shelf / "two", vocoder="griffin-lim")
    assert isinstance(voice, GradTTSVoice)
    return voice


def _spoken(voice: GradTTSVoice, text: str, **options: object) -> list[tuple[str | None, str]]:
    reading = voice.read(text, **options)
    return [(turn.speaker, turn.sentence.language) for turn in reading.sentences]


def test_the_language_of_a_sentence_decides_who_speaks(voice: GradTTSVoice) -> None:
    text = "Мама. Mama, *mama*. Мама?"
    assert _spoken(voice, text) == [("boris", "ru"), ("heart", "en"), ("boris", "ru")]
    assert _spoken(voice, text, speaker="anna") == [("anna", "ru"), ("anna", "en"), ("anna", "ru")]
    assert _spoken(voice, "Мама iPhone.") == [("boris", "ru")]
    assert _spoken(voice, "Mama.", language="ru") == [("boris", "ru")]


def test_every_way_of_speaking_gives_the_same(voice: GradTTSVoice) -> None:
    text, options = "Мама. Mama. Мама.", {"seed": 2, "steps": 2}
    audio = voice.say(text, **options)
    np.testing.assert_array_equal(
        np.concatenate([p.samples for p in voice.stream(text, **options)]), audio.samples
    )
    speech = voice.speech(text, **options)
    np.testing.assert_array_equal(speech.audio.samples, audio.samples)
    assert [w.sentence for w in speech.words] == [0, 1, 2]
    (batched,) = voice.speak_batch([voice.read(text, **options)])
    assert not isinstance(batched, UserError) and len(batched.samples) == len(audio.samples)
    sentences = voice.sentences(text)
    (joined,) = voice.speak(sentences, join=True, **options)
    np.testing.assert_array_equal(joined.samples, audio.samples)
    first = voice.say("Мама.", speaker="boris", **options)
    np.testing.assert_array_equal(audio.samples[: len(first.samples)], first.samples)


def test_ssml_names_languages_and_speakers(voice: GradTTSVoice) -> None:
    text = (
        '<speak>Мама. <s xml:lang="en">Mama.</s> <voice name="anna">Мама. Mama.</voice> '
        '<lang xml:lang="ru">Mama.</lang><mark name="end"/></speak>'
    )
    with pytest.warns(UserWarning, match="another script than ru"):
        turns = _spoken(voice, text, ssml=True)
    assert turns == [("boris", "ru"), ("heart", "en"), ("anna", "ru"), ("anna", "en"), ("boris", "ru")]
    assert [m.name for m in voice.speech(text, ssml=True, steps=1).marks] == ["end"]


def test_a_voice_of_one_language_and_one_card_less_are_as_before(shelf: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(shelf / "two", plain)
    write_json(plain / "card.json", {"kind": "voice"})
    checkpoint.write_index(plain, [p.name for p in plain.iterdir() if p.name != checkpoint.INDEX])
    voice = synth.load(plain, vocoder="griffin-lim")
    assert isinstance(voice, GradTTSVoice)
    assert [s for s, _ in _spoken(voice, "Мама. Mama.")] == [None, None]
    assert "default_speakers" not in voice.identity() and "speaker_info" not in voice.info


def test_an_alias_is_the_voice_in_one_language(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "folders", lambda: [shelf])
    voice, whole = (synth.load(name, vocoder="griffin-lim") for name in ("rus", "two"))
    assert isinstance(voice, GradTTSVoice) and isinstance(whole, GradTTSVoice)
    assert tuple(voice.languages) == ("ru",) and tuple(whole.languages) == ("en", "ru")
    # As the voice of Russian alone has always read it.
    with pytest.warns(UserWarning, match="another script than ru"):
        assert _spoken(voice, "Mama.") == [("boris", "ru")]
    with pytest.raises(UserError, match='unknown language "en"'):
        voice.say("Mama.", language="en")
    assert voice.identity() != whole.identity()
    text = {"language": "ru", "seed": 1, "steps": 1}
    np.testing.assert_array_equal(voice.say("Мама.", **text).samples, whole.say("Мама.", **text).samples)
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert "rus\tvoice\tru\t" in out and "\tin two\n" in out
    assert "two: heart (en, synthetic: hibari-tts, the default of en)" in out


def test_synthetic_speakers_are_labelled_for_clients(voice: GradTTSVoice) -> None:
    description = voice_description("two", voice, "")
    assert description["default_speakers"] == {"ru": "boris", "en": "heart"}
    assert description["speaker_info"]["heart"]["synthetic"] is True
    speaker = next(o for o in description["options"] if o["name"] == "speaker")
    assert speaker["labels"] == {"heart": "heart (synthetic)"} and speaker["default"] is None
    solver = next(o for o in description["options"] if o["name"] == "solver")
    assert solver["choices"] == ["euler", "midpoint", "dpm2m", "ddim", "ancestral"]
    assert labelled(["anna"], description["speaker_info"]) == {}


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"default_speakers": {"ru": "bori"}}, 'default_speakers: unknown speaker "bori"'),
        ({"default_speakers": {"de": "boris"}}, 'default_speakers: unknown language "de"'),
        ({"default_speakers": ["boris"]}, "default_speakers: write"),
        ({"speakers": {"hart": {"synthetic": True}}}, 'speakers: unknown speaker "hart"'),
        ({"speakers": {"heart": {"synthetic": "yes"}}}, "expected bool"),
        ({"speakers": {"heart": {"artificial": True}}}, 'unknown key "artificial"'),
    ],
)
def test_a_card_that_does_not_fit_its_voice_is_refused(
    shelf: Path, tmp_path: Path, card: dict, message: str
) -> None:
    path = tmp_path / "voice"
    shutil.copytree(shelf / "two", path)
    (path / "card.json").write_text(json.dumps({"kind": "voice", **card}))
    checkpoint.write_index(path, [p.name for p in path.iterdir() if p.name != checkpoint.INDEX])
    with pytest.raises(UserError, match=message):
        synth.load(path)


def test_languages_without_a_default_take_a_speaker_of_theirs() -> None:
    table = Speakers.of({"speakers": {"a": {"language": "en"}, "b": {"language": "ru"}}}, where="card")
    assert [table.default(code) for code in ("ru", "en", "de", "")] == ["b", "a", None, None]
