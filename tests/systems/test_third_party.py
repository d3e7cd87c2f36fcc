"""Voices on a text encoder of another package: chosen by name, recorded in the checkpoint, missed by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import intona
from intona import checkpoint, cli, registry, systems
from intona import config as configs
from intona.encoders import speakers
from intona.encoders.speaker import SpeakerVectors
from intona.errors import UserError

from ..training.third_party import ENCODER, install

pytestmark = pytest.mark.trains
FEW = {
    "loop.steps": "1",
    "loop.save_every": "1",
    "loop.validate_every": "1",
    "loop.precision": "fp32",
    "max_frames": "1100",
    "model.encoder.kind": "tiny",
}
STAGES = {"prosody.gradtts": {}, "prosody.ditto": {"latents": "mel4"}}


def forget() -> None:
    for name in [n for n in sys.modules if n == "other" or n.startswith("other.")]:
        del sys.modules[name]
    registry.refresh()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, importable for all of this module."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, {"encoder": ENCODER}, {"encoders": {"tiny": "other.encoder:TinyConfig"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget()
        yield folder
    forget()


@pytest.fixture(scope="module")
def voices(package: Path, spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("voices")
    return {
        stage: systems.train(stage, size="toy", data=spoken, out=folder / stage, overrides={**FEW, **more})
        for stage, more in STAGES.items()
    }


@pytest.fixture
def without(package: Path) -> Iterator[None]:
    """The package is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [p for p in sys.path if p != str(package)])
        forget()
        yield
    forget()


@pytest.mark.parametrize("stage", STAGES)
def test_an_encoder_is_chosen_by_its_name(stage: str, voices: dict[str, Path]) -> None:
    """It reads the pieces that the voice has learnt, and the voice speaks."""
    path = voices[stage]
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))["model"]
    pieces = configs.read_json(path / "bpe.json")
    assert config["encoder"]["kind"] == "tiny" and config["encoder"]["n_tokens"] == config["n_tokens"] > 40
    assert 20 < config["encoder"]["n_pieces"] == len(intona.load(path).bpe) and pieces
    assert intona.load(path).say("Доброе утро.", steps=1).duration > 0.1


@pytest.mark.parametrize("stage", STAGES)
def test_a_voice_is_resumed_and_started_from(
    stage: str, voices: dict[str, Path], spoken: Path, tmp_path: Path
) -> None:
    """With the pieces of the run, and its rows by the names of symbols; no --encoder is asked for."""
    before, more = voices[stage], STAGES[stage]
    args = {"size": "toy", "data": spoken}
    again = systems.train(stage, out=before.parent, overrides={**FEW, **more, "loop.steps": "2"}, **args)
    assert again.name == "step-00000002"
    new = systems.train(stage, out=tmp_path / "run", overrides={**FEW, "optim.lr": "0"}, init=before, **args)
    assert configs.read_json(new / "bpe.json") == configs.read_json(before / "bpe.json")
    a, b = (checkpoint.read_tensors(p / f"{n}.safetensors") for p, n in ((before, "ema"), (new, "model")))
    assert (a["model.encoder.phonemes.weight"] == b["model.encoder.phonemes.weight"]).all()


@pytest.mark.parametrize("stage", STAGES)
def test_an_encoder_is_conditioned_on_speaker_vectors(
    stage: str, package: Path, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vectors_by(prepared, speaker):
        assert speaker == "ge2e"
        vectors = {i.id: np.full(4, 0.5, np.float32) for i in prepared}
        return SpeakerVectors(prepared, vectors, encoder_facts={"embedder": "test"})

    monkeypatch.setattr(speakers, "vectors_by", vectors_by)
    monkeypatch.setattr(
        f"intona.systems.{stage.partition('.')[2]}.stage.vectors_by", vectors_by, raising=False
    )
    more = {**FEW, **STAGES[stage], "model.encoder.width": "4"}
    path = systems.train(stage, size="toy", data=spoken, out=tmp_path / "run", overrides=more)
    if stage == "prosody.gradtts":
        assert (checkpoint.read_tensors(path / "model.safetensors")["model.voices"] == 0.5).all()
    else:
        assert configs.read_json(path / "config.json")["speaker"] == "ge2e"
    with pytest.raises(UserError, match="takes speaker vectors of 5 numbers, these have 4"):
        systems.train(
            stage, size="toy", data=spoken, out=tmp_path / "b", overrides={**more, "model.encoder.width": "5"}
        )


def test_a_checkpoint_records_the_package(voices: dict[str, Path], tmp_path: Path) -> None:
    for path in voices.values():
        assert configs.read_json(path / "provenance.json")["parts"] == {"encoders/tiny": "other 1.2"}
        assert cli.main(["publish", str(path), str(tmp_path / path.parent.name)]) == 0
        published = configs.read_json(tmp_path / path.parent.name / "provenance.json")
        assert published["parts"] == {"encoders/tiny": "other 1.2"}


def test_a_missing_package_is_named(voices: dict[str, Path], without: None, spoken: Path) -> None:
    message = r'needs the text encoder "tiny" of other 1\.2, which is not installed; pip install other'
    path = voices["prosody.gradtts"]
    for open_it in (
        lambda: intona.load(path),
        lambda: checkpoint.weights_of(path.parent),
        lambda: systems.train("prosody.gradtts", size="toy", data=spoken, out=path.parent, overrides=FEW),
    ):
        with pytest.raises(UserError, match=message):
            open_it()
    with pytest.raises(UserError, match='unknown text encoder "tiny"'):
        systems.train("prosody.gradtts", size="toy", data=spoken, out=path / "new", overrides=FEW)
