"""restyle.style and restyle.decoder: the embedding behind the conditioner, the copy of the decoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint, systems
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.encoders import styles
from intona.errors import UserError
from intona.systems.restyle import decoder, speak, vits
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.pairs import FrameBatch

pytest.importorskip("transformers", reason="a VITS voice needs transformers")

pytestmark = pytest.mark.trains
QUICK = {"loop.steps": "4", "loop.save_every": "2", "loop.validate_every": "4", "loop.precision": "fp32"}


def _train(stage: str, data: Path, out: Path, **more: str) -> Path:
    return systems.train(stage, size="toy", data=data, out=out, overrides={**QUICK, "loop.keep": "9", **more})


def _hashes(step: Path) -> dict[str, str]:
    hashes = json.loads((step / "files.json").read_text())
    return {k: v["sha256"] for k, v in hashes.items() if k != "provenance.json"}


@pytest.fixture(scope="module")
def run(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("style") / "run"
    _train("restyle.style", spoken, out)
    return out


def test_prosody_is_measured_once(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared.open(spoken)
    first = measured_of(prepared)
    assert set(first) == {i.id for i in prepared}
    monkeypatch.setattr("intona.systems.restyle.measured.measure", None)
    assert measured_of(prepared) == first


def test_the_embedding_is_a_condition_like_any_other(
    run: Path, spoken: Path, voice: Path, tmp_path: Path
) -> None:
    encoder = styles.load(f"style:{run}")
    prepared = Prepared.open(spoken)
    audio = read_audio(prepared.audio_path(prepared.items("test")[0]))
    for vector in (encoder.of_audio(audio), encoder.of_text("very low, slow"), encoder.of_text("тихо")):
        assert vector.shape == (encoder.dim,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(encoder.of_audio(audio), styles.load(f"style:{run}").of_audio(audio))
    assert encoder.name == "style embedding" and "CLAP" not in json.dumps(encoder.describe())
    with pytest.raises(UserError, match="silent"):
        encoder.of_audio(Audio(np.zeros(22050, np.float32), 22050))
    with pytest.raises(UserError, match="empty style"):
        encoder.of_text(" ")
    with pytest.raises(UserError, match="langsam"):
        encoder.of_text("langsam")
    checkpoint = _train("restyle.palette", spoken, tmp_path / "p", vits=str(voice), style=f"style:{run}")
    spoken_so = speak.load(checkpoint).say("добрый день", "low, calm", guidance=2, steps=2)
    assert torch.isfinite(spoken_so.z).all()
    other = tmp_path / "other"
    shutil.copytree(run, other)
    _train("restyle.style", spoken, tmp_path / "again", **{"loop.seed": "3"})
    shutil.rmtree(run.parent / "kept", ignore_errors=True)
    with pytest.raises(UserError, match="style encoder differs"):
        speak.load(checkpoint, style=f"style:{tmp_path / 'again'}")
    assert speak.load(checkpoint, style=f"style:{other}").style.dim == encoder.dim
    with pytest.raises(UserError, match=r"not a run of restyle\.style"):
        styles.load(f"style:{checkpoint}")


def test_exact_resume_of_the_embedding(run: Path, spoken: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copytree(run / "step-00000002", half / "step-00000002")
    _train("restyle.style", spoken, half)
    assert _hashes(run / "step-00000004") == _hashes(half / "step-00000004")


# ---------------------------------------------------------------- the decoder


def test_the_decoder_is_a_copy_and_the_voice_stays(spoken: Path, voice: Path, tmp_path: Path) -> None:
    before = vits.load(str(voice)).weights_hash()
    out = tmp_path / "run"
    step = _train("restyle.decoder", spoken, out, vits=str(voice), **{"optim.lr": "1e-2"})
    space = vits.load(str(voice))
    assert space.weights_hash() == before
    tuned = decoder.load(out, space)
    frozen = dict(space.model.decoder.named_parameters())
    assert any(not torch.equal(p, frozen[n]) for n, p in tuned.named_parameters())
    names = checkpoint.read_tensors(step / "model.safetensors")
    assert names and all(k.startswith("decoder.") for k in names)
    z = torch.randn(1, 12, space.channels)
    with torch.inference_mode():
        assert not torch.allclose(space.decode(z), space.decode(z, decoder=tuned))
    changed = vits.load(str(voice))
    changed.model.text_encoder.project.bias.data += 1
    with pytest.raises(UserError, match="not a decoder for the voice"):
        decoder.load(out, changed)
    old = tmp_path / "old"
    shutil.copytree(step, old)
    (old / "decoder.json").write_text(json.dumps({"voice_hash": before}))
    checkpoint.write_index(old, list(json.loads((old / checkpoint.INDEX).read_text())))
    with pytest.raises(UserError, match=r"version 1 of restyle\.decoder.*train it again"):
        decoder.load(old, space)
    half = tmp_path / "half"
    half.mkdir()
    shutil.copytree(out / "step-00000002", half / "step-00000002")
    _train("restyle.decoder", spoken, half, vits=str(voice), **{"optim.lr": "1e-2"})
    # The gradient of a transposed convolution is not the same to the bit on every call, so no hashes here.
    straight, resumed = (checkpoint.weights(r / "step-00000004") for r in (out, half))
    start = checkpoint.weights(out / "step-00000002")
    assert straight.keys() == resumed.keys()
    assert all(torch.allclose(straight[k], resumed[k], atol=1e-5) for k in straight)
    assert not all(torch.allclose(straight[k], start[k], atol=1e-5) for k in straight)


def test_a_decoder_may_learn_another_language(spoken: Path, voice: Path, tmp_path: Path) -> None:
    """It uses no text; unless that is requested, another language is a mistake."""
    english = tmp_path / "en"
    shutil.copytree(voice, english)
    tokens = json.loads((english / "tokenizer_config.json").read_text())
    (english / "tokenizer_config.json").write_text(json.dumps(tokens | {"language": "eng"}))
    with pytest.raises(UserError, match="the corpus is in ru"):
        _train("restyle.decoder", spoken, tmp_path / "refused", vits=str(english))
    _train("restyle.decoder", spoken, tmp_path / "tuned", vits=str(english), any_language="true")
    assert decoder.load(tmp_path / "tuned", vits.load(str(english)))


def test_a_tuned_decoder_speaks_for_a_model(spoken: Path, voice: Path, tmp_path: Path) -> None:
    _train("restyle.decoder", spoken, tmp_path / "d", vits=str(voice), **{"optim.lr": "1e-2"})
    model = _train("restyle.bridge", spoken, tmp_path / "b", vits=str(voice))
    default, tuned = (speak.load(model, decoder=d).say("да", "тихо", steps=1) for d in (None, tmp_path / "d"))
    assert torch.equal(default.z, tuned.z) and not np.allclose(default.audio.samples, tuned.audio.samples)


def test_windows_are_the_same_frames_of_both() -> None:
    frames = torch.tensor([30, 24])
    z = torch.arange(30.0)[None, :, None].expand(2, 30, 3)
    sound = z[..., :1].expand(2, 30, 256)
    batch = FrameBatch(ids=("a", "b"), source=sound, target=z, frames=frames, style=torch.zeros(2, 1))
    config = decoder.SIZES["toy"]()
    places = set()
    for step in range(20):
        cut, samples = decoder.window(batch, config, step, validating=False)
        assert torch.equal(samples.view(2, config.segment, 256)[..., 0], cut[..., 0])
        assert bool((cut[:, -1, 0] < frames).all()) and float(cut[1, 0, 0]) == 0
        places.add(float(cut[0, 0, 0]))
    assert places == set(range(7))
    assert float(decoder.window(batch, config, 3, validating=True)[0][0, 0, 0]) == 0


def test_the_distance_of_a_sound_from_itself_is_nothing() -> None:
    x = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    assert float(decoder.spectral_distance(x, x).mean) == 0
    near, far = (decoder.spectral_distance(x * g, x).mean for g in (0.9, 0.5))
    assert 0 < float(near) < float(far)
    one, two = (decoder.spectral_distance(0.5 * x[:n], x[:n]) for n in (1, 2))
    assert float(two.count) == 2 and float(one.count) == 1
