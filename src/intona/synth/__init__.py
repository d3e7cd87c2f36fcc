"""The whole chain from text to `Audio`: used by the command line, the evaluation and anything that serves."""

from __future__ import annotations

import importlib
import os
from typing import Any

from intona import checkpoint, models
from intona import config as configs

# What voices.json calls a kind of voice -> the module that opens it.
KINDS = {"gradtts": "gradtts", "speech_lm": "speech_lm", "ditto": "ditto"}


def load(name_or_dir: str | os.PathLike[str] = "ru") -> Any:
    """Open a voice of any kind: a shipped one by name, or a run or checkpoint directory of `intona train`.

    Returns:
        `gradtts.GradTTSVoice`, `speech_lm.LanguageVoice` (meld) or `ditto.DittoVoice`: all have
        `say(text) -> Audio`.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint, a config this version does not know.
    """
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    kind = voices.get("kind") if isinstance(voices, dict) else None
    return importlib.import_module(f"intona.synth.{KINDS.get(str(kind), 'gradtts')}").load(path)
