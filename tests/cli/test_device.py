"""`--device` of the verbs."""

from __future__ import annotations

import importlib

import pytest
import torch

from intona import cli, synth
from intona.errors import UserError

VERBS = {
    "align": "Align",
    "demo": "Demo",
    "evaluate": "Evaluate",
    "restyle": "RestyleRequest",
    "retrieve": "Retrieve",
    "say": "Say",
    "serve": "Serve",
    "synthesize_set": "SynthesizeSet",
    "transcribe": "Transcribe",
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_runs_a_model_takes_a_device(verb: str) -> None:
    request = getattr(importlib.import_module(f"intona.cli.{verb}"), VERBS[verb])
    assert request.__dataclass_fields__["device"].default == "cpu"


@pytest.mark.parametrize(
    ("device", "what"), [("tpu9", '"tpu9" is no device'), ("cuda", '"cuda" cannot be used: torch')]
)
def test_a_device_that_is_not_there_is_one_line(
    device: str, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(["say", "да", "--device", device]) == 1
    error = capsys.readouterr().err
    assert what in error and error.count("\n") == 1


def test_auto_without_a_gpu_is_the_cpu_with_its_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for backend in (None, "onnx"):
        voice = synth.load("ru", device="auto", backend=backend)
        assert type(voice).__module__ == "intona.systems.gradtts.onnx"
    with pytest.raises(UserError, match="CPU alone; leave --backend out"):
        synth.load("ru", device="cuda", backend="onnx")
