"""UTMOS22 (strong learner; Saeki et al. 2022), a predictor of naturalness. Never a "MOS".

The user supplies the weights: a directory or a hub id with the state dict of the published fairseq-free model
(`utmos22_strong_step7459_v1.pt`: wav2vec 2.0 base, domain and judge vectors, BLSTM, projection), either as
`model.safetensors` or as that file, read with `weights_only`. The input is 16 kHz audio without level
normalization; the frames are averaged and scaled to 1..5 by 2 x + 3.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intona import hub
from intona.audio import Audio, resampler_id
from intona.errors import UserError
from intona.evaluation.judges.base import Inputs, Judge, Measure, Score, Unavailable, rounding_of
from intona.evaluation.manifest import Row
from intona.provenance import sha256 as file_sha256

if TYPE_CHECKING:
    import torch

RATE = 16_000
MIN_SAMPLES = 4_000
PUBLISHED = "utmos22_strong_step7459_v1.pt"
MEASURES = (Measure(name="utmos", title="UTMOS22", failed=1.0, better="higher"),)
HINT = f"give the directory that holds {PUBLISHED}, or its hub id"


class UtmosJudge(Judge):
    """Predicted naturalness, 1 to 5.

    Raises:
        UserError: transformers is missing, the directory holds no weights, or those of another model.
    """

    name = "utmos"
    install = HINT
    measures = MEASURES

    def __init__(self, model: str, *, device: str = "cpu") -> None:
        if importlib.util.find_spec("transformers") is None:
            raise UserError(
                "UTMOS needs transformers, which is not installed", hint='pip install "transformers>=5,<6"'
            )
        self.path, self.device = weights_file(model), device
        self._sha256 = file_sha256(self.path)

    @classmethod
    def build(cls, inputs: Inputs) -> Self | Unavailable:
        settings = {"model": None, **inputs.settings.get(cls.name, {})}
        if settings == {"model": None}:
            return cls.unavailable("no weights given")
        return cls.construct({"device": inputs.device, **settings})

    def describe(self) -> dict[str, Any]:
        return {
            "model": "UTMOS22 strong",
            "model_sha256": self._sha256,
            "sample_rate": RATE,
            "resampler": resampler_id(),
            "transformers": importlib.metadata.version("transformers"),
            **rounding_of(self.device),
        }

    @cached_property
    def _network(self) -> torch.nn.Module:
        from intona.evaluation.judges.utmos_net import build, load_state

        return build(load_state(self.path), self.path).to(self.device)

    def predict(self, audio: Audio) -> float:
        import torch

        samples = audio.resample(RATE).samples
        samples = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        with torch.inference_mode():
            return float(self._network(torch.from_numpy(samples)[None].to(self.device))[0])

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {"utmos": Score(value=self.predict(audio))}


def weights_file(model: str) -> Path:
    """The file with the weights in a directory, a file or a hub id.

    Raises:
        UserError: there is none.
    """
    path = hub.local(model)
    if path.is_file():
        return path
    directory = hub.fetch(model, patterns=("*.safetensors", PUBLISHED))
    for name in ("model.safetensors", PUBLISHED):
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"holds neither model.safetensors nor {PUBLISHED}", where=directory, hint=HINT)
