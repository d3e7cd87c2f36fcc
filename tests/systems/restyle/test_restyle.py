"""restyle.posterior, .palette, .bridge on a tiny random VITS: whole chains, exact resume, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

from intona import checkpoint, cli, synth, systems
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.encoders.style import NAMES
from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.nn.random import ItemRandom
from intona.synth.batch import SetConfig, row_seed, synthesize_set
from intona.synth.options import SpeakOptions
from intona.synth.voice import Voice
from intona.systems.restyle import own, speak, vits
from intona.systems.restyle import pairs as pairs_module
from intona.systems.restyle.axis import ProsodyAxis
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.own import synthetic_pairs, two_renditions
from intona.systems.restyle.pairs import FrameBatch, FrameFeed, FramePair, collate, read, write
from intona.systems.restyle.posterior import SIZES, PosteriorTask, order_of, texts_of
from intona.systems.restyle.stage import paper_of
from intona.systems.restyle.vits import posterior as posteriors
from intona.systems.restyle.vits.posterior import PosteriorConfig, PosteriorNet, edge_of, latents_of
from intona.systems.restyle.vits.space import magnitudes
from intona.systems.restyle.voice import StyledVoice

pytest.importorskip("transformers", reason="a VITS voice needs transformers")

pytestmark = pytest.mark.trains

QUICK = {
    "loop.steps": "6",
    "loop.save_every": "3",
    "loop.validate_every": "6",
    "loop.log_every": "1",
    "loop.precision": "fp32",
    "loop.keep": "9",
    "optim.lr": "1e-2",  # so that a style is heard after six steps
    "optim.warmup": "1",
}


def _train(stage: str, data: Path, out: Path, **more: str) -> Path:
    return systems.train(stage, size="toy", data=data, out=out, overrides={**QUICK, **more})


def test_a_step_of_the_paper_holds_64_windows_of_384_frames() -> None:
    """However long the recordings are that they are cut from."""
    config = paper_of("restyle.palette", "palette")
    frames = np.random.default_rng(0).integers(150, 1500, 200)
    pairs = [
        FramePair(id=str(i), source=np.zeros((n, 2)), target=np.zeros((n, 2)), style=np.zeros(1))
        for i, n in enumerate(frames)
    ]
    feed = FrameFeed(
        pairs,
        pairs[:3],
        max_frames=config.max_frames,
        seed=0,
        rank=0,
        world=1,
        frame_seconds=1.0,
        batch=config.batch,
        window=config.model.segment,
    )
    sizes = sorted(len(feed.next().ids) for _ in range(4))
    assert sizes == [200 - 3 * 64, 64, 64, 64]
    longest = feed.longest()
    assert len(longest.ids) == 64 and feed.seconds(longest) == 64 * 384


@pytest.fixture(scope="module")
def runs(spoken: Path, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("restyle")
    return {
        name: _train(f"restyle.{name}", spoken, root / name, vits=str(voice))
        for name in ("palette", "bridge")
    }


@pytest.mark.parametrize("name", ["palette", "bridge"])
def test_a_run_speaks_and_says_the_same_again(runs: dict[str, Path], name: str) -> None:
    restyler = speak.load(runs[name])
    first = restyler.say("добрый день", "calm, low", guidance=3, steps=3, seed=4)
    again = speak.load(runs[name]).say("добрый день", "calm, low", guidance=3, steps=3, seed=4)
    assert np.array_equal(first.audio.samples, again.audio.samples)
    assert len(first.audio) == len(first.z) * restyler.space.hop and torch.isfinite(first.z).all()
    other = restyler.say("добрый день", "calm, low", guidance=3, steps=3, seed=5)
    assert len(other.z) != len(first.z) or not torch.equal(other.z, first.z)
    assert len(restyler.say("добрый день", None, rate=0.5).z) > 1.3 * len(restyler.say("добрый день", None).z)


def test_it_is_opened_and_spoken_like_any_voice(runs: dict[str, Path], tmp_path: Path) -> None:
    voice = synth.load(runs["palette"])
    rows = Manifest(rows=(Row(id="a", text="добрый день", speaker=""), Row(id="b", text="да", speaker="")))
    assert synthesize_set(voice, rows, tmp_path / "set", SetConfig(steps=2, guidance=2.0)).spoken == 2
    said = voice.say("да", seed=row_seed(0, "b"), steps=2, guidance=2.0)
    assert len(read_audio(tmp_path / "set/b.wav")) == len(said)
    made_by = json.loads((tmp_path / "set/made_by.json").read_text("utf-8"))
    assert (made_by["steps"], made_by["guidance"]) == (2, 2.0)
    assert voice.settled() == SpeakOptions(rate=1.0, steps=10, guidance=3.0)
    with pytest.raises(UserError, match="no such option"):
        synthesize_set(voice, rows, tmp_path / "other", lengths={"a": 1.0})


def test_words_have_the_times_of_the_frozen_vits(runs: dict[str, Path]) -> None:
    voice = synth.load(runs["palette"])
    assert isinstance(voice, StyledVoice) and voice.capabilities.times
    text = "Добрый, день! да."
    options = SpeakOptions(seed=3, steps=2, style="calm, low", rate=1.25)
    speech = voice.speech(text, options)
    np.testing.assert_array_equal(speech.audio.samples, voice.say(text, options).samples)
    (streamed,) = voice.stream_speech(text, options)
    assert streamed.words == speech.words
    assert [w.text + w.after for w in speech.words] == text.split()
    assert [w.sentence for w in speech.words] == [0, 0, 1]
    # By hand: "," "!" "." are no symbols of this voice, so spaces alone lie between the words.
    space = voice.voice.space
    frames = space.prior_of(space.tokens(text), ItemRandom(3, 0, ["0"]), rate=1.25).durations[0].tolist()
    z_text = voice.restyled(text, options).z_text
    assert torch.equal(z_text, z_text_of(space, text, "0", seed=3, rate=1.25))
    hop = space.hop / space.sample_rate
    assert speech.duration == pytest.approx(sum(frames) * hop)
    ends = [1 + 2 * n for n in (6, 11, 14)]  # a blank first, and one after each letter
    starts = [0, *(e + 2 for e in ends[:2])]
    for word, start, end in zip(speech.words, starts, ends, strict=True):
        assert (word.start, word.end) == pytest.approx((sum(frames[:start]) * hop, sum(frames[:end]) * hop))


def test_a_speaker_is_that_of_one_call(
    spoken: Path, two_voices: Path, tmp_path: Path, at_once: Callable[..., list[Any]]
) -> None:
    """Four threads with two speakers give what four calls do, and a call without a speaker has the run's."""
    _train("restyle.palette", spoken, tmp_path / "run", vits=str(two_voices))
    voice = synth.load(tmp_path / "run")
    calls = [
        partial(voice.say, "добрый день", speaker=speaker, style=style, seed=seed, steps=2)
        for speaker, style, seed in ((None, None, 1), ("1", None, 1), ("0", "тихо", 2), ("1", "низко", 3))
    ]
    serial = [call().samples for call in calls]
    assert isinstance(voice, Voice) and not np.array_equal(serial[0], serial[1])
    for _ in range(2):
        for a, b in zip(serial, at_once(calls), strict=True):
            np.testing.assert_array_equal(a, b.samples)
    with pytest.raises(UserError, match="--vocoder"):
        synth.load(tmp_path / "run", vocoder="griffin-lim")


@pytest.mark.parametrize("name", ["palette", "bridge"])
def test_exact_resume(runs: dict[str, Path], name: str, spoken: Path, voice: Path, tmp_path: Path) -> None:
    straight = runs[name].parent
    half = tmp_path / name
    half.mkdir()
    shutil.copytree(straight / "step-00000003", half / "step-00000003")
    _train(f"restyle.{name}", spoken, half, vits=str(voice))
    hashes = [
        {
            k: v["sha256"]
            for k, v in json.loads((run / "step-00000006" / "files.json").read_text()).items()
            if k != "provenance.json"
        }
        for run in (straight, half)
    ]
    assert hashes[0] == hashes[1]


def test_checkpoints_hold_nothing_of_the_voice(runs: dict[str, Path]) -> None:
    names = checkpoint.read_tensors(runs["palette"] / "model.safetensors")
    assert names and all(k.startswith(("model.network.", "model.mean", "model.std")) for k in names)


def test_alignment_gives_the_frames_of_the_recording(spoken: Path, voice: Path) -> None:
    space = vits.load(str(voice))
    prepared = Prepared.open(spoken)
    item = prepared.items("train")[0]
    z_audio = latents_of(space, None, read_audio(prepared.audio_path(item)))
    assert len(z_audio) == item.n_frames
    free = z_text_of(space, item.text, item.id, seed=0)
    aligned = z_text_of(space, item.text, item.id, seed=0, z_audio=z_audio)
    cut = z_text_of(space, item.text, item.id, seed=0, z_audio=z_audio, align="none")
    assert len(free) != len(z_audio) == len(aligned) == len(cut)
    n = min(len(free), len(cut))
    assert torch.allclose(cut[:n], free[:n]) and bool((cut[n:] == 0).all())

    # On the prior's side, where the alignment compares: it explains the recording better than the voice's own
    # durations, cut to length, do. Without noise, so that the means alone are compared.
    def away(align: str) -> float:
        z = z_text_of(space, item.text, item.id, seed=0, z_audio=z_audio, align=align, scale=0.0)  # type: ignore
        frames = torch.tensor([len(z_audio)])
        means, durations = (space.to_prior(x[None], frames) for x in (z, z_audio))
        return float((means - durations).square().mean())

    assert away("mas") < away("none")


def test_posterior_of_a_voice_without_one(spoken: Path, mute: Path, voice: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no posterior encoder.*restyle\.posterior"):
        _train("restyle.palette", spoken, tmp_path / "early", vits=str(mute))
    run = _train("restyle.posterior", spoken, tmp_path / "post", vits=str(mute), pairs="4")
    space = vits.load(str(mute))
    net = posteriors.load(run, space)
    audio = Audio(0.1 * np.random.default_rng(0).standard_normal(9000).astype(np.float32), 22050)
    assert latents_of(space, net, audio).shape == (9000 // 256, 16)
    assert posteriors.reconstruction(space, net, [audio])[0] > 0
    trained = _train("restyle.palette", spoken, tmp_path / "p", vits=str(mute), posterior=str(run))
    assert len(speak.load(trained).say("да", None).audio) > 0
    with pytest.raises(UserError, match="trained for the voice"):
        posteriors.load(run, vits.load(str(voice)))
    with pytest.raises(UserError, match="already has a posterior encoder"):
        _train("restyle.posterior", spoken, tmp_path / "again", vits=str(voice))


def test_posterior_learns_what_can_be_known() -> None:
    """z that is a linear map of the log spectrogram, by the stage's own task."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES["toy"](), model=PosteriorConfig(bins=9, channels=4, dim=32, depth=2))
    task = PosteriorTask(config, None)  # type: ignore[arg-type]
    source = torch.rand(3, 12, 9) + 0.1
    target = torch.log(source) @ torch.randn(9, 4)
    batch = FrameBatch(
        ids=("a", "b", "c"),
        source=source,
        target=target,
        frames=torch.tensor([12, 9, 4]),
        style=torch.zeros(3, 1),
    )
    optimizer = torch.optim.AdamW(task.parameters(), lr=5e-3)
    losses = []
    for step in range(150):
        part = task(batch, step).parts["latent"]
        optimizer.zero_grad()
        part.mean.backward()
        optimizer.step()
        losses.append(float(part.mean.detach()))
    assert losses[-1] < 0.1 * losses[0]
    batch.source[2, 4:], batch.target[2, 4:] = 99.0, -99.0  # padding
    assert task(batch, 150).parts.keys() == {"latent"}
    assert float(task(batch, 149).parts["latent"].mean.detach()) < 0.1 * losses[0]


@pytest.mark.parametrize("which", ["voice", "two_voices"])
def test_padding_never_enters_the_sound(which: str, request: pytest.FixtureRequest) -> None:
    """With mel_weight=1: an item shorter than the window, beside a longer one, in the voice's own speaker."""
    space = vits.load(str(request.getfixturevalue(which)))
    speaker = "1" if which == "two_voices" else ""
    config = dataclasses.replace(
        SIZES["toy"](),
        mel_weight=1.0,
        narrow=0.0,
        speaker=speaker,
        model=PosteriorConfig(bins=513, channels=16, dim=16, depth=1),
    )
    torch.manual_seed(1)
    task = PosteriorTask(config, space)
    for p in task.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    source, target = torch.rand(2, 40, 513) + 0.1, torch.randn(2, 40, 16)
    rows = {"ids": ("a", "b"), "frames": torch.tensor([40, 20]), "style": torch.zeros(2, 1)}
    first = task(FrameBatch(source=source.clone(), target=target.clone(), **rows), 3).parts["sound"]
    source[1, 20:], target[1, 20:] = 50.0, -9.0
    second = task(FrameBatch(source=source, target=target, **rows), 3).parts["sound"]
    assert torch.equal(first.total, second.total) and int(first.count) == (32 + 20) * 513
    target[1, 19] += 1
    third = task(FrameBatch(source=source, target=target, **rows), 3).parts["sound"]
    assert not torch.equal(first.total, third.total)
    second.total.backward()
    assert all(p.grad is not None for p in task.parameters())
    if speaker:  # the window is decoded in the speaker's own voice
        task.config = dataclasses.replace(config, speaker="0")
        other = task(FrameBatch(source=source, target=target, **rows), 3).parts["sound"]
        assert not torch.equal(third.total, other.total)


def test_half_of_the_training_items_end_at_8_khz() -> None:
    edge = edge_of(22050, 1024)
    assert edge == 372 and edge_of(16000, 1024) == 0
    config = dataclasses.replace(SIZES["toy"](), model=PosteriorConfig(bins=513, channels=4, edge=edge))
    task = PosteriorTask(config, None)  # type: ignore[arg-type]
    names = tuple(str(i) for i in range(64))
    batch = FrameBatch(
        ids=names,
        source=torch.ones(64, 5, 513),
        target=torch.zeros(64, 5, 4),
        frames=torch.full((64,), 5),
        style=torch.zeros(64, 1),
    )
    limited = task._limit_band(batch, 0)
    cut = (limited[:, 0, edge:] < 0.01).all(1)
    assert 16 < int(cut.sum()) < 48 and bool((limited[..., :edge] == 1).all())
    assert torch.equal(limited, task._limit_band(batch, 0)) and not torch.equal(
        limited, task._limit_band(batch, 1)
    )
    assert torch.equal(task.eval()._limit_band(batch, 0), batch.source)


def test_a_recording_is_brought_to_the_voices_level_and_band() -> None:
    rng = np.random.default_rng(0)
    wide = Audio(0.1 * rng.standard_normal(22050).astype(np.float32), 22050)
    narrow = wide.resample(16000).resample(22050)
    edge = edge_of(22050, 1024)
    specs = [magnitudes(torch.from_numpy(a.samples), 1024, 256) for a in (wide, narrow)]
    assert posteriors.level_of(specs[0]) == pytest.approx(-20, abs=0.2)  # 0.1 is 20 dB down
    net = PosteriorNet(PosteriorConfig(edge=edge))
    net.share.fill_(posteriors.share_of(specs[0], edge))
    net.level.fill_(-29.0)
    assert net.gain == pytest.approx(10 ** (-6 / 20))
    assert torch.equal(net.match_band(specs[0]), specs[0])
    matched = net.match_band(specs[1])
    assert bool((matched[:, edge:] == posteriors.SILENT).all()) and torch.equal(
        matched[:, :edge], specs[1][:, :edge]
    )


def test_all_texts_are_used_before_one_is_repeated() -> None:
    texts = [(f"{i:02d}", f"text {i}") for i in range(10)]
    order = order_of(texts, 25, seed=3)
    assert sorted(id for _, id, _ in order[:10]) == [id for id, _ in texts] != [id for _, id, _ in order[:10]]
    assert len({name for name, _, _ in order}) == 25 and order[:12] == order_of(texts, 12, seed=3)
    assert [id for _, id, _ in order[:10]] != [id for _, id, _ in order_of(texts, 10, seed=4)]
    assert {text for _, id, text in order if id == "07"} == {"text 7"}


def test_a_model_of_synthetic_speech(spoken: Path, voice: Path, tmp_path: Path) -> None:
    space = vits.load(str(voice))
    axis = ProsodyAxis(weights=torch.ones(space.channels), fit=1.0)
    source, target = two_renditions(space, axis, "добрый день", "a#0", seed=0)
    again = two_renditions(space, axis, "добрый день", "a#0", seed=0)
    assert source.shape == target.shape and torch.equal(source, again[0]) and torch.equal(target, again[1])
    assert not torch.equal(source, target)
    pairs, style = synthetic_pairs(Prepared.open(spoken), space, count=14, seed=0, max_frames=2400)
    vectors = np.stack([p.style for p in pairs["train"]])
    assert 10 <= len(pairs["train"]) + len(pairs["dev"]) <= 14 and vectors.shape[1] == 2 * len(NAMES)
    varied = np.array([style.scale[n][1] > 0.01 for n in NAMES])  # a random voice has one pitch
    assert varied.any()
    assert np.allclose(vectors.mean(0)[: len(NAMES)], 0, atol=0.05)
    assert np.allclose(vectors.std(0)[: len(NAMES)][varied], 1, atol=0.1)
    assert all(p.source.shape == p.target.shape for p in pairs["train"])
    # Unaligned: the same sentences are wanted, from ones with durations of their own, cut or padded.
    apart, _ = synthetic_pairs(Prepared.open(spoken), space, count=14, seed=0, max_frames=2400, align="none")
    for one, other in zip(pairs["train"], apart["train"], strict=True):
        assert one.id == other.id and np.array_equal(one.target, other.target)
        assert other.source.shape == one.source.shape and not np.array_equal(one.source, other.source)
    padded = [p for p in apart["train"] if not p.source[-1].any()]
    assert 0 < len(padded) < len(apart["train"])
    run = _train("restyle.palette", spoken, tmp_path / "own", vits=str(voice), speech="own", sentences="14")
    restyler = speak.load(run)
    assert restyler.style.describe() == style.describe()
    assert len(restyler.say("да", "тихо", steps=1).audio) > 0
    with pytest.raises(UserError, match="needs measured prosody"):
        _train("restyle.palette", spoken, tmp_path / "x", vits=str(voice), speech="own", style=f"style:{run}")


@pytest.mark.usefixtures("messages_on_stderr")
def test_synthetic_speech_continues_after_an_interruption(
    spoken: Path,
    voice: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    shutil.copytree(spoken, data, ignore=shutil.ignore_patterns("latents-*"))
    prepared, space = Prepared.open(data), vits.load(str(voice))
    texts: list[str] = []
    say_twice = own.two_renditions

    def count_sentences(*args: Any, **kwargs: Any) -> Any:
        if len(texts) == 5:
            raise KeyboardInterrupt
        texts.append(args[2])
        return say_twice(*args, **kwargs)

    def speak_all() -> dict[str, list[FramePair]]:
        return synthetic_pairs(prepared, space, count=8, seed=1, max_frames=2400)[0]

    monkeypatch.setattr(pairs_module, "PART", 2)
    monkeypatch.setattr(own, "two_renditions", count_sentences)
    with pytest.raises(KeyboardInterrupt):
        speak_all()
    errors = capsys.readouterr().err
    assert "speaks 8 sentences of the corpus" in errors and "kept in" in errors
    assert not list(data.glob("latents-" + "[0-9a-f]" * 16 + ".safetensors"))
    texts[:] = [""] * 6
    resumed = speak_all()
    assert len(texts) == 6 + 4  # two parts of two were kept
    (file,) = data.glob("latents-*")
    file.unlink()
    whole = speak_all()
    for split, pairs in whole.items():
        assert [p.id for p in resumed[split]] == [p.id for p in pairs]
        for one, other in zip(resumed[split], pairs, strict=True):
            assert all(
                np.array_equal(getattr(one, n), getattr(other, n)) for n in ("source", "target", "style")
            )


def test_styles_are_in_deviations_of_the_train_split_and_kept(runs: dict[str, Path], spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    measured = measured_of(prepared)
    facts = json.loads((runs["palette"] / "restyle.json").read_text())
    rows = [measured[i.id]["pitch"] for i in prepared.items("train")]
    assert facts["style"]["scale"]["pitch"] == pytest.approx([np.mean(rows), np.std(rows)], abs=1e-5)
    restyler = speak.load(runs["palette"])
    vectors = [restyler.style.of_measured(measured[i.id]) for i in prepared.items("train")]  # type: ignore
    assert np.mean([v[0] for v in vectors]) == pytest.approx(0, abs=1e-3)


def test_a_style_that_knows_the_rate_sets_it(runs: dict[str, Path]) -> None:
    restyler = speak.load(runs["palette"])
    plain = len(restyler.say("добрый день", "тихо", steps=1).z)
    assert len(restyler.say("добрый день", "очень медленно", steps=1).z) > plain
    assert len(restyler.say("добрый день", "очень медленно", steps=1, rate=1.0).z) == plain
    assert len(restyler.say("добрый день", "очень медленно", steps=1, guidance=0).z) == plain


def test_a_model_of_an_earlier_version_is_refused_in_a_line(
    runs: dict[str, Path], spoken: Path, mute: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs["palette"], old)
    facts = json.loads((old / "restyle.json").read_text())
    facts.pop("version")
    _put(old / "restyle.json", facts)
    with pytest.raises(UserError, match=r"of version 1; this version of intona reads 2.*train it again"):
        speak.load(old)
    post = _train("restyle.posterior", spoken, tmp_path / "post", vits=str(mute), pairs="4")
    facts = json.loads((post / "posterior.json").read_text())
    facts.pop("version")
    _put(post / "posterior.json", facts)
    with pytest.raises(UserError, match="train it again"):
        posteriors.load(post, vits.load(str(mute)))


def _put(path: Path, value: object) -> None:
    """A file of a checkpoint with another content, and the index that fits it."""
    path.write_text(json.dumps(value))
    checkpoint.write_index(path.parent, list(json.loads((path.parent / checkpoint.INDEX).read_text())))


def test_a_corpus_of_another_language(spoken: Path, voice: Path, tmp_path: Path) -> None:
    english = tmp_path / "en"
    shutil.copytree(voice, english)
    tokens = json.loads((english / "tokenizer_config.json").read_text())
    (english / "tokenizer_config.json").write_text(json.dumps(tokens | {"language": "eng"}))
    with pytest.raises(UserError, match=r"the corpus is in ru.*speaks en"):
        _train("restyle.bridge", spoken, tmp_path / "run", vits=str(english))


def test_another_voice_is_refused(runs: dict[str, Path], voice: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    changed = tmp_path / "v"
    shutil.copytree(voice, changed)
    state = load_file(changed / "model.safetensors")
    state["text_encoder.project.bias"] += 0.1
    save_file(state, changed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="other weights"):
        speak.load(runs["palette"], voice=str(changed))
    posterior_like = tmp_path / "other"
    shutil.copytree(runs["palette"], posterior_like)
    config = json.loads((posterior_like / "config.json").read_text())
    (posterior_like / "config.json").write_text(json.dumps(config | {"stage": "prosody.gradtts"}))
    with pytest.raises(UserError):
        speak.load(posterior_like)


def test_pairs_survive_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        FramePair(
            id=f"a/ё {i}",
            source=rng.standard_normal((n, 3)).astype(np.float32),
            target=rng.standard_normal((n, 2)).astype(np.float32),
            style=np.ones(4, np.float32),
        )
        for i, n in enumerate((5, 9))
    ]
    write(tmp_path / "p", {"train": rows, "dev": rows[:1]}, "x")
    assert read(tmp_path / "p", "y") is None and read(tmp_path / "q", "x") is None
    back = read(tmp_path / "p", "x")
    assert back is not None and [p.id for p in back["train"]] == ["a/ё 0", "a/ё 1"] and len(back["dev"]) == 1
    assert np.allclose(back["train"][1].source, rows[1].source, atol=2e-3)
    batch = collate(back["train"])
    assert batch.source.shape == (2, 9, 3) and bool((batch.target[0, 5:] == 0).all())
    # Files have the names that earlier versions gave to source and target.
    with safetensors.safe_open(tmp_path / "p", "numpy") as f:
        names = {key.rsplit("/", 1)[1] for key in f.keys()}  # noqa: SIM118
    assert names == {"given", "wanted", "style", "id"}
    (tmp_path / "p").write_bytes(b"no tensors")
    assert read(tmp_path / "p", "x") is None


# -------------------------------------------------------------------------- CLI


def _cli(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.err


def test_cli_writes_a_wav(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "a.wav"
    code, err = _cli(
        "restyle",
        "добрый день",
        "--model",
        runs["bridge"],
        "--style",
        "тихо",
        "-o",
        out,
        "--steps",
        2,
        "--control",
        capsys=capsys,
    )
    assert code == 0 and "RTF" in err
    assert read_audio(out).sample_rate == 22050 and (tmp_path / "new" / "a.text.wav").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--style", "  "], "empty style"),
        (["--style", "langsam"], "langsam"),
        (["--style", "silence.wav"], "silent"),
        (["--style", "nothere.wav"], "nothere.wav"),
        (["--guidance", "-1"], "--guidance"),
        (["--steps", "0"], "--steps"),
        (["--rate", "9"], "--rate"),
        (["-o", "a.txt"], "a.txt"),
        (["--vits", "/nowhere"], "/nowhere"),
        (["--vits", "silence.wav"], "is a file"),
    ],
)
def test_cli_bad_input_is_one_line(
    runs: dict[str, Path],
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Audio(np.zeros(22050, np.float32), 22050).write("silence.wav")
    code, err = _cli("restyle", "да", "--model", runs["palette"], *arguments, capsys=capsys)
    assert code == 1 and says in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out.wav").exists()


def test_cli_the_old_flag_of_the_frozen_vits(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = _cli("restyle", "да", "--model", runs["palette"], "--voice", "/nowhere", capsys=capsys)
    assert code == 1 and "--voice is now --vits" in err and err.count("/nowhere") == 1


def test_cli_other_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = _cli("restyle", "да", "--model", tmp_path / "none", capsys=capsys)
    assert code == 1 and "none" in err
    code, err = _cli("restyle", " ", "--model", tmp_path, capsys=capsys)
    assert code == 1 and "no text" in err


def test_say_takes_a_style(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = []
    for name, more in (("a", []), ("b", ["--style", "тихо", "--guidance", 5]), ("c", ["--style", "тихо"])):
        out = tmp_path / f"{name}.wav"
        line = ["say", "добрый день", "--model", runs["palette"], "-o", out, "--steps", 2, *more]
        assert _cli(*line, capsys=capsys)[0] == 0
        sounds.append(out.read_bytes())
    assert len(set(sounds)) == 3
    for more, says in (
        (["--style", "langsam"], "langsam"),
        (["--phonemes"], "--phonemes"),
        (["--temperature", "1"], "--temperature"),
        (["--speaker", "Anna"], "one speaker"),
    ):
        code, err = _cli("say", "да", "--model", runs["palette"], "-o", out, *more, capsys=capsys)
        assert code == 1 and says in err and len(err.strip().splitlines()) == 1


def test_other_voices_have_no_style(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = _cli("say", "да", "--style", "тихо", "-o", "x.wav", capsys=capsys)
    assert code == 1 and "--style" in err


def test_the_posterior_never_trains_on_the_test(spoken: Path, voice: Path) -> None:
    prepared = Prepared.open(spoken)
    ids = {id for id, _ in texts_of(prepared, vits.load(str(voice)))}
    assert ids == {i.id for s in ("train", "dev") for i in prepared.items(s)}
    assert ids.isdisjoint(i.id for i in prepared.items("test")) and prepared.items("test")


def test_a_name_in_the_config_of_a_model_is_not_fetched(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface = pytest.importorskip("huggingface_hub")
    requests: list[bool] = []

    def download(name: str, *, local_files_only: bool, **_: object) -> str:
        requests.append(not local_files_only)
        raise OSError("not cached")

    monkeypatch.setattr(huggingface, "snapshot_download", download)
    copy = tmp_path / "run"
    shutil.copytree(checkpoint.resolve(runs["palette"]), copy)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"vits": "some/body"}), "utf-8")
    checkpoint.write_index(
        copy, [str(p.relative_to(copy)) for p in copy.rglob("*") if p.name != "files.json" and p.is_file()]
    )
    with pytest.raises(UserError, match="some/body: is not on this machine"):
        speak.load(copy)
    assert requests == [False]
