"""Grad-TTS on a pretrained encoder: the weights arrive, learn slowly or not at all, and the voice speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import intona
from intona import checkpoint, systems
from intona.config import from_dict, to_dict
from intona.data.prepared import Prepared
from intona.encoders import pretrained, speakers
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.speaker import SpeakerVectors
from intona.errors import UserError
from intona.systems.gradtts import GradTTSConfig
from intona.systems.gradtts import stage as gradtts
from intona.text import BpeTokenizer, PhonemeTokenizer

pytestmark = pytest.mark.trains

FEW = {"loop.steps": "2", "loop.save_every": "2", "loop.validate_every": "2", "loop.precision": "fp32"}


@pytest.fixture(scope="module", autouse=True)
def voices() -> Iterator[None]:
    """Speaker vectors without the package that makes them, which a quick test must do without."""

    def vectors(prepared: Prepared) -> SpeakerVectors:
        row = np.full(256, 1 / 16, np.float32)
        return SpeakerVectors(prepared, {item.id: row for item in prepared})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speakers, "speaker_vectors", vectors)
        yield


@pytest.fixture(scope="module")
def encoder(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("encoder") / "mlm"
    systems.train("prosody.mlm", size="toy", data=spoken, out=out, overrides=FEW)
    return out


def voice(spoken: Path, encoder: Path, out: Path, **more: str) -> dict[str, torch.Tensor]:
    """Train two steps; the weights of the encoder, as the pretrained run names them."""
    overrides = FEW | {"max_frames": "1100"} | more
    systems.train("prosody.gradtts", size="toy", data=spoken, out=out, overrides=overrides, encoder=encoder)
    state = checkpoint.read_tensors(checkpoint.resolve(out) / "model.safetensors")
    prefix = "model.encoder."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


@pytest.fixture(scope="module")
def talker(spoken: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("voice") / "run"
    voice(spoken, encoder, out)
    return out


def test_a_frozen_encoder_stays_and_a_slow_one_moves_a_tenth(
    spoken: Path, encoder: Path, talker: Path, tmp_path: Path
) -> None:
    before = pretrained.load(encoder, symbols=Prepared.open(spoken).tokenizer.symbols).state_dict()
    frozen = voice(spoken, encoder, tmp_path / "frozen", encoder_rate="0")
    assert all(torch.equal(frozen[k], v) for k, v in before.items())
    full = voice(spoken, encoder, tmp_path / "full", encoder_rate="1")
    state = checkpoint.read_tensors(checkpoint.resolve(talker) / "model.safetensors")

    def moved(weights: dict[str, torch.Tensor]) -> float:
        name = "phonemes.stack.blocks.0.feed_forward.up.weight"
        return float((weights[name] - before[name]).abs().mean())

    slow = moved({k.removeprefix("model.encoder."): v for k, v in state.items()})
    assert 0 < slow < 0.2 * moved(full)


def test_the_random_arm_has_the_same_sizes_and_other_weights(
    spoken: Path, encoder: Path, tmp_path: Path
) -> None:
    before = pretrained.load(encoder, symbols=Prepared.open(spoken).tokenizer.symbols).state_dict()
    random = voice(
        spoken, encoder, tmp_path / "r", encoder_weights="random", encoder_rate="0", **{"loop.seed": "1"}
    )
    assert {k: v.shape for k, v in random.items()} == {k: v.shape for k, v in before.items()}
    name = "phonemes.stack.blocks.0.feed_forward.up.weight"
    assert not torch.allclose(random[name], before[name], atol=1e-3)


def test_it_speaks_text_but_not_bare_phonemes(talker: Path) -> None:
    speaker = intona.load(talker)
    audio = speaker.say("Доброе утро, друзья.")
    assert audio.sample_rate == 22050 and len(audio.samples) > 1000
    with pytest.raises(UserError, match="reads the letters beside the phonemes"):
        speaker.say("p a", phonemes=True)


def test_the_run_says_what_it_stands_on(spoken: Path, encoder: Path, talker: Path) -> None:
    config = json.loads((checkpoint.resolve(talker) / "config.json").read_text(encoding="utf-8"))
    assert config["encoder"].startswith("step-") and config["encoder_rate"] == 0.1
    assert config["model"]["encoder"]["kind"] == "dual_stream" and config["model"]["add_blank"] is False
    with pytest.raises(UserError, match=r"prosody\.mlm takes no --encoder"):
        systems.train("prosody.mlm", size="toy", data=spoken, out=talker, encoder=encoder)
    with pytest.raises(UserError, match="holds no pretrained text encoder"):
        systems.train("prosody.gradtts", size="toy", data=spoken, out=talker / "x", encoder=talker)


def test_the_kind_of_encoder_decides_how_its_config_is_read() -> None:
    sizes = DualStreamConfig(n_tokens=10, n_pieces=20)
    tree = to_dict(GradTTSConfig(n_tokens=10, encoder=sizes, add_blank=False))
    assert from_dict(GradTTSConfig, tree).encoder == sizes
    tree["encoder"]["stream_layer"] = 3
    with pytest.raises(UserError, match=r'unknown key "stream_layer".*stream_layers'):
        from_dict(GradTTSConfig, tree)
    with pytest.raises(UserError, match="a blank belongs to no word"):
        from_dict(GradTTSConfig, to_dict(GradTTSConfig()) | {"encoder": to_dict(sizes)})


def test_a_voice_on_an_encoder_starts_another_by_the_names_of_symbols_and_speakers(
    spoken: Path, encoder: Path, talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Symbols in another order and another speaker's vector: rows follow their names."""
    prepared = Prepared.open(spoken)
    config = from_dict(
        gradtts.GradTTSRun, json.loads((checkpoint.resolve(talker) / "config.json").read_text())
    )
    before = checkpoint.weights_of(talker)[1]
    first, rest = prepared.tokenizer.symbols[:2], prepared.tokenizer.symbols[2:]
    turned = PhonemeTokenizer((*first, *reversed(rest)), frontend=dict(prepared.tokenizer.frontend))
    monkeypatch.setattr(prepared, "tokenizer", turned)
    monkeypatch.setattr(prepared, "speakers", ("someone else",))
    task = gradtts.GradTTSTask(config, prepared, pretrained.pieces(encoder))
    fresh = task.state_dict()["model.voices"].clone()
    gradtts.start_from_voice(task, talker)
    name = "model.encoder.phonemes.embedding.weight"
    moved = task.state_dict()
    assert torch.equal(moved[name][2:-1], before[name][2:-1].flip(0))
    assert torch.equal(moved[name][-1], before[name][-1])  # the mask
    assert torch.equal(moved["model.voices"], fresh)
    task.bpe = BpeTokenizer.train(["другие слова"], size=40, frontend={})
    with pytest.raises(UserError, match="other text pieces"):
        gradtts.start_from_voice(task, talker)


def test_one_part_alone_learns(spoken: Path, encoder: Path, talker: Path, tmp_path: Path) -> None:
    overrides = FEW | {"max_frames": "1100", "only": "duration", "encoder_rate": "1"}
    out = tmp_path / "run"
    systems.train(
        "prosody.gradtts", size="toy", data=spoken, out=out, overrides=overrides, init=talker, encoder=encoder
    )
    before = checkpoint.read_tensors(checkpoint.resolve(talker) / "ema.safetensors")
    after = checkpoint.read_tensors(checkpoint.resolve(out) / "model.safetensors")
    moved = {k for k in after if not torch.equal(after[k], before[k])}
    assert moved and all(k.startswith("model.duration.") for k in moved)
    overrides |= {"only": "", "anew": "score", "model.target": "flow", "loop.seed": "5"}
    out = tmp_path / "anew"
    systems.train(
        "prosody.gradtts", size="toy", data=spoken, out=out, overrides=overrides, init=talker, encoder=encoder
    )
    flow = checkpoint.read_tensors(checkpoint.resolve(out) / "model.safetensors")
    same = {k for k in flow if torch.equal(flow[k], before[k])}
    # One update moves a weight by the learning rate; weights that are drawn again are elsewhere.
    distance = {k: float((flow[k].float() - before[k].float()).abs().max()) for k in flow.keys() - same}
    assert distance["model.score.net.blocks.0.up.weight"] > 20 * distance["model.prior.weight"] > 0
    with pytest.raises(UserError, match="only the encoder is to learn, and its rate is 0"):
        voice(spoken, encoder, tmp_path / "none", only="encoder", encoder_rate="0")
