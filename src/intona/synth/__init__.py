"""The whole chain from text to `Audio`: used by the command line, the evaluation and anything that serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intona.errors import UserError

if TYPE_CHECKING:
    import torch

    from intona.synth.voice import Voice, VoiceLoader
    from intona.text import Lexicon

DEFAULT_KIND = "gradtts"  # of checkpoints whose voices.json names none


def load(
    name_or_dir: str | os.PathLike[str] = "ru",
    *,
    device: str | torch.device = "cpu",
    vocoder: str | os.PathLike[str] | None = None,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
) -> Voice:
    """Open a voice of any kind: a shipped one by name, or a run or checkpoint directory of `intona train`.

    `hf://OWNER/NAME[@REVISION]` names a voice of the Hugging Face Hub, which is downloaded once; it needs the
    extra `hub`.

    Args:
        device: of the model and its vocoder, such as "cuda".
        vocoder: a name for `vocoder.load_vocoder`, "hifigan" if None.
        lexicon: how certain words are spoken, or its file; its entries go before those of a `lexicon.txt` in
            the voice's directory.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint, a config this version does not know, no
            such device, a file that is no lexicon, a lexicon or a vocoder for a voice that takes none.
    """
    # Imported here, so that `synth.options` is quick to import.
    from intona import checkpoint, hf, models, registry
    from intona.nn.device import device_of
    from intona.text import lexicon as lexicons

    device, entries = device_of(device), lexicons.of(lexicon)
    if vocoder is not None and hf.is_address(vocoder):
        vocoder = hf.pin(vocoder)  # records of the voice name the revision
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    open_voice: VoiceLoader = registry.get("voices", kind_of(path), where=path)
    voice = open_voice(path, device=device, vocoder=None if vocoder is None else os.fspath(vocoder))
    if vocoder is not None and not voice.capabilities.vocoder:
        raise UserError(f"{voice.capabilities.system} voices take no vocoder", where="--vocoder")
    if entries is not None:
        voice.use_lexicon(entries)
    return voice


def kind_of(path: Path) -> str:
    """The name under which a checkpoint's kind of voice is registered."""
    from intona import config as configs

    if (path / "restyle.json").is_file():
        return "restyle"
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    return str(voices.get("kind", DEFAULT_KIND)) if isinstance(voices, dict) else DEFAULT_KIND
