"""Untrained voices and vocoders as a training would save them, and their exports."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from intona import checkpoint
from intona.audio import MelSpec
from intona.config import to_dict
from intona.data.contours import SpeakerStatistics
from intona.encoders.plain import PlainEncoderConfig
from intona.export import graph
from intona.export.model import export
from intona.systems.gradtts import DecoderConfig, GradTTS, GradTTSConfig, VarianceConfig
from intona.text import PhonemeTokenizer
from intona.vocoder import HifiGanConfig, SourceFilterConfig, VocosConfig
from intona.vocoder import source_filter as source_filters
from intona.vocoder import vocos as vocoses
from intona.vocoder.frames import for_features
from intona.vocoder.hifigan import Generator
from intona.vocoder.trunk import NETWORK, TrunkConfig

SYMBOLS = ("m", "ˈa", "ə", " ", ".", ",", "?")
SMALL = TrunkConfig(width=24, depth=1, expand=2)
CONFIGS: dict[str, Any] = {
    "hifigan": HifiGanConfig(channels=32),
    "vocos": VocosConfig(trunk=SMALL, refinements=1),
    "source-filter": SourceFilterConfig(trunk=SMALL, pitch=SMALL, refinements=2),
}


def save_voice(
    out: Path,
    *,
    decoder: str = "convnext1d",
    speakers: Sequence[str] = ("anna", "boris"),
    languages: Sequence[str] = ("ru",),
    **changes: Any,
) -> Path:
    """An untrained voice."""
    tokenizer = PhonemeTokenizer.build([SYMBOLS])
    out.mkdir(parents=True)
    tokenizer.save(out / "tokenizer.json")
    config = GradTTSConfig(
        n_tokens=len(tokenizer),
        n_speakers=len(speakers),
        speaker_dim=8,
        encoder=PlainEncoderConfig(dim=16, layers=1, hidden=16),
        decoder=DecoderConfig(kind=decoder, dim=16, depth=1, see_states=True),  # type: ignore[arg-type]
        **changes,
    )
    torch.manual_seed(0)
    model = GradTTS(config)
    with torch.no_grad():
        for parameter in model.parameters():  # some layers start as zeros, and would hide a wrong graph
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.duration.out.bias.fill_(1.5)
        model.prior.bias.fill_(-5.0)
        model.set_statistics(torch.linspace(-6, -4, 80), torch.linspace(1, 2, 80))
        if model.variance is not None:
            model.variance.set_statistics(
                SpeakerStatistics(
                    pitch_mean=np.linspace(4.0, 6.0, len(speakers)),
                    pitch_std=np.linspace(2.0, 3.0, len(speakers)),
                    energy_mean=np.linspace(-26.0, -25.0, len(speakers)),
                    energy_std=np.linspace(3.0, 5.0, len(speakers)),
                )
            )
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    files = {
        "config.json": {
            "model": to_dict(config),
            "stage": "prosody.gradtts",
            "size": "toy",
            "corpus": "",
            "loop": {"seed": 0},
        },
        "tokenizer.json": json.loads((out / "tokenizer.json").read_text(encoding="utf-8")),
        "features.json": to_dict(MelSpec()),
        "voices.json": {"speakers": list(speakers), "languages": list(languages)},
    }
    tensors = {"model": state, "ema": state, "state/optimizer": {}}
    return checkpoint.save(out / "run", 3, tensors=tensors, files=files)


def save_vocoder(out: Path, kind: str) -> Path:
    """An untrained vocoder: HiFi-GAN as it is published, the others as a run."""
    spec, config = MelSpec(), for_features(CONFIGS[kind], MelSpec())
    torch.manual_seed(0)
    if kind == "hifigan":
        out.mkdir(parents=True)
        from safetensors.torch import save_file

        save_file({k: v.half() for k, v in Generator(config).state_dict().items()}, out / "model.safetensors")
        files = {
            "config.json": to_dict(config),
            "features.json": to_dict(spec),
            "card.json": {"kind": "vocoder"},
        }
        for name, value in files.items():
            (out / name).write_text(json.dumps(value), encoding="utf-8")
        return out
    network = {"vocos": vocoses.untrained, "source-filter": source_filters.untrained}[kind](config, spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    state = {f"model.{k}": v for k, v in network.state_dict().items()}
    files = {
        "config.json": {"stage": f"vocoder.{kind}", "size": "toy"},
        NETWORK: to_dict(config),
        "features.json": to_dict(spec),
    }
    return checkpoint.save(out, 1, tensors={"model": state, "ema": state, "state/optimizer": {}}, files=files)


PLAIN = {"durations": "data", "add_blank": False, "target": "velocity", "normalize": True}
BLANKS = {"durations": "mas", "add_blank": True, "target": "noise"}
STEERABLE = {**PLAIN, "variance": VarianceConfig(hidden=16, layers=2)}
VOICES: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "flow": {**PLAIN, "target": "flow"},
    "blanks": BLANKS,
    "steerable": STEERABLE,
    "steerable-one": {**STEERABLE, "speakers": ["anna"]},
}


@contextlib.contextmanager
def unchecked_annotations() -> Iterator[None]:
    """The exporter traces with sizes that are tensors; the checks of annotations refuse them."""
    export_of_torch = graph.torch.onnx.export

    def unchecked(*arguments: Any, **options: Any) -> Any:
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return export_of_torch(*arguments, **options)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph.torch.onnx, "export", unchecked)
        yield


@pytest.fixture(scope="session", autouse=True)
def unchecked_while_tracing() -> Iterator[None]:
    with unchecked_annotations():
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The exported folder of one of `VOICES` or a kind of vocoder."""
    root, done = tmp_path_factory.mktemp("exported"), {}

    def folder(name: str) -> Path:
        if name not in done:
            if name in CONFIGS:
                source = save_vocoder(root / "runs" / name, name)
            else:
                source = save_voice(root / "runs" / name, **VOICES[name])
            export(source, root / name)
            done[name] = root / name
        return done[name]

    return folder


@pytest.fixture(scope="session")
def mel() -> np.ndarray:
    """(T, 80) with frames that are loud and frames that are not."""
    rng = np.random.default_rng(0)
    level = np.sin(np.linspace(0, 9, 70))[:, None]
    return (-5 + 2 * level + rng.normal(size=(70, 80))).astype(np.float32)
