"""DistillMOS, a predictor of naturalness (Stahl & Gamper 2025), without torchaudio. Never a "MOS".

The published package imports torchaudio and a second package only to read files and to build its network.
Here the network (`distillmos_net.py`) follows the published description and the shapes of the weights: a
compressed complex spectrogram, six convolutions, a 7-layer Transformer, attention pooling. The weights are
read from the installed wheel with `weights_only`, after their sha256 is checked.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from intona.audio import Audio, resampler_id
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, Judge, Measure, Score, Unavailable, rounding_of
from intona.evaluation.manifest import Row
from intona.provenance import sha256 as file_sha256

if TYPE_CHECKING:
    import torch

RATE = 16_000
WEIGHTS = "weights/distill_mos_v7.pt"
WEIGHTS_SHA256 = "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"
SEGMENT = 122_880  # 7.68 s, the only length that the network takes
HOP = 16_000
MEASURES = (Measure(name="distillmos", title="DistillMOS", failed=1.0, better="higher", headline=True),)
INSTALL = "pip install --no-deps distillmos==0.9.1"


class DistillMosJudge(Judge):
    """Predicted naturalness, 1 to 5, as the mean over 7.68 s windows at most one second apart."""

    name = "distillmos"
    install = INSTALL
    measures = MEASURES

    def __init__(self, *, device: str = "cpu") -> None:
        self.device = device
        self.path = weights_path()
        if self.path is None:
            raise UserError("distillmos is not installed", hint=INSTALL)
        if file_sha256(self.path) != WEIGHTS_SHA256:
            raise UserError(
                "the sha256 is not the pinned one", where=self.path, hint=f"{INSTALL} --force-reinstall"
            )

    @classmethod
    def installed(cls) -> bool:
        return weights_path() is not None

    @classmethod
    def build(cls, inputs: Inputs) -> Self | Unavailable:
        return cls.construct({"device": inputs.device, **inputs.settings.get(cls.name, {})})

    def describe(self) -> dict[str, Any]:
        return {
            "model": "distillmos 0.9.1 (v7)",
            "model_sha256": WEIGHTS_SHA256,
            "sample_rate": RATE,
            "resampler": resampler_id(),
            **rounding_of(self.device),
        }

    @cached_property
    def _network(self) -> torch.nn.Module:
        import torch

        from intona.evaluation.judges.distillmos_net import DistillMos

        assert self.path is not None
        state = torch.load(self.path, map_location="cpu", weights_only=True)["model"]
        network = DistillMos()
        network.load_state_dict(state)
        return network.eval().to(self.device)

    def predict(self, audio: Audio) -> float:
        import torch

        samples = torch.from_numpy(audio.resample(RATE).samples).to(self.device)
        with torch.inference_mode():
            return float(self._network(samples))

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {"distillmos": Score(value=self.predict(audio))}


def weights_path() -> Path | None:
    """The weights in the installed wheel; the package is not imported, as it would import torchaudio."""
    spec = importlib.util.find_spec("distillmos")
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (Path(root) / WEIGHTS).is_file():
            return Path(root) / WEIGHTS
    return None
