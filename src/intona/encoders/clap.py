"""CLAP through `transformers` (Wu et al. 2023, arXiv 2211.06687): sound and text in one space of 512.

A hub id ("laion/clap-htsat-unfused") or a directory in the published format. The published feature extractor
cuts long sound at a random place, so that one file has many vectors; here fixed windows of the model's own
length, half overlapping, are embedded each and averaged: the same file always gives the same vector. A sound
shorter than a window is repeated, as in its training ("repeatpad").
"""

from __future__ import annotations

import importlib.metadata
import re
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from intona import hub
from intona.audio import Audio
from intona.audio.io import faults
from intona.errors import UserError
from intona.provenance import sha256

MAX_WINDOWS = 60  # five minutes


class Clap:
    """A `StyleEncoder` of unit vectors.

    Args:
        model: directory with config.json, weights, preprocessor and tokenizer; or a hub id.
        ask: see `hub.fetch`.

    Raises:
        UserError: transformers is missing; the model cannot be had, or is of another kind.
    """

    def __init__(self, model: str, *, ask: bool = True) -> None:
        hub.require_transformers("CLAP")
        self.directory = hub.fetch_kind(
            model, "clap", patterns=["*.json", "*.txt", "*.safetensors", "pytorch_model.bin"], ask=ask
        )
        self.name = f"CLAP {model.rstrip('/').rsplit('/', 1)[-1]}"
        self._model, self._extractor, self._tokenizer = self._load()
        self.dim = int(self._model.config.projection_dim)

    def _load(self) -> tuple[Any, Any, Any]:
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model, info = ClapModel.from_pretrained(  # type: ignore[misc]
                self.directory, local_files_only=True, weights_only=True, output_loading_info=True
            )
            extractor = ClapFeatureExtractor.from_pretrained(self.directory, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(self.directory, local_files_only=True)
        except Exception as e:  # transformers raises what its readers raise
            reason = " ".join(str(e).split())
            raise UserError(f"the model cannot be loaded ({reason[:200]})", where=self.directory) from None
        if missing := sorted(info["missing_keys"]):
            raise UserError(f"no weights of {missing[0]} and {len(missing) - 1} more", where=self.directory)
        return model.eval().requires_grad_(False), extractor, tokenizer

    @cached_property
    def _digest(self) -> str:
        return sha256(hub.weights_file(self.directory))

    def describe(self) -> dict[str, Any]:
        return {
            "style": self.name,
            "sha256": self._digest,
            "windows": f"{self._extractor.max_length_s} s, half overlapping, averaged",
            "transformers": importlib.metadata.version("transformers"),
        }

    @torch.inference_mode()
    def of_audio(self, audio: Audio) -> Float32[np.ndarray, " width"]:
        """A vector of norm 1. Raises UserError for silence."""
        if bad := [f for f in faults(audio) if not f.startswith("clipped")]:
            raise UserError(f"no style in it: {bad[0]}", where="style")
        samples = audio.resample(int(self._extractor.sampling_rate)).samples
        vectors = []
        for window in windows(samples, int(self._extractor.nb_max_samples)):
            features = self._extractor(
                window,
                sampling_rate=self._extractor.sampling_rate,
                return_tensors="pt",
            )
            vectors.append(_vector(self._model.get_audio_features(**features)))
        return _unit(np.mean(vectors, axis=0))

    @torch.inference_mode()
    def of_text(self, text: str) -> Float32[np.ndarray, " width"]:
        """A vector of norm 1. Raises UserError for an empty text, or one not in English."""
        if not re.search(r"\w", text):
            raise UserError("an empty style", where="style", hint='such as "a calm, low voice"')
        letters = [c for c in text if c.isalpha()]
        if sum(c.isascii() for c in letters) < len(letters) / 2:
            raise UserError(
                "CLAP was trained on English descriptions",
                where="style",
                hint="describe the style in English",
            )
        tokens = self._tokenizer(text, return_tensors="pt", truncation=True)
        return _unit(_vector(self._model.get_text_features(**tokens)))

    def rate(self, style: np.ndarray) -> float | None:
        """What it knows of the rate cannot be read from a vector."""
        return None


def windows(samples: Float32[np.ndarray, " samples"], size: int) -> list[Float32[np.ndarray, " _"]]:
    """Fixed windows of `size`, half overlapping, that cover all samples; the last ends with the sound."""
    if len(samples) <= size:
        return [samples]
    starts = [*range(0, len(samples) - size, size // 2), len(samples) - size]
    if len(starts) > MAX_WINDOWS:
        starts = [starts[i] for i in np.linspace(0, len(starts) - 1, MAX_WINDOWS).round().astype(int)]
    return [samples[s : s + size] for s in starts]


def _vector(found: Any) -> np.ndarray:
    # transformers 5 returns an output object, 4 returned the tensor itself.
    tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
    return tensor[0].double().numpy()


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
