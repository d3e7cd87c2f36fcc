"""restyle.posterior, .palette, .bridge on a tiny random VITS: whole chains, exact resume, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint, cli, systems
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.latents import vits
from intona.latents.vits import posterior as posteriors
from intona.latents.vits.posterior import PosteriorConfig, latents_of
from intona.systems.restyle import speak
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.pairs import Pair, PairBatch, collate, read, write
from intona.systems.restyle.posterior import SIZES, PosteriorTask, texts_of

pytest.importorskip("transformers", reason="a VITS voice needs transformers")

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


@pytest.fixture(scope="module")
def runs(spoken: Path, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("restyle")
    return {
        name: _train(f"restyle.{name}", spoken, root / name, vits=str(voice))
        for name in ("palette", "bridge")
    }


@pytest.mark.parametrize("name", ["palette", "bridge"])
def test_a_run_speaks_and_says_the_same_again(runs: dict[str, Path], name: str) -> None:
    made = speak.load(runs[name])
    first = made.say("добрый день", "calm, low", guidance=3, steps=3, seed=4)
    again = speak.load(runs[name]).say("добрый день", "calm, low", guidance=3, steps=3, seed=4)
    assert np.array_equal(first.audio.samples, again.audio.samples)
    assert len(first.audio) == len(first.z) * made.space.hop and torch.isfinite(first.z).all()
    other = made.say("добрый день", "calm, low", guidance=3, steps=3, seed=5)
    assert len(other.z) != len(first.z) or not torch.equal(other.z, first.z)
    assert len(made.say("добрый день", None, rate=0.5).z) > 1.3 * len(made.say("добрый день", None).z)


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


def test_alignment_gives_the_recording_its_own_frames(spoken: Path, voice: Path) -> None:
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
    # Aligned, the prior explains the recording better than with the voice's own durations cut to length.
    assert not torch.allclose(aligned, cut)


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
    with pytest.raises(UserError, match="of its own"):
        _train("restyle.posterior", spoken, tmp_path / "again", vits=str(voice))


def test_posterior_learns_what_can_be_known() -> None:
    """z that is a linear map of the log spectrogram, by the stage's own task."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES["toy"](), model=PosteriorConfig(bins=9, channels=4, dim=32, depth=2))
    task = PosteriorTask(config, None)  # type: ignore[arg-type]
    given = torch.rand(3, 12, 9) + 0.1
    wanted = torch.log(given) @ torch.randn(9, 4)
    batch = PairBatch(
        ids=("a", "b", "c"),
        given=given,
        wanted=wanted,
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
    batch.given[2, 4:], batch.wanted[2, 4:] = 99.0, -99.0  # padding
    assert float(task(batch, 149).parts["latent"].mean.detach()) < 0.1 * losses[0]


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
        Pair(
            id=f"a/ё {i}",
            given=rng.standard_normal((n, 3)).astype(np.float32),
            wanted=rng.standard_normal((n, 2)).astype(np.float32),
            style=np.ones(4, np.float32),
        )
        for i, n in enumerate((5, 9))
    ]
    write(tmp_path / "p", {"train": rows, "dev": rows[:1]}, "x")
    assert read(tmp_path / "p", "y") is None and read(tmp_path / "q", "x") is None
    back = read(tmp_path / "p", "x")
    assert back is not None and [p.id for p in back["train"]] == ["a/ё 0", "a/ё 1"] and len(back["dev"]) == 1
    assert np.allclose(back["train"][1].given, rows[1].given, atol=2e-3)
    batch = collate(back["train"])
    assert batch.given.shape == (2, 9, 3) and bool((batch.wanted[0, 5:] == 0).all())
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
        (["--voice", "/nowhere"], "/nowhere"),
        (["--voice", "silence.wav"], "is a file"),
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
