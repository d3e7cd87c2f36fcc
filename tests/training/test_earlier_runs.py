"""Run directories of every stage, as version 0.1.0 wrote them, still open.

tests/assets/runs has the JSON files of their checkpoints, with relative paths and without weights. Names and
shapes of weights are in tests/golden/keys; here the weights are random.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

import intona
from intona import checkpoint, encoders, registry
from intona import config as configs
from intona.audio import MelSpec
from intona.encoders.mlm import MaskedModel
from intona.errors import UserError
from intona.latents import trained
from intona.latents.mel_vae import MelVAE
from intona.systems.ditto import Ditto
from intona.systems.gradtts import GradTTS
from intona.systems.meld import SpeechLM
from intona.training.initial import built_as
from intona.training.stage import Request, stage_of
from intona.vocoder import load_vocoder
from intona.vocoder.source_filter import untrained as source_filter
from intona.vocoder.vocos import untrained as vocos

RUNS = Path(__file__).parents[1] / "assets" / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir())
ON_ENCODER = "-encoder"  # suffix of voices on a pretrained encoder


def stored(name: str) -> tuple[str, dict]:
    """The stage of a run, and its config."""
    raw = configs.read_json(RUNS / name / "config.json")
    return raw["stage"], raw


def test_every_stage_has_a_run() -> None:
    assert {stored(name)[0] for name in NAMES} == {
        n for n in registry.names("stages") if registry.distribution("stages", n) == registry.HOME
    }


# Keys that earlier versions did not write -> the value that means what they did.
ADDED = {
    "model.encoder.kind": "plain",
    "model.variance": None,
    "model.sigma_min": 0.0001,  # of flow matching, which no earlier run has
    "expressive": 1,
    "anew": "",
    "adversary.warmup": 0,
    "any_language": False,
    "loop.recompute": False,
    "loop.validate_within": 0.0,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_read_and_written_as_before(name: str) -> None:
    """All keys are known, and those that were added later are off: a run that is resumed compares equal."""
    stage, raw = stored(name)
    config = configs.load(type(stage_of(stage).sizes["toy"]()), RUNS / name / "config.json")
    added = configs.flat(configs.to_dict(config)).keys() ^ configs.flat(raw).keys()
    now = configs.flat(configs.to_dict(config))
    assert {k: now.get(k) for k in added} == {k: v for k, v in ADDED.items() if k in added}
    assert configs.diff(config, configs.from_dict(type(config), raw)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_started_from(name: str, tmp_path: Path) -> None:
    """Its model is taken, whatever the size."""
    stage = stage_of(stored(name)[0])
    request = Request(data=tmp_path, out=tmp_path / "run", init=RUNS / name)
    if name.endswith(ON_ENCODER):
        with pytest.raises(UserError, match="built on a pretrained text encoder; name it too: --encoder RUN"):
            stage.resolve(stage.sizes["small"](), request)
        return
    config = stage.resolve(stage.sizes["small"](), request)
    if stage.init == "refused" or not hasattr(config, "model"):
        assert config == stage.sizes["small"]()
    else:
        expected = configs.from_dict(type(config.model), stored(name)[1]["model"])
        assert config.model == expected == built_as(config, RUNS / name).model


def finished(name: str, folder: Path, model: nn.Module) -> Path:
    """The run as a checkpoint with the weights of a model."""
    shutil.copytree(RUNS / name, folder)
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    files = {p.name: configs.read_json(p) for p in folder.glob("*.json")}
    shutil.rmtree(folder)
    if "latents" in files.get("voices.json", {}) and isinstance(model, Ditto):
        files["voices.json"]["latents"] = model.space.fingerprint()
    return checkpoint.save(folder, 2, tensors={"model": state, "ema": state}, files=files)


@pytest.mark.parametrize("name", [n for n in NAMES if (RUNS / n / "voices.json").is_file()])
def test_a_voice_is_loaded(name: str, tmp_path: Path) -> None:
    stage, raw = stored(name)
    config = configs.from_dict(type(stage_of(stage).sizes["toy"]()), raw)
    build: dict[str, Callable[[], nn.Module]] = {
        "prosody.gradtts": lambda: GradTTS(config.model),
        "prosody.ditto": lambda: Ditto(config.model, config.model.latents.build(MelSpec())),
    }
    model = build.get(stage, lambda: SpeechLM(config.model))()
    voice = intona.load(finished(name, tmp_path / "run", model))
    assert voice.languages and voice.info["parameters"] > 10_000


@pytest.mark.parametrize("name", [n for n in NAMES if (RUNS / n / "encoder.json").is_file()])
def test_a_text_encoder_is_loaded(name: str, tmp_path: Path) -> None:
    config = configs.from_dict(
        type(stage_of("prosody.mlm").sizes["toy"]().model), configs.read_json(RUNS / name / "encoder.json")
    )
    run = finished(name, tmp_path / "run", MaskedModel(config))
    encoder = encoders.load(run, symbols=("<pad>", "<unk>", "a", "ʐ"))
    assert encoder.phonemes.embedding.weight.shape == (5, config.dim)


@pytest.mark.parametrize("name", [n for n in NAMES if (RUNS / n / "vocoder.json").is_file()])
def test_a_vocoder_is_loaded(name: str, tmp_path: Path) -> None:
    stage, raw = stored(name)
    config = configs.from_dict(type(stage_of(stage).sizes["toy"]()), raw)
    untrained = {"vocoder.vocos": vocos, "vocoder.source_filter": source_filter}[stage]
    load_vocoder(finished(name, tmp_path / "run", untrained(config.model, MelSpec())))


def test_a_mel_vae_is_loaded(tmp_path: Path) -> None:
    config = configs.from_dict(type(stage_of("prosody.melvae").sizes["toy"]()), stored("prosody.melvae")[1])
    run = finished("prosody.melvae", tmp_path / "run", MelVAE(config.model, MelSpec()))
    assert trained.load(run, spec=MelSpec()).config == config.model
