"""What only a GPU can show. `scripts/gpu_check.sh` runs these; elsewhere they are skipped.

Tolerances. In float32, with TF32 off, sums are taken in another order than on the CPU: losses agree to 1e-3,
gradients to 1e-2 of their norm, log mels of speech to .05 on average. In bf16 log mels agree to .5 on average
(one step of bf16 is .4 % of a value).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import intona
from intona import checkpoint, devices, models, systems
from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.nn import precision
from intona.synth.batch import SetConfig, synthesize_set
from intona.synth.fitting import CPU_SENTENCES, fitting_batch
from intona.training import stage as stages
from intona.vocoder import load_vocoder

from ..golden.recipes import LOOP, RECIPES, Runs
from ..golden.test_shipped import SPOKEN

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.trains,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]
FP32, BF16 = 0.05, 0.5  # mean difference of log mels
VOICES = ("ru-en", "ditto", "meld-ru")
STAGES = [name for name in RECIPES if name != "meld.codebook"]  # k-means on the CPU: no network


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 in full: no bf16, no TF32."""
    for module in ("nn.precision", "vocoder.hifigan", "vocoder.frames"):
        monkeypatch.setattr(f"intona.{module}.bf16_wins", lambda device="cpu": False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def present(name: str) -> str:
    """The name of a shipped model, if it is in this checkout."""
    try:
        models.find(name)
    except UserError as e:
        pytest.skip(str(e))
    return name


def vocoder() -> str:
    """A shipped vocoder."""
    return "hifigan" if any(c.name == "hifigan" for c in models.shipped()) else present("vocoder-draft")


def say(name: str, device: str) -> Audio:
    more = {"length": 1.0} if name == "ditto" else {}
    voice = intona.load(present(name), device=device, backend="torch", vocoder=vocoder())
    return voice.say(**SPOKEN[name] | more, seed=1)


def difference(ours: Audio, theirs: Audio) -> float:
    """Mean absolute difference of the log mels; a frame may be missing at the end."""
    mels = [log_mel(audio, MelSpec()) for audio in (ours, theirs)]
    frames = [len(mel) for mel in mels]
    assert abs(frames[0] - frames[1]) <= 2
    return float(np.abs(mels[0][: min(frames)] - mels[1][: min(frames)]).mean())


@pytest.mark.parametrize("name", VOICES)
def test_a_voice_says_what_it_says_on_the_cpu(name: str, exact: None) -> None:
    assert difference(say(name, "cuda"), say(name, "cpu")) < FP32


@pytest.mark.parametrize("name", VOICES)
def test_bf16_changes_little(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision.bf16_wins("cuda")
    ours = say(name, "cuda")
    monkeypatch.setattr(precision, "bf16_wins", lambda device="cpu": False)
    theirs = say(name, "cuda")
    if name == "meld-ru":  # samples its codes: another rounding may draw another code
        assert ours.duration > 0.2
    else:
        assert difference(ours, theirs) < BF16


def test_a_vocoder_decodes_what_it_decodes_on_the_cpu(exact: None) -> None:
    mel = torch.randn(1, 60, MelSpec().n_mels, generator=torch.Generator().manual_seed(0)) - 5
    waves = [load_vocoder(vocoder(), device=d, bf16=False).decode(mel)[0].cpu() for d in ("cpu", "cuda")]
    assert float((waves[1] - waves[0]).norm() / waves[0].norm()) < 0.01


@pytest.fixture(scope="module")
def steps() -> Iterator[dict[Path, list[dict[str, torch.Tensor]]]]:
    """Run directory -> losses and gradients of a step on the CPU and on the GPU, before the run trains."""
    results: dict[Path, list[dict[str, torch.Tensor]]] = {}
    fit: Callable[..., Path] = stages.fit

    def both(task: Any, config: Any, optim: Any, run: Path, *, feed: Any, **more: Any) -> Path:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        batch = feed(0, 1).next()
        results[run] = []
        for device in ("cpu", "cuda"):
            moved = copy.deepcopy(task).to(device).eval()  # dropout has another stream on each device
            losses = moved(batch.to(device), 0)
            losses.total.backward()
            values = {f"loss {k}": part.total.detach().cpu() for k, part in losses.parts.items()}
            gradients = [p.grad.flatten().cpu() for p in moved.parameters() if p.grad is not None]
            results[run].append(values | {"gradient": torch.cat(gradients)})
        return fit(task, config, optim, run, feed=feed, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "fit", both)
        yield results


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, steps: object) -> Runs:
    return Runs(tmp_path_factory.mktemp("gpu"), request.getfixturevalue)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_trains(name: str, runs: Runs, steps: dict[Path, Any], exact: None) -> None:
    """A step has the losses and gradients of the CPU; then the stage trains, validates and saves."""
    if name.startswith("vocoder"):
        present("hifigan")  # the teacher
    run = runs[name].checkpoint.parent
    assert checkpoint.steps(run)
    on_cpu, on_gpu = steps[run]
    slack = RECIPES[name].slack
    for key, value in on_cpu.items():
        error = float((on_gpu[key] - value).norm() / value.norm().clamp(min=1e-3))
        assert error < slack * (1e-2 if key == "gradient" else 1e-3), key


def test_training_in_bf16_lowers_the_loss_and_resumes(spoken: Path, tmp_path: Path) -> None:
    how = {**LOOP, "loop.precision": "bf16", "loop.steps": "20", "optim.lr": "1e-3"}
    train = lambda **more: systems.train(  # noqa: E731
        "prosody.gradtts", size="toy", data=spoken, out=tmp_path / "run", overrides=how | more
    )
    train(**{"loop.steps": "10"})
    newest = train()
    assert newest.name == "step-00000020"
    text = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    assert "NaN" not in text and "Infinity" not in text


def test_a_server_speaks() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    from intona.serve.app import create_app
    from intona.serve.settings import Settings

    present("ru"), present("hifigan")
    app = create_app(Settings(models=("ru",), transcribers=(), device="cuda"))
    with testclient.TestClient(app, base_url="http://localhost") as client:
        request = {"model": "ru", "input": "да", "voice": "ru", "response_format": "wav"}
        answer = client.post("/v1/audio/speech", json=request)
    assert answer.status_code == 200 and len(answer.content) > 5_000


MANIFEST = Manifest(rows=tuple(Row(id=str(i), text="снег идёт весь день " * 8) for i in range(24)))


def test_a_set_takes_the_batch_that_fits(tmp_path: Path) -> None:
    voice: Any = intona.load(present("ru"), device="cuda", vocoder=vocoder())
    readings = [voice.read(row.text) for row in MANIFEST.rows]
    assert fitting_batch(voice, readings) > CPU_SENTENCES
    assert synthesize_set(voice, MANIFEST, tmp_path, SetConfig(batch=None, steps=2)).spoken == len(MANIFEST)


def test_a_set_that_does_not_fit_is_spoken_in_smaller_batches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice = intona.load(present("ru"), device="cuda", vocoder=vocoder())
    readings = [voice.read(MANIFEST.rows[0].text, steps=2)]
    list(voice.speak_batch(readings))  # what is loaded once
    with devices.PeakMemory("cuda") as peak:
        list(voice.speak_batch(readings))
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 8 * peak.bytes) / total)
    try:
        result = synthesize_set(voice, MANIFEST, tmp_path, SetConfig(batch=len(MANIFEST), steps=2))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.spoken == len(MANIFEST) and not result.failures
    assert "out of memory with" in caplog.text
