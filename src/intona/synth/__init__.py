"""The whole chain from text to `Audio`: used by the command line, the evaluation and anything that serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from intona import checkpoint, models, registry
from intona import config as configs
from intona.errors import UserError
from intona.text import Lexicon
from intona.text import lexicon as lexicons

DEFAULT_KIND = "gradtts"  # of checkpoints whose voices.json names none


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
    return registry.get("voices", kind_of(path), where=path)(path)


def kind_of(path: Path) -> str:
    """The name under which a checkpoint's kind of voice is registered."""
    if (path / "restyle.json").is_file():
        return "restyle"
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    return str(voices.get("kind", DEFAULT_KIND)) if isinstance(voices, dict) else DEFAULT_KIND
