"""A voice end to end: saved, published, loaded, spoken; and the errors of each way."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intona import checkpoint, cli, models, synth
from intona.audio import Audio, MelSpec
from intona.config import to_dict, write_json
from intona.encoders.plain import PlainEncoderConfig
from intona.errors import Unspeakable, UserError
from intona.synth.markup import MAX_CHARACTERS
from intona.synth.options import SpeakOptions
from intona.synth.speech import Speech
from intona.synth.voice import PAUSE_SECONDS, Voice
from intona.systems.gradtts import DecoderConfig, GradTTS, GradTTSConfig
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import BpeTokenizer, Lexicon, PhonemeTokenizer, lexicon, phonemes_to_text

SYMBOLS = ("m", "ˈa", "ə", " ", ".")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained two-speaker voice as `intona train` would save it."""
    out = tmp_path_factory.mktemp("run")
    tokenizer = PhonemeTokenizer.build([SYMBOLS])
    tokenizer.save(out / "tokenizer.json")
    config = GradTTSConfig(
        n_tokens=len(tokenizer),
        n_speakers=2,
        speaker_dim=8,
        encoder=PlainEncoderConfig(dim=16, layers=1, hidden=16),
        decoder=DecoderConfig(kind="convnext1d", dim=16, depth=1, see_states=True),
        durations="data",
        add_blank=False,
        target="velocity",
    )
    torch.manual_seed(0)
    model = GradTTS(config)
    with torch.no_grad():
        model.duration.out.bias.fill_(1.5)
        model.prior.bias.fill_(-5.0)
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    files = {
        "config.json": {"model": to_dict(config)},
        "tokenizer.json": json.loads((out / "tokenizer.json").read_text(encoding="utf-8")),
        "features.json": to_dict(MelSpec()),
        "voices.json": {"speakers": ["anna", "boris"], "languages": ["ru"]},
    }
    checkpoint.save(
        out / "run", 3, tensors={"model": state, "ema": state, "state/optimizer": {}}, files=files
    )
    return out / "run"


@pytest.fixture
def voice(run: Path, monkeypatch: pytest.MonkeyPatch) -> GradTTSVoice:
    # Small and quick; the neural one is tested in tests/vocoder.
    voice = synth.load(run, vocoder="griffin-lim")
    assert isinstance(voice, GradTTSVoice) and isinstance(voice, Voice)
    return voice


def test_phonemes_in_audio_out(voice: GradTTSVoice) -> None:
    one = voice.say("m ˈa m ə .", phonemes=True, speaker="boris", seed=1, steps=2)
    again = voice.say("m ˈa m ə .", phonemes=True, speaker="boris", seed=1, steps=2)
    assert one.sample_rate == 22050
    assert one.samples.dtype == np.float32
    np.testing.assert_array_equal(one.samples, again.samples)
    other = voice.say("m ˈa m ə .", phonemes=True, speaker="anna", seed=1, steps=2)
    assert len(other.samples) != len(one.samples) or not np.array_equal(other.samples, one.samples)


def test_rate_changes_the_length(voice: GradTTSVoice) -> None:
    text = "m ˈa m ə | m ˈa m ə | m ˈa m ə ."
    slow = voice.say(text, phonemes=True, rate=0.5, steps=1)
    fast = voice.say(text, phonemes=True, rate=2.0, steps=1)
    assert slow.duration / fast.duration == pytest.approx(4, rel=0.15)


def test_a_symbol_that_the_training_did_not_have_is_a_warning(voice: GradTTSVoice) -> None:
    with pytest.warns(UserWarning, match="not trained on these symbols: ʘ"):
        voice.say("m ʘ m ə .", phonemes=True, steps=1)


def test_errors(voice: GradTTSVoice) -> None:
    with pytest.raises(UserError, match='did you mean "anna"'):
        voice.say("m ə .", phonemes=True, speaker="ana")
    with pytest.raises(UserError, match="characters"):
        voice.say("а" * (MAX_CHARACTERS + 1))
    for nothing in ("", "   ", "!!!", "🙂"):
        with pytest.raises(UserError):
            voice.say(nothing)


def test_published_voice_is_the_same_voice(run: Path, tmp_path: Path) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={"kind": "voice", "steps": 2})
    assert not (out / "state").exists()
    published, trained = synth.load(out), synth.load(run)
    assert published.info["steps"] == 2
    for (k, a), b in zip(
        published.model.state_dict().items(), trained.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3, msg=k)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", "many"), ("steps", 0), ("temperature", {}), ("length_scale", "x"), ("length_scale", 1000)],
)
def test_what_a_card_says_nonsensically_is_refused_when_the_voice_is_opened(
    run: Path, tmp_path: Path, field: str, value: object
) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={field: value})
    with pytest.raises(UserError, match=f"card.*{field}|{field}.*card"):
        synth.load(out)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "features.json", "voices.json"]
)
def test_a_damaged_voice_is_refused_by_name(run: Path, tmp_path: Path, name: str) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={})
    data = (out / name).read_bytes()
    (out / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=name):
        synth.load(out)
    (out / name).unlink()
    with pytest.raises(UserError, match=name):
        synth.load(out)


def test_another_mel_is_refused_with_the_fields(run: Path, tmp_path: Path) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={})
    features = json.loads((out / "features.json").read_text())
    write_json(out / "features.json", {**features, "hop_length": 300})
    names = [p.name for p in out.iterdir() if p.name != "files.json"]
    checkpoint.write_index(out, names)
    voice = synth.load(out)
    with pytest.raises(UserError, match="hop_length"):
        voice.say("m ə .", phonemes=True, steps=1)


def test_a_config_key_of_another_version_is_refused(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "voice"
    shutil.copytree(checkpoint.resolve(run), out)
    config = json.loads((out / "config.json").read_text())
    config["model"]["n_mel"] = 80
    write_json(out / "config.json", config)
    checkpoint.write_index(
        out, [str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name != "files.json"]
    )
    with pytest.raises(UserError, match='did you mean "n_mels"'):
        synth.load(out)


def test_the_stream_is_what_say_gives(voice: GradTTSVoice) -> None:
    """Sentence by sentence, with the same noise and the same pauses."""
    text = "m ˈa m ə . | m ˈa ."
    spoken = voice.say(text, phonemes=True, seed=5)
    pieces = list(voice.stream(text, phonemes=True, seed=5))
    np.testing.assert_allclose(np.concatenate([p.samples for p in pieces]), spoken.samples, atol=1e-5)
    sentences = [voice.frontend.from_phonemes(t) for t in ("m ˈa .", "m ə m ə .")]
    whole = voice.speak(sentences, seed=5, join=True)[0]
    one, two = (voice.speak([s], seed=5, first=i)[0] for i, s in enumerate(sentences))
    pause = np.zeros(round(PAUSE_SECONDS * voice.spec.sample_rate), np.float32)
    joined = np.concatenate([one.samples, pause, two.samples])
    np.testing.assert_allclose(joined, whole.samples, atol=1e-5)


@pytest.mark.parametrize("blanks", [False, True])
def test_speech_is_what_say_gives_with_the_times_of_its_words(voice: GradTTSVoice, blanks: bool) -> None:
    if blanks:
        torch.manual_seed(0)
        config = dataclasses.replace(voice.model.config, durations="mas", add_blank=True)
        voice = GradTTSVoice(GradTTS(config), voice.tokenizer, voice.spec, vocoder="griffin-lim")
    text, how = "Мама мама. Мама.", {"seed": 3, "steps": 1, "rate": 0.7}
    speech, audio = voice.speech(text, **how), voice.say(text, **how)
    np.testing.assert_array_equal(speech.audio.samples, audio.samples)
    pieces = list(voice.stream_speech(text, **how))
    assert tuple(w for p in pieces for w in p.words) == speech.words
    assert [(w.text, w.after, w.sentence) for w in speech.words] == [
        ("Мама", "", 0),
        ("мама", ".", 0),
        ("Мама", ".", 1),
    ]
    starts = np.cumsum([0, *(len(p.audio) for p in pieces)]) / voice.sample_rate
    for piece, start, end in zip(pieces, starts, starts[1:], strict=False):
        for word in piece.words:
            assert start <= word.start < word.end <= end
            assert [p.symbol for p in word.phones] == ["m", "ˈa", "m", "ə"]
    for left, right in itertools.pairwise(speech.words):
        assert left.end <= right.start


def seconds(speech: Speech) -> list[float]:
    """Of each word."""
    return [w.end - w.start for w in speech.words]


def test_a_slow_word_lasts_longer_by_its_factor(voice: GradTTSVoice) -> None:
    plain = voice.speech("Мама мама мама.", steps=1)
    slow = voice.speech('<speak>Мама <prosody rate="50%">мама</prosody> мама.</speak>', ssml=True, steps=1)
    frame = voice.spec.seconds(1)
    a, b = seconds(plain), seconds(slow)
    assert b == pytest.approx([a[0], 2 * a[1], a[2]], abs=2.1 * frame)
    emphasised = voice.speech("Мама *мама* мама.", steps=1)
    assert seconds(emphasised)[1] > a[1] + frame
    rate = voice.speech("<speak>Мама мама мама.</speak>", ssml=True, steps=1)
    np.testing.assert_array_equal(rate.audio.samples, plain.audio.samples)


def test_pauses_are_exact_and_marks_have_times(voice: GradTTSVoice) -> None:
    body = 'Мама <break time="500ms"/><mark name="a"/>мама. <break time="1s"/>Мама.<break time="250ms"/>'
    speech = voice.speech(f"<speak>{body}</speak>", ssml=True, steps=1)
    one, two, three = speech.words
    half_sample = 0.5 / voice.sample_rate
    assert two.start - one.end == pytest.approx(0.5, abs=2 * half_sample)
    assert speech.marks[0].time == two.start
    assert not voice.audio(speech.audio.trim(two.end + 0.3, three.start - 0.3).samples).samples.any()
    assert not speech.audio.trim(speech.duration - 0.249).samples.any()
    audio = voice.say(f"<speak>{body}</speak>", ssml=True, steps=1)
    pieces = list(voice.stream_speech(f"<speak>{body}</speak>", ssml=True, steps=1))
    np.testing.assert_array_equal(audio.samples, speech.audio.samples)
    np.testing.assert_array_equal(np.concatenate([p.audio.samples for p in pieces]), audio.samples)
    assert tuple(m for p in pieces for m in p.marks) == speech.marks
    reading = voice.read(f"<speak>{body}</speak>", ssml=True, steps=1)
    (batched,) = voice.speak_batch([reading])
    assert isinstance(batched, Audio) and len(batched) == len(audio)
    np.testing.assert_allclose(batched.samples, audio.samples, atol=1e-3)


def test_volume_and_speakers_of_words(voice: GradTTSVoice) -> None:
    quiet = voice.speech('<speak>Мама <prosody volume="-40dB">мама</prosody></speak>', ssml=True, steps=1)
    one, two = (quiet.audio.trim(w.start + 0.02, w.end - 0.02).samples.std() for w in quiet.words)
    assert two < one / 20
    both = '<speak><voice name="anna">Мама.</voice> <voice name="boris">Мама.</voice></speak>'
    pieces = [p for p in voice.stream(both, ssml=True, seed=2) if p.samples.any()]
    anna, boris = (voice.say("Мама.", speaker=name, seed=2) for name in ("anna", "boris"))
    np.testing.assert_array_equal(pieces[0].samples, anna.samples)
    assert len(pieces) == 2 and len(boris)


def test_what_the_voice_cannot_change_is_named(voice: GradTTSVoice) -> None:
    with pytest.warns(UserWarning, match="does not change the pitch and range of words"):
        voice.say('<speak><prosody pitch="high" range="low">мама</prosody></speak>', ssml=True, steps=1)


def test_four_threads_speak_what_four_calls_do(
    voice: GradTTSVoice, run: Path, at_once: Callable[..., list[Any]]
) -> None:
    """Of a voice that was never used: what is loaded at the first call is loaded once."""
    text, loaded = "m ˈa m ə . | m ə m ˈa .", synth.load(run, vocoder="griffin-lim")
    options = [
        SpeakOptions(
            phonemes=True, seed=i, steps=1 + i % 2, rate=1 + i / 4, speaker=("anna", "boris")[i // 2]
        )
        for i in range(4)
    ]
    parallel = at_once([partial(loaded.say, text, o) for o in options])
    for one, other in zip([voice.say(text, o) for o in options], parallel, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


@pytest.mark.skipif(
    not any(c.name == "vocoder-draft" for c in models.shipped()), reason="not in this checkout"
)
def test_another_vocoder_and_a_set_of_it(
    voice: GradTTSVoice, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = synth.load(run, vocoder="vocoder-draft")
    one, other = (v.say("m ˈa m ə .", phonemes=True, steps=1) for v in (voice, fast))
    assert len(one) == len(other) and not np.array_equal(one.samples, other.samples)
    (tmp_path / "m.csv").write_text("a|мама\n", encoding="utf-8")
    line = ["synthesize-set", str(run), "-m", str(tmp_path / "m.csv"), "--steps", "1"]
    assert cli.main([*line, "--out", str(tmp_path / "set"), "--vocoder", "vocoder-draft"]) == 0
    assert "--out is now --output" in capsys.readouterr().err
    assert json.loads((tmp_path / "set/made_by.json").read_text())["vocoder"] == "vocoder-draft"
    assert cli.main([*line, "--output", str(tmp_path / "set")]) == 1
    assert "made with another vocoder; choose another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("voices.json", "speakers", 5),
        ("files.json", "model.safetensors", [1]),
        ("tokenizer.json", "vocabulary", None),
    ],
)
def test_a_file_that_says_nonsense_is_named(
    run: Path, tmp_path: Path, name: str, key: str, value: object
) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={})
    read = json.loads((out / name).read_text("utf-8"))
    if key == "vocabulary":  # more of them than the model has rows
        read[key] = [*read[key], *(f"x{i}" for i in range(100))]
    else:
        read[key] = value
    write_json(out / name, read)
    if name != "files.json":
        checkpoint.write_index(out, [p.name for p in out.iterdir() if p.name != "files.json"])
    with pytest.raises(UserError, match=name):
        synth.load(out)


def test_an_index_without_weights_is_none(run: Path, tmp_path: Path) -> None:
    out = checkpoint.publish(run, tmp_path / "voice", card={})
    write_json(out / "files.json", {})
    with pytest.raises(UserError, match="lists no weights"):
        synth.load(out)


@pytest.fixture
def tokens_of(voice: GradTTSVoice, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What reaches the model when a text is spoken: its symbols, a line a sentence."""

    def say(text: str, **how: object) -> list[str]:
        seen: list[str] = []
        real = voice.model.synthesize

        def synthesize(tokens: torch.Tensor, *arguments: object, **options: object) -> object:
            seen.append(phonemes_to_text(voice.tokenizer.decode(tokens[0].tolist())))
            return real(tokens, *arguments, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as m:
            m.setattr(voice.model, "synthesize", synthesize)
            voice.say(text, steps=1, **how)  # type: ignore[arg-type]
        return seen

    return say


def test_phonemes_inside_a_text_reach_the_model(tokens_of: Callable[..., list[str]]) -> None:
    assert tokens_of("[[m ˈa m ə]]. Мама [[m ə]].") == ["m ˈa m ə .", "m ˈa m ə | m ə ."]
    with pytest.raises(UserError, match=r'unknown phoneme "a"; did you mean ˈa\?'):
        tokens_of("мама [[m a]].")
    with pytest.raises(UserError, match='unknown phoneme "k"; known: ˈa m ə'):  # this voice never heard it
        tokens_of("мама. [[k ə]].")
    with pytest.raises(UserError, match=r"\[\[ without \]\]"):
        tokens_of("мама. [[m ə.")


def test_a_lexicon_reaches_the_model(
    voice: GradTTSVoice, tokens_of: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("кот = м+ама\n5 = [[m ə | m ˈa]]", encoding="utf-8")
    voice.use_lexicon(tmp_path / "words.txt")
    assert tokens_of("Кот 5 мама.") == ["m ˈa m ə | m ə | m ˈa | m ˈa m ə ."]
    voice.use_lexicon(Lexicon.parse("кот = [[m ˈa]]"))  # the later one goes first
    assert tokens_of("кот 5.") == ["m ˈa | m ə | m ˈa ."]


def test_the_lexicon_of_a_voice_lies_in_its_directory(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/lexicon.txt").write_text("кот = мам+а\nкит = м+ама", encoding="utf-8")
    voice = synth.load(tmp_path / "run")
    assert str(voice.sentences("кот")[0]) == "m ɐ m ˈa"
    own = synth.load(tmp_path / "run", lexicon=Lexicon.parse("кот = [[m ə]]"))
    assert [str(own.sentences(t)[0]) for t in ("кот", "кит")] == ["m ə", "m ˈa m ə"]
    assert cli.main(["publish", str(tmp_path / "run"), str(tmp_path / "out")]) == 1  # no config of a run
    source = checkpoint.resolve(tmp_path / "run")
    file = lexicon.in_directory(source)
    assert file == tmp_path / "run/lexicon.txt"
    published = checkpoint.publish(source, tmp_path / "out", card={}, files=[file])
    checkpoint.verify(published)
    assert str(synth.load(published).sentences("кот")[0]) == "m ɐ m ˈa"
    (published / "lexicon.txt").write_text("кот", encoding="utf-8")
    with pytest.raises(UserError, match=r"lexicon.txt"):
        synth.load(published)


def test_a_sentence_that_cannot_be_spoken_is_left_out(tokens_of: Callable[..., list[str]]) -> None:
    with pytest.warns(UserWarning, match='left out: "你好。": text: letters that language "ru"'):
        assert tokens_of("Мама. 你好。 Мама.") == ["m ˈa m ə .", "m ˈa m ə ."]
    with pytest.raises(Unspeakable, match="letters that language"):
        tokens_of("你好。")


def test_a_voice_that_reads_letters_beside_phonemes_refuses_phonemes_in_a_text(voice: GradTTSVoice) -> None:
    voice.bpe = BpeTokenizer.train(["мама"], size=20)
    with pytest.raises(UserError, match="this voice reads letters"):
        voice.sentences("мама [[m ə]]")
    voice.use_lexicon(Lexicon.parse("мама = [[m ə]]"))  # the letters are known here
    _, _, pieces = voice.numbers(voice.sentences("Мама, мама"))
    assert pieces is not None and voice.bpe.decode(pieces.ids[0].tolist())[0].startswith("м")
