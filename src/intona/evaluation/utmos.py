"""UTMOS22 (strong learner; Saeki et al. 2022), a predictor of naturalness. Never a "MOS".

Weights are the user's: a directory or a hub id with the state dict of the published fairseq-free model
(`utmos22_strong_step7459_v1.pt`: wav2vec 2.0 base, domain and judge vectors, BLSTM, projection), as
`model.safetensors`, or as that file, read with `weights_only`. The sound goes in at 16 kHz as it is, without
normalization; frames are averaged and taken to 1..5 by 2 x + 3.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intona import hub
from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.asr import at_rate, resampler_id
from intona.evaluation.judge import Measure, Reloaded, Score, Unavailable, failed_scores
from intona.evaluation.manifest import Row
from intona.provenance import sha256 as file_sha256

if TYPE_CHECKING:
    import torch

RATE = 16_000
MIN_SAMPLES = 4_000
PUBLISHED = "utmos22_strong_step7459_v1.pt"
MEASURES = (Measure(name="utmos", title="UTMOS22", failed=1.0, better="higher"),)
MEND = f"give the directory that holds {PUBLISHED}, or its hub id"


class UtmosJudge(Reloaded):
    """Predicted naturalness, 1 to 5.

    Raises:
        UserError: transformers is missing, the directory holds no weights, or those of another model.
    """

    name = "utmos"
    needs_reference = False
    measures = MEASURES

    def __init__(self, model: str) -> None:
        if importlib.util.find_spec("transformers") is None:
            raise UserError(
                "UTMOS needs transformers, which is not installed", hint='pip install "transformers>=5,<6"'
            )
        self.path = weights_file(model)
        self._sha256 = file_sha256(self.path)

    def describe(self) -> dict[str, Any]:
        return {
            "model": "UTMOS22 strong",
            "model_sha256": self._sha256,
            "sample_rate": RATE,
            "resampler": resampler_id(),
            "transformers": importlib.metadata.version("transformers"),
        }

    @cached_property
    def _network(self) -> torch.nn.Module:
        from intona.evaluation.utmos_net import build, load_state

        return build(load_state(self.path), self.path)

    def predict(self, audio: Audio) -> float:
        import torch

        samples = at_rate(audio, RATE)
        samples = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        with torch.inference_mode():
            return float(self._network(torch.from_numpy(samples)[None])[0])

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {"utmos": Score(value=self.predict(audio))}

    def failed(self, row: Row) -> dict[str, Score]:
        return failed_scores(self.measures)


def weights_file(model: str) -> Path:
    """The weights of a directory, a file or a hub id.

    Raises:
        UserError: there are none.
    """
    path = hub.local(model)
    if path.is_file():
        return path
    directory = hub.fetch(model, patterns=("*.safetensors", PUBLISHED))
    for name in ("model.safetensors", PUBLISHED):
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"holds neither model.safetensors nor {PUBLISHED}", where=directory, hint=MEND)


def utmos(model: str | None) -> UtmosJudge | Unavailable:
    """The judge of a model that was given, or what stands in its column when none was."""
    if model is None:
        return Unavailable(name="utmos", measures=MEASURES, reason="no weights given", hint=MEND)
    return UtmosJudge(model)
