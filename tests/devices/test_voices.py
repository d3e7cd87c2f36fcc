"""Voices, vocoders, alignment and retrieval on a GPU that computes on the CPU: what they give on the CPU.

The noise is drawn on the CPU, so that a seed means the same on every device; a tensor that is left on the
wrong device raises.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import intona
from intona.audio import MelSpec, read_audio
from intona.audio.blocks import read_blocks
from intona.data.align import align
from intona.data.prepared import Prepared
from intona.evaluation import Manifest, Row
from intona.synth.batch import SetConfig, synthesize_set
from intona.vocoder import load_vocoder

from ..golden.test_shipped import PHONEMES, SPOKEN

VOCODER = "vocoder-draft"  # a tenth of the time of hifigan
RECORDING = "tests/assets/festvox-ru-small/wav/ru_0254.wav"
SHORT: dict[str, dict[str, Any]] = {
    "ru-en": {"steps": 2},
    "ditto": {"steps": 2, "length": 0.6},
    "meld-ru": {},
}


@pytest.mark.parametrize(
    "name",
    ["ru-en", pytest.param("ditto", marks=pytest.mark.slow), pytest.param("meld-ru", marks=pytest.mark.slow)],
)
def test_a_voice_says_the_same(name: str, gpu: torch.device, fp32: None) -> None:
    options = SPOKEN[name] | SHORT[name] | {"seed": 1}
    on_cpu = intona.load(name, backend="torch", vocoder=VOCODER).say(**options)
    on_gpu = intona.load(name, device=gpu, vocoder=VOCODER).say(**options)
    np.testing.assert_allclose(on_gpu.samples, on_cpu.samples, atol=1e-4)


def test_streams_and_times_are_the_same(gpu: torch.device, fp32: None) -> None:
    options = {"text": PHONEMES, "phonemes": True, "steps": 1, "seed": 1}
    speeches = [
        intona.load("ru", device=d, backend="torch", vocoder=VOCODER).speech(**options) for d in ("cpu", gpu)
    ]
    assert speeches[0].words == speeches[1].words
    np.testing.assert_allclose(speeches[1].audio.samples, speeches[0].audio.samples, atol=1e-4)
    pieces = list(intona.load("ru", device=gpu, vocoder=VOCODER).stream(**options))
    np.testing.assert_allclose(
        np.concatenate([p.samples for p in pieces]), speeches[0].audio.samples, atol=1e-3
    )


def test_a_set_is_the_same(gpu: torch.device, fp32: None, tmp_path: Path) -> None:
    manifest = Manifest(rows=(Row(id="a", text="да"), Row(id="b", text="нет, кот")))
    config = SetConfig(steps=1, batch=None)
    for device in ("cpu", gpu):
        voice = intona.load("ru", device=device, backend="torch", vocoder=VOCODER)
        assert synthesize_set(voice, manifest, tmp_path / str(device)[:3], config).spoken == 2
    for row in manifest.rows:
        ours, theirs = (read_audio(tmp_path / d / f"{row.id}.wav").samples for d in ("cpu", "fak"))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
def test_a_transcript_is_the_same(gpu: torch.device, fp32: None, root: Path) -> None:
    texts = []
    for device in ("cpu", gpu):
        voice: Any = intona.load("meld-ru", device=device)
        texts.append(
            [w.text for w in voice.transcribe(read_blocks(root / RECORDING, voice.spec.sample_rate), beam=2)]
        )
    assert texts[0] == texts[1] and texts[0]


@pytest.mark.parametrize("name", ["hifigan", "vocoder-draft", "griffin-lim"])
def test_a_vocoder_decodes_the_same(name: str, gpu: torch.device, fp32: None) -> None:
    mel = torch.randn(1, 24, MelSpec().n_mels, generator=torch.Generator().manual_seed(0)) - 5
    waves = []
    for device in ("cpu", gpu):
        vocoder = load_vocoder(name, device=device)
        chunks = (mel[0, :10].to(device), mel[0, 10:].to(device))
        streamed = np.concatenate(list(vocoder.stream(chunks)))
        waves.append((vocoder.decode(mel.to(device))[0].cpu().numpy(), streamed))
    for ours, theirs in zip(*waves, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.trains
@pytest.mark.slow
def test_an_alignment_is_the_same(spoken: Path, gpu: torch.device, tmp_path: Path) -> None:
    durations = []
    for device in ("cpu", gpu):
        data = tmp_path / str(device)[:3]
        shutil.copytree(spoken, data)
        align(data, steps=12, device=device)
        prepared = Prepared.open(data)
        durations.append({item.id: prepared.durations(item) for item in prepared})
    assert durations[0].keys() == durations[1].keys()
    for id, frames in durations[0].items():
        np.testing.assert_array_equal(frames, durations[1][id])
