"""The whole chain from text to `Audio`: used by the command line, the evaluation and anything that serves."""

from __future__ import annotations

import importlib
import os
from typing import Any

from intona import checkpoint, models
from intona import config as configs
from intona.errors import UserError
from intona.text import Lexicon
from intona.text import lexicon as lexicons

# What voices.json calls a kind of voice -> the module that opens it. A restyling model has none: it stands on
# a frozen voice, and above this package, so that its module goes by name.
KINDS = {"speech_lm": "intona.synth.speech_lm", "ditto": "intona.synth.ditto"}
RESTYLE = ("restyle.json", "intona.systems.restyle.voice")


def load(
    name_or_dir: str | os.PathLike[str] = "ru",
    *,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
) -> Any:
    """Open a voice of any kind: a shipped one by name, or a run or checkpoint directory of `intona train`.

    Args:
        lexicon: how certain words are spoken, or the file that says it; its entries go before those of a
            `lexicon.txt` in the voice's directory.

    Returns:
        `gradtts.GradTTSVoice`, `speech_lm.LanguageVoice` (meld), `ditto.DittoVoice` or restyle's
        `StyledVoice`: all have `say(text) -> Audio`.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint, a config this version does not know, a
            file that is no lexicon, a lexicon for a voice that takes none.
    """
    entries = lexicons.of(lexicon)
    voice = _open(name_or_dir)
    if entries is not None:
        if not hasattr(voice, "use_lexicon"):
            raise UserError("this kind of voice takes no lexicon", where="--lexicon")
        voice.use_lexicon(entries)
    return voice


def _open(name_or_dir: str | os.PathLike[str]) -> Any:
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    if (path / RESTYLE[0]).is_file():
        return importlib.import_module(RESTYLE[1]).load(path)
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    kind = voices.get("kind") if isinstance(voices, dict) else None
    return importlib.import_module(KINDS.get(str(kind), "intona.synth.gradtts")).load(path)
