"""Exported voices and vocoders against torch, and folders that are damaged."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import intona
from intona import checkpoint, cli, models, synth
from intona.errors import UserError
from intona.export.model import export
from intona.nn import precision
from intona.runtime import folder, session
from intona.runtime import vocoder as vocoders
from intona.systems.gradtts.onnx import OnnxVoice
from intona.vocoder import load_vocoder

from .conftest import PLAIN, save_voice

TEXT = "m ˈa m ə | m ˈa , m ə ."
OTHER_OPTIONS = {"solver": "ancestral", "speaker": "boris", "rate": 0.7, "steps": 3}
Exported = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore:the text front end is not")


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bf16_wins", lambda device="cpu": False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, options) for name in ("plain", "blanks") for options in ({}, OTHER_OPTIONS)),
        *(("flow", {**OTHER_OPTIONS, "solver": solver}) for solver in ("euler", "midpoint")),
    ],
)
def test_the_mel_is_that_of_torch(exported: Exported, name: str, options: dict, fp32: None) -> None:
    path = exported(name)
    onnx = synth.load(path, vocoder="griffin-lim")
    torch_ = synth.load(path, vocoder="griffin-lim", backend="torch")
    assert isinstance(onnx, OnnxVoice) and not isinstance(torch_, OnnxVoice)
    sentences = onnx.sentences(TEXT, phonemes=True)
    speakers = [onnx.speaker_id(options.get("speaker"))]
    mels = [
        voice.spoken(sentences, speakers, seed=3, random=voice.random([(3, 0)]), **options)[0]
        for voice in (onnx, torch_)
    ]
    assert list(mels[0].durations) == list(mels[1].durations)
    # The untrained network that predicts the noise reaches hundreds.
    assert np.abs(mels[0].mel - mels[1].mel.numpy()).max() < 1e-4 * max(1, np.abs(mels[0].mel).max())
    assert mels[0].mel.std() > 0.1


def test_a_flow_voice_has_solvers_of_its_own(exported: Exported) -> None:
    for backend in ("onnx", "torch"):
        voice = synth.load(exported("flow"), vocoder="griffin-lim", backend=backend)
        assert voice.settled().solver == "euler" and voice.info["solvers"] == ["euler", "midpoint", "ddim"]
        with pytest.raises(UserError, match="is not for models of flow matching"):
            voice.say(TEXT, phonemes=True, solver="dpm2m")
    assert synth.load(exported("plain"), vocoder="griffin-lim").settled().solver == "dpm2m"


def test_say_stream_batch_and_times_agree(exported: Exported) -> None:
    voice = synth.load(exported("plain"), vocoder="griffin-lim", backend="onnx")
    options = {"phonemes": True, "seed": 1}
    audio = voice.say(TEXT, **options)
    assert audio.duration > 0.2 and np.array_equal(voice.say(TEXT, **options).samples, audio.samples)
    assert not np.array_equal(voice.say(TEXT, phonemes=True, seed=2).samples, audio.samples)
    pieces = [p.samples for p in voice.stream(TEXT, **options)]
    assert np.array_equal(np.concatenate(pieces), audio.samples)
    (batched,) = voice.speak_batch([voice.read(TEXT, **options)])
    assert np.array_equal(batched.samples, audio.samples)  # type: ignore[union-attr]
    speech = voice.speech(TEXT, **options)
    assert [w.text for w in speech.words] == ["mˈamə", "mˈa", "mə"]
    assert speech.words[-1].end <= audio.duration + 1e-6


def test_a_voice_is_the_same_on_both_backends_for_records(exported: Exported) -> None:
    voices = [synth.load(exported("plain"), backend=b) for b in ("onnx", "torch")]
    assert voices[0].identity() == voices[1].identity()
    assert voices[0].info["parameters"] == voices[1].info["parameters"]
    assert voices[0].speakers == voices[1].speakers == ("anna", "boris")


def test_the_card_and_the_index_know_of_the_graphs(exported: Exported) -> None:
    path = exported("plain")
    report = models.card_fields(path)["export"]
    assert report["opset"] == 20 and report["largest_difference"]["log_mel"] < 1e-4
    checkpoint.verify(path, state=False)
    assert {"encoder.onnx", "decoder.onnx", "onnx.json"} <= configs_index(path).keys()
    assert not (path / "ema.safetensors").exists() and not (path / "state").exists()
    # The weights are stored once: the graphs hold none of them but small vectors.
    assert (path / "decoder.onnx").stat().st_size < 60_000


def configs_index(path: Path) -> dict:
    return json.loads((path / checkpoint.INDEX).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["hifigan", "vocos", "source-filter"])
def test_a_vocoder_sounds_as_with_torch(exported: Exported, kind: str, mel: np.ndarray) -> None:
    path = exported(kind)
    expected = load_vocoder(path, bf16=False).decode(torch.from_numpy(mel)[None])[0].numpy()
    vocoder = vocoders.load_vocoder(path)
    samples = vocoder.decode(mel)
    assert samples.dtype == np.float32 and samples.std() > 1e-4
    assert np.abs(samples - expected).max() < 1e-4
    vocoder.chunk_frames = 17  # type: ignore[attr-defined]
    assert np.abs(vocoder.decode(mel) - samples).max() < 1e-4
    assert vocoder.decode(mel[:0]).shape == (0,)
    with pytest.raises(UserError, match="shape"):
        vocoder.decode(mel[:, :40])
    with pytest.raises(UserError, match="NaN"):
        vocoder.decode(np.full_like(mel, np.nan))


def test_a_source_filter_streams_what_it_decodes(exported: Exported, mel: np.ndarray) -> None:
    vocoder = vocoders.load_vocoder(exported("source-filter"))
    assert isinstance(vocoder, vocoders.OnnxSourceFilter)
    pieces = list(vocoder.stream([mel[:20], mel[20:25], mel[25:]]))
    assert np.abs(np.concatenate(pieces) - vocoder.decode(mel)).max() < 1e-4


def test_a_voice_speaks_with_an_exported_vocoder(exported: Exported, fp32: None) -> None:
    audio = [
        synth.load(exported("plain"), vocoder=str(exported("vocos")), backend=b).say(TEXT, phonemes=True)
        for b in ("onnx", "torch")
    ]
    assert np.abs(audio[0].samples - audio[1].samples).max() < 2e-3


def test_export_replaces_a_model_in_place(exported: Exported, tmp_path: Path) -> None:
    path = shutil.copytree(exported("plain"), tmp_path / "voice")
    (path / "lexicon.txt").write_text("мама = м+ама\n", encoding="utf-8")
    report = export(path, path)
    assert report["largest_difference"]["sentences"] > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voice"]
    assert (path / "lexicon.txt").is_file()
    checkpoint.verify(path, state=False)


def test_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    run = save_voice(tmp_path / "voice", **PLAIN)
    with pytest.raises(UserError, match="checkpoint of a training"):
        export(run, run)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        export(run, other)
    assert (other / "notes").read_text() == "mine"


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    run = save_voice(tmp_path / "voice", decoder="unet2d", **PLAIN)
    with pytest.raises(UserError, match="unet2d decoder cannot be exported"):
        export(run, tmp_path / "out")
    with pytest.raises(UserError, match="ditto voices cannot be exported"):
        export("ditto", tmp_path / "out")
    with pytest.raises(UserError, match="neither a voice nor a vocoder"):
        export("prosody-ru", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voice"]


def damaged(path: Path, name: str, content: bytes | None) -> None:
    """Change a file of a model, and its index, so that only the reader of the graphs can notice."""
    if content is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(content)
    checkpoint.write_index(path, [p.name for p in path.iterdir() if p.name != checkpoint.INDEX])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("encoder.onnx", b"not a graph", "damaged"),
        ("encoder.onnx", b"", "damaged"),
        ("decoder.onnx", None, "the graph is missing"),
        ("onnx.json", b"{}", "another format"),
        ("onnx.json", b'{"format": 1, "kind": "gradtts"}', "missing key"),
        ("onnx.json", b'{"format": 1, "kind": "wavenet"}', "wavenet"),
        ("onnx.json", b'{"format": 1, "kind": "hifigan", "reach": 3}', "the graphs of hifigan"),
        ("onnx.json", b"{", "not valid JSON"),
    ],
)
def test_damaged_graphs_are_one_line(
    exported: Exported, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = shutil.copytree(exported("plain"), tmp_path / "voice")
    damaged(path, name, content)
    with pytest.raises(UserError, match=message) as e:
        synth.load(path, backend="onnx")
    assert "\n" not in str(e.value) and str(path) in str(e.value)


def test_truncated_weights_are_refused(exported: Exported, tmp_path: Path) -> None:
    path = shutil.copytree(exported("plain"), tmp_path / "voice")
    weights = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(UserError, match="truncated"):
        synth.load(path, backend="onnx")
    damaged(path, "model.safetensors", weights[:2000])  # with an index that agrees
    with pytest.raises(UserError, match="damaged, or of another model"):
        synth.load(path, backend="onnx")


def test_arrays_that_do_not_fit_are_one_line(exported: Exported) -> None:
    graph = session.GraphSession(exported("plain") / "decoder.onnx")
    with pytest.raises(UserError, match=r"decoder.onnx: the graph failed"):
        graph(**{name: np.zeros((1, 3, 7), np.float32) for name in graph.inputs})
    with pytest.raises(UserError, match="input that is not known"):
        graph(z=np.zeros((1, 3, 80), np.float32))


def test_which_backend_speaks(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported("plain")
    run = save_voice(tmp_path / "voice", **PLAIN)

    def backend(model: Path, **options: object) -> bool:
        return isinstance(synth.load(model, **options), OnnxVoice)  # type: ignore[arg-type]

    assert backend(path) and backend(path, vocoder="griffin-lim") and not backend(path, backend="torch")
    assert not backend(run)  # without graphs
    with pytest.raises(UserError, match="has no graphs"):
        synth.load(run, backend="onnx")
    with pytest.raises(UserError, match="ditto voices have no ONNX backend"):
        synth.load("ditto", backend="onnx")
    with pytest.raises(UserError, match="on the CPU alone"):
        synth.load(path, backend="onnx", device="meta")
    with pytest.raises(UserError, match='unknown backend "jax"'):
        synth.load(path, backend="jax")  # type: ignore[arg-type]
    monkeypatch.setattr(session, "installed", lambda: False)
    assert not backend(path)
    with pytest.raises(UserError, match="needs onnxruntime, which is not installed; pip install onnxruntime"):
        synth.load(path, backend="onnx")


def test_a_vocoder_without_graphs_needs_torch(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = shutil.copytree(exported("hifigan"), tmp_path / "bare")
    (bare / folder.FILE).unlink()
    assert not isinstance(synth.load(exported("plain"), vocoder=str(bare)), OnnxVoice)
    with pytest.raises(UserError, match="has no graphs"):
        synth.load(exported("plain"), vocoder=str(bare), backend="onnx").say(TEXT, phonemes=True)


def test_the_shipped_voice_speaks_through_its_graphs(fp32: None) -> None:
    voices = [intona.load("ru", vocoder="vocoder-draft", backend=b) for b in ("onnx", "torch")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audio = [v.say("Добрый день!", seed=1) for v in voices]
    assert isinstance(voices[0], OnnxVoice) and len(audio[0]) == len(audio[1])
    for name in ("ru", "hifigan", "vocoder-draft"):
        path = models.find(name)
        checkpoint.verify(path, state=False)
        assert folder.has_graphs(path)


def test_export_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save_voice(tmp_path / "voice", **PLAIN)
    assert cli.main(["export", str(run), "-o", str(tmp_path / "out")]) == 0
    assert "opset 20; against torch: sentences" in capsys.readouterr().out
    arguments = ["say", "--phonemes", TEXT, "--model", str(tmp_path / "out"), "--vocoder", "griffin-lim"]
    assert cli.main([*arguments, "--backend", "onnx", "-o", str(tmp_path / "a.wav")]) == 0
    assert (tmp_path / "a.wav").is_file()
