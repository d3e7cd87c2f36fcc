"""Speaker vectors of WavLM with an x-vector head (Chen et al. 2022), through `transformers`.

A hub id ("microsoft/wavlm-base-plus-sv") or a directory in the published format. The papers' SIM-o uses
another head, an ECAPA-TDNN on WavLM-large (`wavlm_large_finetune.pth`): its figures and these lie on two
scales, so the model's name stands in the column.
"""

from __future__ import annotations

import importlib.metadata
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intona import hub
from intona.audio import Audio, resampler_id
from intona.errors import UserError
from intona.pool import ReloadsInWorker
from intona.provenance import sha256 as file_sha256

MIN_SAMPLES = 16_000  # shorter sound is padded: the head's dilated layers need some frames


class WavLm(ReloadsInWorker):
    """`embed(audio)` -> unit vector of `WavLMForXVector`.

    Args:
        model: directory with config.json and weights, or a hub id, which is fetched once.
        device: where the network runs.

    Raises:
        UserError: transformers is missing, the model cannot be had, or is of another kind.
    """

    def __init__(self, model: str, *, device: str = "cpu") -> None:
        self.device = device
        hub.require_transformers("WavLM")
        self.directory = hub.fetch_kind(model, "wavlm")
        self.name = f"WavLM {Path(model).name}"
        self.weights = hub.weights_file(self.directory)
        self._sha256 = file_sha256(self.weights)

    def describe(self) -> dict[str, Any]:
        return {
            "embedder": self.name,
            "embedder_sha256": self._sha256,
            "sample_rate": self._extractor.sampling_rate,
            "normalized": bool(self._extractor.do_normalize),
            "resampler": resampler_id(),
            "transformers": importlib.metadata.version("transformers"),
        }

    def _damaged(self, error: Exception) -> UserError:
        """Of whatever kind: transformers raises what its readers raise."""
        reason = " ".join(str(error).split())
        return UserError(f"the model cannot be loaded ({reason[:200]})", where=self.directory)

    @cached_property
    def _extractor(self) -> Any:
        from transformers import Wav2Vec2FeatureExtractor

        if not (self.directory / "preprocessor_config.json").is_file():
            return Wav2Vec2FeatureExtractor()
        try:
            return Wav2Vec2FeatureExtractor.from_pretrained(self.directory, local_files_only=True)
        except Exception as e:
            raise self._damaged(e) from None

    @cached_property
    def _model(self) -> Any:
        from transformers import WavLMForXVector

        try:
            model, info = WavLMForXVector.from_pretrained(  # type: ignore[misc]
                self.directory, local_files_only=True, weights_only=True, output_loading_info=True
            )
        except Exception as e:
            raise self._damaged(e) from None
        # A model without its x-vector head loads with a random one, and would answer.
        if missing := sorted(info["missing_keys"]):
            raise UserError(
                f"no weights of {missing[0]} and {len(missing) - 1} more",
                where=self.directory,
                hint="give a model fine-tuned for speaker verification",
            )
        return model.eval().to(self.device)

    def embed(self, audio: Audio) -> np.ndarray:
        import torch

        samples = audio.resample(self._extractor.sampling_rate).samples
        samples = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        values = self._extractor(
            samples, sampling_rate=self._extractor.sampling_rate, return_tensors="pt"
        ).input_values
        with torch.inference_mode():
            vector = self._model(input_values=values.to(self.device)).embeddings[0].cpu().double().numpy()
        return vector / max(float(np.linalg.norm(vector)), 1e-12)
