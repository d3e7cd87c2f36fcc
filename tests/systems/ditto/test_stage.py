"""Stages prosody.melvae and prosody.ditto: train, resume, refuse what does not fit, speak."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intona import checkpoint, cli, config, models, registry, systems
from intona.audio import Audio, read_audio
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.encoders import ge2e, speakers
from intona.encoders.wavlm import WavLm
from intona.errors import UserError
from intona.latents import trained
from intona.latents.base import LatentSpace
from intona.latents.corpus import LatentCorpus
from intona.latents.mel import PROPORTION, MelLatents
from intona.synth.batch import row_seed
from intona.synth.voice import PAUSE_SECONDS, Voice
from intona.systems.ditto import stage as stage
from intona.systems.ditto import voice as ditto
from intona.systems.ditto.latents import open_latents
from intona.systems.ditto.presets import SIZES, DittoRun
from intona.training.stage import Request, stage_of
from intona.training.text_encoder import EncoderSource
from intona.vocoder import load_vocoder

pytestmark = pytest.mark.trains

SMALL = Path(__file__).parents[2] / "assets" / "festvox-ru-small"
FEW = {
    "loop.steps": "4",
    "loop.save_every": "4",
    "loop.validate_every": "4",
    "loop.precision": "fp32",
    "max_frames": "1200",
}


def train(name: str, data: Path, out: Path, **more: str) -> Path:
    return systems.train(f"prosody.{name}", size="toy", data=data, out=out, overrides=FEW | more)


def resolved(
    size: str, data: Path, overrides: dict[str, str], *, init: Path | None = None, encoder: Path | None = None
) -> tuple[DittoRun, LatentSpace]:
    """The config of a run on a corpus, and its latents."""
    source = None if encoder is None else EncoderSource.of(encoder, published=True)
    request = Request(data=data, out=data / "none", overrides=overrides, init=init, encoder=source)
    config = stage.resolve(SIZES[size](), request)
    return stage.fitted(config, Prepared.open(data), request)


@pytest.fixture(scope="module")
def vae(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vae") / "run"
    train("melvae", spoken, out)
    return out


@pytest.fixture(scope="module")
def run(spoken: Path, vae: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ditto") / "run"
    train("ditto", spoken, out, latents=str(vae))
    return out


@pytest.fixture(scope="module")
def voice(run: Path) -> ditto.DittoVoice:
    return ditto.load(run, vocoder="griffin-lim")  # a tenth of the time


@pytest.fixture(scope="module")
def recording() -> Audio:
    return read_audio(sorted(SMALL.rglob("*.wav"))[0])


def weights(out: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(checkpoint.resolve(out) / f"{name}.safetensors")


@pytest.mark.parametrize("name", ["melvae", "ditto"])
def test_half_and_half_is_the_whole_to_the_bit(
    name: str, spoken: Path, vae: Path, run: Path, tmp_path: Path
) -> None:
    more = {"latents": str(vae)} if name == "ditto" else {}
    train(name, spoken, tmp_path / "halves", **(more | {"loop.steps": "2"}))
    train(name, spoken, tmp_path / "halves", **more)
    whole = vae if name == "melvae" else run
    for kind in ("model", "ema", "state/optimizer"):
        a, b = weights(whole, kind), weights(tmp_path / "halves", kind)
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_finished_vae_says_what_it_loses(
    spoken: Path, vae: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads((vae / "reconstruction.json").read_text(encoding="utf-8"))
    prepared, space = Prepared.open(spoken), trained.load(vae)
    errors = []
    for item in prepared.items("dev"):
        mel = torch.from_numpy(prepared.mel(item))[None]
        latents, after = space.encode(mel, torch.tensor([item.n_frames]))
        errors.append(float((space.decode(latents, after)[:, : item.n_frames] - mel).abs().mean()))
    assert found["nats"]["estimate"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert found["nats"]["n"] == len(errors) and found["split"] == "dev"
    systems.train(
        "prosody.melvae",
        size="toy",
        data=spoken,
        out=tmp_path / "half",
        overrides=FEW | {"loop.steps": "50"},
        limit_minutes=1e-5,
    )
    assert not (tmp_path / "half" / "reconstruction.json").exists()
    assert "through the latents" not in capsys.readouterr().err


def test_latents_of_the_run_are_those_of_the_vae_and_standardised(spoken: Path, vae: Path, run: Path) -> None:
    prepared, space = Prepared.open(spoken), trained.load(vae)
    corpus = LatentCorpus(prepared, space, seconds=(1.0, 2.0))
    item = prepared.items("train")[0]
    mel = torch.from_numpy(prepared.mel(item))[None]
    assert np.allclose(corpus.codes(item), space.codes(mel, torch.tensor([item.n_frames]))[0], atol=1e-4)
    state = weights(run)
    own = {k: v for k, v in state.items() if k.startswith("model.space.")}
    rows = np.concatenate([corpus.codes(i) for i in prepared.items("train")])
    assert np.allclose((rows - own["model.space.mean"].numpy()).mean(0), 0, atol=1e-3)
    assert np.allclose((rows / own["model.space.std"].numpy()).std(0), 1, atol=1e-3)
    assert corpus.pace() == pytest.approx(
        len(rows) / sum(len(i.phonemes) for i in prepared.items("train")), rel=1e-9
    )


@pytest.mark.parametrize("proportion", [0.0, 0.5, 1.0])
def test_patches_keep_what_they_should_of_the_proportions_of_their_components(
    spoken: Path, proportion: float
) -> None:
    prepared = Prepared.open(spoken)
    space = open_latents("mel4", prepared, proportion)
    corpus = LatentCorpus(prepared, space, seconds=(1.0, 2.0))
    mean, std = corpus.statistics()
    rows = np.concatenate([corpus.codes(i) for i in prepared.items("train")])
    scaled = (rows - mean.numpy()) / std.numpy()
    assert np.allclose(scaled.mean(0), 0, atol=1e-3)
    assert np.square(scaled).mean() == pytest.approx(1, rel=1e-3)
    before, after = rows.std(0), scaled.std(0)
    assert np.allclose(after / after[0], (before / before[0]) ** proportion, rtol=1e-3)
    assert np.allclose(corpus.spread(), after, rtol=1e-3)
    default = open_latents("mel4", prepared)
    assert (default.fingerprint() == space.fingerprint()) == (proportion == PROPORTION)


def test_references_are_other_utterances_of_the_speaker(spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    corpus = LatentCorpus(prepared, MelLatents(prepared.spec), seconds=(0.5, 1.0))
    items = prepared.items("train")
    item = items[0]
    seen = set()
    for step in range(20):
        cut, other = corpus.reference_for(item, "train", 0, step)
        assert 43 <= len(cut) <= 86
        assert other is not None and other.id != item.id
        whole = prepared.mel(other)
        at = np.flatnonzero((whole == cut[0]).all(1))
        assert any(np.array_equal(whole[a : a + len(cut)], cut) for a in at)
        assert np.array_equal(cut, corpus.reference_for(item, "train", 0, step)[0])
        seen.add(cut[0].tobytes())
    assert len(seen) > 10
    lonely = dataclasses.replace(item, speaker=99)
    cut, other = corpus.reference_for(lonely, "train")
    assert cut.shape == (0, 80) and other is None


@pytest.mark.parametrize(("latents", "kind"), [("mel", "mel"), ("mel4", "patch")])
def test_plain_mels_are_the_control(spoken: Path, tmp_path: Path, latents: str, kind: str) -> None:
    for steps in ("1", "2"):  # the second call resumes: the same latents are fitted again
        train("ditto", spoken, tmp_path / "mel", latents=latents, **{"loop.steps": steps})
    voice = ditto.load(tmp_path / "mel")
    assert voice.model.space.kind == kind
    assert voice.say("Да.", steps=2).duration > 0.05


def test_latents_and_features_that_do_not_fit_are_refused(
    root: Path, spoken: Path, vae: Path, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no latents named.*prosody\.melvae"):
        train("ditto", spoken, tmp_path / "a")
    with pytest.raises(UserError, match=r"holds no mel VAE.*intona train prosody\.melvae"):
        train("ditto", spoken, tmp_path / "a", latents=str(root / "models" / "ru-en"))
    for name in ("mel1", "mel99"):
        with pytest.raises(UserError, match="not between 2 and 32"):
            train("ditto", spoken, tmp_path / "a", latents=name)
    train("melvae", spoken, tmp_path / "other", **{"loop.seed": "1", "loop.steps": "1"})
    with pytest.raises(UserError, match=r"another config.*latents"):
        train("ditto", spoken, run, latents=str(tmp_path / "other"))
    with pytest.raises(UserError, match="made for the latents"):
        systems.train(
            "prosody.ditto",
            size="toy",
            data=spoken,
            out=tmp_path / "b",
            overrides=FEW | {"latents": str(tmp_path / "other")},
            init=run,
        )
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint.resolve(run), broken)
    voices = json.loads((broken / "voices.json").read_text(encoding="utf-8"))
    config.write_json(broken / "voices.json", voices | {"latents": "0" * 16})
    names = [str(p.relative_to(broken)) for p in broken.rglob("*") if p.is_file() and p.name != "files.json"]
    checkpoint.write_index(broken, names)
    with pytest.raises(UserError, match="made for the latents 0000"):
        ditto.load(broken)
    changed = tmp_path / "features"
    shutil.copytree(checkpoint.resolve(vae), changed)
    features = json.loads((changed / "features.json").read_text(encoding="utf-8"))
    config.write_json(changed / "features.json", features | {"f_max": 7600.0})
    checkpoint.write_index(
        changed,
        [str(p.relative_to(changed)) for p in changed.rglob("*") if p.is_file() and p.name != "files.json"],
    )
    with pytest.raises(UserError, match=r"f_max"):
        train("ditto", spoken, tmp_path / "c", latents=str(changed))


def test_init_takes_the_weights(spoken: Path, vae: Path, run: Path, tmp_path: Path) -> None:
    systems.train(
        "prosody.ditto",
        size="toy",
        data=spoken,
        out=tmp_path / "tuned",
        overrides=FEW | {"latents": str(vae), "optim.lr": "0", "loop.steps": "1"},
        init=run,
    )
    before, after = weights(run, "ema"), weights(tmp_path / "tuned")
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.fixture(scope="module")
def encoder(
    spoken: Path, tmp_path_factory: pytest.TempPathFactory, tiny_wavlm: Callable[..., Path]
) -> tuple[Path, Path]:
    """A contrastive run with AdaLN, and the model that made its speaker vectors."""
    pytest.importorskip("transformers")
    out = tmp_path_factory.mktemp("encoder")
    wavlm = tiny_wavlm(out / "ditto-sv")
    few = {k: v for k, v in FEW.items() if k != "max_frames"} | {"loop.steps": "2", "speaker": str(wavlm)}
    systems.train("prosody.contrastive", size="toy", data=spoken, out=out / "run", overrides=few)
    return out / "run", wavlm


def on_encoder(spoken: Path, encoder: Path, out: Path, **more: str) -> Path:
    few = {"latents": "mel8", "loop.steps": "1", "encoder_rate": "0"}
    return systems.train(
        "prosody.ditto", size="toy", data=spoken, out=out, overrides=FEW | few | more, encoder=encoder
    )


def conditions_of(speaker: ditto.DittoVoice, monkeypatch: pytest.MonkeyPatch, **how: Any) -> list[Any]:
    """What the text encoder is conditioned on while a text is spoken."""
    conditions: list[Any] = []
    encoder: Any = speaker.model.encoder
    forward = type(encoder).forward

    def spy(self: Any, tokens: Any, lengths: Any, speaker: Any = None, pieces: Any = None) -> Any:
        conditions.append(speaker)
        return forward(self, tokens, lengths, speaker, pieces)

    monkeypatch.setattr(type(encoder), "forward", spy)
    speaker._vocoder = load_vocoder("griffin-lim")
    assert speaker.say("Доброе утро.", steps=1, **how).duration > 0.1
    monkeypatch.undo()
    return conditions


def test_an_encoder_is_conditioned_on_the_vector_of_the_reference(
    spoken: Path,
    encoder: tuple[Path, Path],
    tmp_path: Path,
    recording: Audio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, wavlm = encoder
    on_encoder(spoken, run, tmp_path / "voice")
    a, b = weights(run, "ema"), weights(tmp_path / "voice")
    name = "model.encoder.phonemes.stack.blocks.0.feed_forward.up.weight"
    assert torch.equal(a[name], b[name])

    voice = ditto.load(tmp_path / "voice")
    (vector,) = conditions_of(voice, monkeypatch, reference=recording)
    np.testing.assert_allclose(vector[0], WavLm(str(wavlm)).embed(recording), rtol=1e-5, atol=1e-6)
    for vector in conditions_of(voice, monkeypatch, reference=recording, length=2.0):
        assert vector is not None
    assert conditions_of(voice, monkeypatch) == [None]
    # A voice of an earlier version, or one trained so, has learned with the vector of nobody.
    path = checkpoint.resolve(on_encoder(spoken, run, tmp_path / "nobody", speaker="none"))
    assert conditions_of(ditto.load(tmp_path / "nobody"), monkeypatch, reference=recording) == [None]
    assert not (path / "speaker.json").exists()
    # Other weights under the same name make other vectors.
    other = tmp_path / "other-sv"
    shutil.copytree(wavlm, other)
    made_by = json.loads((checkpoint.resolve(tmp_path / "voice") / "speaker.json").read_text("utf-8"))
    assert made_by["embedder"] == "WavLM ditto-sv"
    voice.embedder, voice._speaker_encoder = str(other), None
    with pytest.raises(UserError, match="speaker vectors were made otherwise"):
        voice.say("Доброе утро.", reference=recording, steps=1)


def test_a_missing_speaker_encoder_is_told_before_any_latent_is_computed(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(spoken, data, ignore=shutil.ignore_patterns("speaker-*"))
    computed: list[str] = []
    monkeypatch.setattr(ge2e, "weights_path", lambda: None)
    monkeypatch.setattr(stage, "LatentCorpus", lambda *_, **__: computed.append("latents"))
    with pytest.raises(UserError, match="resemblyzer is not installed; pip install"):
        train("ditto", data, tmp_path / "run", speaker="ge2e", latents="mel8")
    assert not computed


def test_a_voice_that_learns_on_keeps_its_speaker_vectors(
    spoken: Path, encoder: tuple[Path, Path], tmp_path: Path
) -> None:
    prepared = Prepared.open(spoken)
    on_encoder(spoken, encoder[0], tmp_path / "voice")
    settings, space = resolved("toy", spoken, FEW, encoder=encoder[0], init=tmp_path / "voice")
    assert settings.speaker == str(encoder[1])
    vectors = speakers.vectors_by(prepared, settings.speaker)
    assert vectors is not None
    corpus = LatentCorpus(prepared, space, seconds=(0.5, 1.0))
    batch = stage.feed_of(corpus, settings, 0, 1, None, vectors).next()
    assert batch.speakers is not None
    for row, item, length in zip(batch.speakers, batch.ids, batch.reference_lengths.tolist(), strict=True):
        known = [v for i, v in vectors.vectors.items() if np.array_equal(v, row.numpy()) and i != item]
        assert length and known
    # A voice of an earlier version names nothing: it had nobody's vector, speaks and learns on so.
    older = tmp_path / "older"
    older.mkdir()
    config.write_json(older / "config.json", {"stage": "prosody.ditto"})
    assert speakers.kind_of(older, default="none") == "none"
    voice = ditto.load(tmp_path / "voice")
    voices = config.read_json(checkpoint.resolve(tmp_path / "voice") / "voices.json")
    assert voice.embedder == voices.pop("speaker") == str(encoder[1])
    assert ditto.DittoVoice(voice.model, voice.tokenizer, voice.spec, voices=voices).embedder == "none"


# --- speaking -----------------------------------------------------------------------------------------


def test_it_speaks_with_and_without_a_reference_and_repeats_itself(
    voice: ditto.DittoVoice, recording: Audio
) -> None:
    how: dict[str, Any] = {"steps": 2, "seed": 3}
    plain = voice.say("Доброе утро, друзья. Как дела?", **how)
    assert plain.sample_rate == 22050 and np.isfinite(plain.samples).all() and isinstance(voice, Voice)
    assert np.array_equal(plain.samples, voice.say("Доброе утро, друзья. Как дела?", **how).samples)
    as_one = voice.say("Доброе утро, друзья.", reference=recording, guidance=1.5, **how)
    other = voice.say("Доброе утро, друзья.", guidance=1.5, **how)
    assert not np.array_equal(as_one.samples, other.samples)  # by little: four updates opened few gates


def test_length_and_rate_are_obeyed(voice: ditto.DittoVoice) -> None:
    text = "Доброе утро, друзья. Как у вас сегодня дела?"
    usual = voice.say(text, steps=1)
    latent = 1 / voice.model.space.rate
    asked = 0.6 * usual.duration
    assert voice.say(text, steps=1, length=asked).duration == pytest.approx(asked, abs=2 * latent)
    slow = voice.say(text, steps=1, rate=0.5)
    spoken = usual.duration - PAUSE_SECONDS
    assert slow.duration - PAUSE_SECONDS == pytest.approx(2 * spoken, abs=3 * latent)
    with pytest.raises(UserError, match=r"--length: 3600 s for what would take"):
        voice.say(text, steps=1, length=3600)


def test_one_pace_is_that_of_the_training(voice: ditto.DittoVoice, spoken: Path) -> None:
    items = Prepared.open(spoken).items("train")
    seconds = sum(voice.model.space.latents(i.n_frames) for i in items) / voice.model.space.rate
    pace = seconds / sum(len(i.phonemes) for i in items)
    symbols = sum(len(u.phonemes) for u in voice.sentences("Да. Как дела?"))
    assert voice.at_one_pace("Да. Как дела?") == pytest.approx(pace * symbols, rel=1e-4)


def test_a_study_speaks_at_one_pace(
    spoken: Path,
    run: Path,
    voice: ditto.DittoVoice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from intona import synth
    from intona.evaluation import Manifest, Row, write_manifest
    from intona.studies.engine import stages

    monkeypatch.setattr(synth, "load", lambda path: voice)  # with the quick vocoder
    rows = tuple(Row(id=i.name, text=i.text) for i in Prepared.open(spoken).items("test")[:2])
    (tmp_path / "test").mkdir()
    write_manifest(tmp_path / "test" / stages.MANIFEST, Manifest(rows=rows))
    done = stages.speak(
        out=tmp_path / "out",
        needs={"voice": run.parent, "test": tmp_path / "test"},
        limit_minutes=None,
        voice="voice",
        test="test",
        seed=0,
        settings={"steps": 1, "guidance": 1.0},
        lengths="one-pace",
    )
    assert done and run.name == stages.RUN
    for row in rows:
        said = read_audio(tmp_path / "out" / stages.WAVS / f"{row.id}.wav")
        assert said.duration == pytest.approx(voice.at_one_pace(row.text), abs=2 / voice.model.space.rate)


def test_a_bad_reference_gets_a_clear_answer(voice: ditto.DittoVoice, recording: Audio) -> None:
    rate = 22050
    noise = np.random.default_rng(0).normal(0, 0.1, rate * 3).astype(np.float32)
    nan = noise.copy()
    nan[5] = np.nan
    almost = np.concatenate([noise[: rate // 2], np.zeros(rate * 3, np.float32)])
    for audio, answer in (
        (Audio(np.zeros(rate * 3, np.float32), rate), "silent"),
        (Audio(np.full(rate * 3, 0.3, np.float32), rate), "constant"),
        (Audio(noise[: rate // 5], rate), r"0\.20 s long, at least 1 s"),
        (Audio(np.zeros(0, np.float32), rate), r"0\.00 s long"),
        (Audio(np.zeros(2 * 3600 * 8000, np.float32), 8000), "7200 s long, at most 60 s"),
        (Audio(noise, 4000), "at 4000 Hz, at least 8000"),
        (Audio(nan, rate), "NaN"),
        (Audio(almost, rate), r"only 0\.\d+ s of it are sound"),
    ):
        with pytest.raises(UserError, match=rf"^reference: .*{answer}"):
            voice.say("Да.", reference=audio, steps=1)
    with pytest.warns(UserWarning, match="8000 Hz and holds nothing above 4000 Hz"):
        heard = voice.reference(recording.resample(8000))
    longest = voice.longest_reference * voice.model.space.rate
    assert 1 <= len(heard) <= longest + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(voice.reference(recording)) == len(heard)


def test_say_with_a_bad_reference_is_one_line(
    run: Path, recording: Audio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rate = 22050
    noise = np.random.default_rng(0).normal(0, 0.1, rate).astype(np.float32)
    Audio(np.zeros(3 * rate, np.float32), rate).write(tmp_path / "silent.wav")
    Audio(noise[: rate // 5], rate).write(tmp_path / "short.wav")
    with wave.open(str(tmp_path / "hours.wav"), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(b"\x80\x81" * (3600 * 8000))
    (tmp_path / "text.wav").write_text("no sound at all", encoding="utf-8")
    out = tmp_path / "said.wav"
    line = ["say", "Да.", "--model", str(run), "-o", str(out), "--steps", "1", "--reference"]
    for name, answer in (
        ("silent.wav", "silent"),
        ("short.wav", "0.20 s long, at least 1 s"),
        ("hours.wav", "7200.0 s long"),
        ("text.wav", "text.wav"),
        ("nowhere.wav", "nowhere.wav"),
    ):
        assert cli.main([*line, str(tmp_path / name)]) == 1
        said = capsys.readouterr().err.strip()
        told = [x for x in said.splitlines() if not x.startswith("intona: warning: the text front end")]
        assert len(told) == 1 and told[0].startswith("intona: error: ") and answer in told[0]
        assert not out.exists()
    recording.resample(8000).write(tmp_path / "phone.wav")
    assert cli.main([*line, str(tmp_path / "phone.wav")]) == 0
    assert "8000 Hz and holds nothing above 4000 Hz" in capsys.readouterr().err
    assert read_audio(out).duration > 0.1
    assert cli.main(["say", "слово " * 200, *line[2:-1]]) == 1
    assert "end it earlier with a full stop" in capsys.readouterr().err


def test_a_text_longer_than_trained_gets_a_clear_answer(voice: ditto.DittoVoice) -> None:
    word = "слово " * 200
    with pytest.raises(UserError, match=r"phonemes, the longest sentence of the training had .*full stop"):
        voice.say(word, steps=1)
    # Just beyond is tried, with a warning.
    symbols = len(voice.sentences("слово")[0].phonemes) + 1
    n = voice.longest_symbols // symbols + 2
    with pytest.warns(UserWarning, match="the longest of the training"):
        voice.say("слово " * n, steps=1)


def test_options_that_this_model_lacks_are_refused(voice: ditto.DittoVoice) -> None:
    for how, answer in (
        ({"temperature": -0.5}, "--temperature"),
        ({"temperature": float("nan")}, "--temperature"),
        ({"speaker": "nobody"}, 'unknown speaker "nobody"'),
        ({"guidance": -1.0}, "--guidance"),
        ({"guidance": float("nan")}, "--guidance"),
        ({"steps": 0}, "--steps: 0 is not between 1 and 1000"),
        ({"solver": "ddmi"}, 'did you mean "ddim"'),
        ({"solver": "euler"}, "use ddim"),
        ({"rate": 0.0}, "--rate"),
        ({"length": -1.0}, "--length"),
        ({"length": float("nan")}, "--length"),
    ):
        with pytest.raises(UserError, match=answer):
            voice.say("Да.", **({"steps": 1} | how))  # type: ignore[arg-type]
    with pytest.raises(UserError):
        voice.say("   ", steps=1)


def test_published_half_precision_keeps_the_fingerprint(run: Path, tmp_path: Path) -> None:
    checkpoint.publish(run, tmp_path / "out", card={"name": "toy", "steps": 1, "guidance": 1.0})
    assert ditto.load(tmp_path / "out").say("Да.").duration > 0.05


def test_a_damaged_voices_file_is_named(run: Path) -> None:
    voice = ditto.load(run)
    with pytest.raises(UserError, match=r"voices\.json: damaged"):
        ditto.DittoVoice(voice.model, voice.tokenizer, voice.spec, voices={"speakers": []})


def test_the_feed_is_a_function_of_its_place(spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    settings, space = resolved("toy", spoken, FEW | {"latents": "mel", "clauses": "0.5"})
    corpus = LatentCorpus(prepared, space, seconds=settings.reference, clauses=True)
    first = stage.feed_of(corpus, settings, 0, 1)
    for _ in range(3):
        first.next()
    state = first.state_dict()
    expected = first.next()
    second = stage.feed_of(corpus, settings, 0, 1)
    second.load_state_dict(state)
    found = second.next()
    assert found.ids == expected.ids and torch.equal(found.references, expected.references)
    assert torch.equal(found.codes, expected.codes)


def test_the_feed_mixes_clauses_with_whole_utterances(spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    settings, space = resolved("toy", spoken, FEW | {"latents": "mel4", "clauses": "0.5"})
    corpus = LatentCorpus(prepared, space, seconds=settings.reference, clauses=True)
    feed = stage.feed_of(corpus, settings, 0, 1)
    seen = [feed.next() for _ in range(40)]
    whole = [all("#" not in i for i in b.ids) for b in seen]
    assert 8 <= sum(whole) <= 32
    # Every clause is the codes of its own frames, and its reference comes from another recording.
    clause = next(b for b in seen if any("#" in i for i in b.ids))
    for row, id in enumerate(clause.ids):
        item = corpus[id]
        mel = torch.from_numpy(prepared.mel(item))[None]
        alone = space.codes(mel, torch.tensor([item.n_frames]))[0]
        assert int(clause.code_lengths[row]) == len(alone) == space.latents(item.n_frames)
        assert torch.allclose(clause.codes[row, : len(alone)], alone, atol=1e-3)
        assert clause.text.tokens[row, : len(item.phonemes)].tolist() == prepared.tokens(item)
    ids = [i for b in feed.validation() for i in b.ids]
    assert {i.split("#")[0] for i in ids} == {i.id for i in prepared.items("dev")} and len(ids) > 2
    never = stage.feed_of(corpus, dataclasses.replace(settings, clauses=0.0), 0, 1)
    assert all("#" not in i for _ in range(20) for i in never.next().ids)


def test_clauses_without_an_alignment_are_whole_utterances(spoken: Path, tmp_path: Path) -> None:
    shutil.copytree(spoken, tmp_path / "data")
    (tmp_path / "data" / "durations.arrow").unlink()
    train("ditto", tmp_path / "data", tmp_path / "run", latents="mel4", clauses="1", **{"loop.steps": "1"})
    voices = json.loads((checkpoint.resolve(tmp_path / "run") / "voices.json").read_text(encoding="utf-8"))
    assert voices["clause_symbols"] == [] and voices["pauses"] == {}
    assert ditto.load(tmp_path / "run").say("Да.", steps=1).duration > 0.05


def test_patches_have_a_schedule_of_their_own(spoken: Path) -> None:
    for size, latents, more, shift in (
        ("small", "mel4", {}, 0.5),
        ("small", "mel", {}, 1.0),
        ("paper", "mel4", {}, 1.0),
        ("small", "mel4", {"model.noise-shift": "0.7"}, 0.7),
        ("small", "mel4", {"patch_shift": "0.4"}, 0.4),
    ):
        assert resolved(size, spoken, {"latents": latents} | more)[0].model.noise_shift == shift


def test_latents_are_named_once(spoken: Path, run: Path, tmp_path: Path) -> None:
    prepared = Prepared.open(spoken)
    assert open_latents("mel8x24", prepared).dim == 24
    with pytest.raises(UserError, match="700 numbers for 8 frames are not between 1 and 640"):
        open_latents("mel8x700", prepared)
    for key in ("model.latents.dim", "model.latents"):
        with pytest.raises(UserError, match=rf"--{key}: the latents are set by --latents.*mel8x64"):
            resolved("toy", spoken, {"latents": "mel8", key: "32"})


def test_a_voice_over_patches_goes_on_with_another_corpus(spoken: Path, tmp_path: Path) -> None:
    """Patches are fitted to a corpus: another one takes them out of the voice's run."""
    train("ditto", spoken, tmp_path / "a", latents="mel4", **{"loop.steps": "1"})
    other = tmp_path / "other"
    shutil.copytree(SMALL, tmp_path / "part")
    prepare(
        "festvox",
        tmp_path / "part",
        other,
        PrepareConfig(language="ru", stress="none", dev=1, test=2, workers=0),
    )
    how: dict[str, Any] = {"size": "toy", "data": other, "init": tmp_path / "a"}
    few = FEW | {"loop.steps": "1", "optim.lr": "0"}
    with pytest.raises(UserError, match=r"made for the latents.*use the latents"):
        systems.train("prosody.ditto", out=tmp_path / "b", overrides=few | {"latents": "mel4"}, **how)
    named = few | {"latents": str(tmp_path / "a")}
    for out, overrides in (("b", named), ("b", named), ("c", few), ("b", few)):  # again resumes
        systems.train("prosody.ditto", out=tmp_path / out, overrides=overrides, **how)
    a = weights(tmp_path / "a", "ema")
    for out in ("b", "c"):
        b = weights(tmp_path / out)
        assert all(torch.equal(a[k], b[k]) for k in a if k.startswith(("model.space.", "model.net.")))


def test_a_voice_that_learns_on_keeps_its_noise_shift(spoken: Path, tmp_path: Path) -> None:
    train("ditto", spoken, tmp_path / "a", latents="mel4", **{"loop.steps": "1", "patch_shift": "0.8"})
    how: dict[str, Any] = {"size": "toy", "data": spoken, "init": tmp_path / "a"}
    for more, shift in (({}, 0.8), ({"patch_shift": "0.6"}, 0.6), ({"model.noise_shift": "0.9"}, 0.9)):
        out = tmp_path / f"b{shift}"
        systems.train("prosody.ditto", out=out, overrides=FEW | {"loop.steps": "1"} | more, **how)
        settings = json.loads((checkpoint.resolve(out) / "config.json").read_text(encoding="utf-8"))
        assert settings["model"]["noise_shift"] == shift


def test_latents_go_by_the_name_of_a_shipped_voice(spoken: Path, tmp_path: Path) -> None:
    if "ditto" not in {c.name for c in models.shipped("voice")}:
        pytest.skip("ditto is not shipped in this checkout")
    prepared = Prepared.open(spoken)
    assert open_latents("ditto", prepared).fingerprint() == ditto.load("ditto").model.space.fingerprint()
    with pytest.raises(UserError, match=r'no shipped model .*named "dito".*ditto'):
        open_latents("dito", prepared)


def test_a_run_of_an_earlier_version_is_refused(spoken: Path, vae: Path, run: Path, tmp_path: Path) -> None:
    for source, name in ((run, "old"), (vae, "vae")):
        shutil.copytree(checkpoint.resolve(source), tmp_path / name)
        settings = json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8"))
        del settings["format"]
        config.write_json(tmp_path / name / "config.json", settings)
        files = (p for p in (tmp_path / name).rglob("*") if p.is_file() and p.name != "files.json")
        checkpoint.write_index(tmp_path / name, [str(p.relative_to(tmp_path / name)) for p in files])
    with pytest.raises(UserError, match=r"trained by an earlier version.*train it anew"):
        ditto.load(tmp_path / "old")
    with pytest.raises(UserError, match=r"earlier version.*intona train prosody\.melvae"):
        trained.load(tmp_path / "vae")
    how: dict[str, Any] = {"size": "toy", "data": spoken, "init": tmp_path / "old"}
    with pytest.raises(UserError, match="earlier version"):
        systems.train("prosody.ditto", out=tmp_path / "b", overrides=FEW | {"latents": str(vae)}, **how)


def test_a_long_sentence_is_spoken_in_clauses(
    voice: ditto.DittoVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Доброе утро, друзья, как у вас дела?"
    asked: list[int] = []
    whole = voice.model.synthesize

    def spy(*args: Any, **how: Any) -> Any:
        speech = whole(*args, **how)
        asked.append(int(speech.latent_lengths))
        return speech

    monkeypatch.setattr(voice.model, "synthesize", spy)
    monkeypatch.setattr(voice, "clause_symbols", None)
    voice.say(text, steps=1)
    assert len(asked) == 1
    asked.clear()
    monkeypatch.setattr(voice, "clause_symbols", (4, 10))
    monkeypatch.setattr(voice, "pauses", {",": 0.5})
    latent = 1 / voice.model.space.rate
    assert voice.say(text, steps=1).duration == pytest.approx(2 * 0.5 + sum(asked) * latent, abs=0.01)
    assert len(asked) == 3
    assert voice.say(text, steps=1, length=3.0).duration == pytest.approx(3.0, abs=3 * latent)


def test_a_length_that_the_training_did_not_have_is_said(
    voice: ditto.DittoVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "seconds", (0.1, 2.0))
    with pytest.warns(UserWarning, match=r"\d\.\d\d s at a stretch, the longest of the training had 2\.00 s"):
        voice.say("Доброе утро.", steps=1, length=3.1)
    with pytest.warns(UserWarning, match=r"the shortest of the training had 1\.50 s"):
        monkeypatch.setattr(voice, "seconds", (1.5, 9.0))
        voice.say("Доброе утро.", steps=1, length=1.0)


# --- a set ----------------------------------------------------------------------------------------------


def test_a_set_with_prompts_as_typed(
    spoken: Path, run: Path, voice: ditto.DittoVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intona.synth.prompts import kept

    prepared = Prepared.open(spoken)
    items = prepared.items("test")[:2]
    lines = ["id|text|speaker", *(f"{i.id}|{i.text}|{prepared.speakers[i.speaker]}" for i in items)]
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "set"
    line = ["synthesize-set", str(run), "-m", str(tmp_path / "m.csv"), "-o", str(out)]
    line += ["--prompts", str(spoken), "--steps", "2", "--temperature", "0.8", "--guidance", "1.5"]
    line += ["--vocoder", "griffin-lim", "--solver", "ancestral"]
    recordings = ["--length", str(tmp_path / "recordings")]
    (tmp_path / "recordings").mkdir()
    for item in items:
        shutil.copyfile(prepared.audio_path(item), tmp_path / "recordings" / f"{item.id}.wav")
    assert cli.main([*line, *recordings]) == 0
    made_by = json.loads((out / "made_by.json").read_text())
    how = ("steps", "guidance", "temperature", "solver")
    assert tuple(made_by[k] for k in how) == (2, 1.5, 0.8, "ancestral")
    taken = kept(out / "prompts")
    for item in items:
        prompt = taken[item.id]
        assert prompt.name != f"{item.id}.wav" and prompt.text == prepared[Path(prompt.name).stem].text
        said = read_audio(out / f"{item.id}.wav")
        assert said.duration == pytest.approx(item.seconds, abs=2 / voice.model.space.rate)
        alone = voice.say(
            item.text,
            reference=read_audio(prompt.path),
            length=item.seconds,
            steps=2,
            guidance=1.5,
            temperature=0.8,
            solver="ancestral",
            seed=row_seed(0, item.id),
        )
        assert np.allclose(alone.samples, said.samples, atol=2e-4)  # 16-bit files
    assert cli.main([*line, "--length", "1.5"]) == 1  # another set
    assert cli.main([*line[:-1], "ddim", *recordings]) == 1
    assert cli.main([*line, *recordings]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--guidance", "-1"), "--guidance"),
        (("--guidance", "nan"), "--guidance"),
        (("--length", "0"), "--length"),
        (("--length", "long"), "neither seconds nor a folder"),
        (("--prompts", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_wrong_options_of_a_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert cli.main(["synthesize-set", "x", "-m", "m.csv", "-o", str(tmp_path), *flags]) == 1
    assert message in capsys.readouterr().err


def test_a_voice_that_takes_no_reference_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recording: Audio
) -> None:
    (tmp_path / "prompts").mkdir()
    recording.write(tmp_path / "prompts" / "a.wav")
    (tmp_path / "m.csv").write_text("id|text|prompt\na|Да.|prompts/a.wav\n", encoding="utf-8")
    line = ["synthesize-set", "ru", "-m", str(tmp_path / "m.csv"), "-o", str(tmp_path / "set")]
    for flags in (["--prompts", str(tmp_path / "prompts")], ["--guidance", "2"], ["--length", "1"]):
        assert cli.main([*line, *flags]) == 1
        assert (
            f"{flags[0]}: gradtts voices have no such option; voices that have it: ditto"
            in capsys.readouterr().err
        )
    assert cli.main(line) == 0
    assert 'the column "prompt" is not used' in capsys.readouterr().err


def test_a_prepared_corpus_gives_prompts_that_were_not_trained_on(spoken: Path) -> None:
    from intona.evaluation import Manifest, Row
    from intona.synth.prompts import choose

    prepared = Prepared.open(spoken)
    test = {i.id for i in prepared.items("test")}
    rows = [Row(id=i.id, text=i.text, speaker=prepared.speakers[0]) for i in prepared.items("test")]
    for id, prompt in choose(Manifest(rows=tuple(rows)), spoken).items():
        taken = prompt.path.stem
        assert taken != id and taken in test and prompt.text == prepared[taken].text


@pytest.mark.parametrize("stage", registry.names("stages"))
def test_the_help_of_a_stage_names_and_describes_its_presets(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", stage, "--help"]) == 0
    said = capsys.readouterr().out
    lines = [line.strip() for line in said[said.index(f"Sizes of {stage}") :].splitlines()]
    for size in stage_of(stage).sizes:
        described = [line for line in lines if line.startswith(f"{size}: ")]
        assert len(described) == 1 and "partial(" not in described[0] and len(described[0]) > 20


def test_the_help_of_train_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    sizes = {n for name in registry.names("stages") for n in stage_of(name).sizes}
    assert {"paper", "base", "large", "xl", "small", "toy"} <= sizes
    assert [n for n in sizes if n not in said] == []
