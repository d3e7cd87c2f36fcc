"""The whole chain from text to `Audio`: used by the command line, the evaluation and anything that serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from intona import extras
from intona.errors import UserError, unknown

if TYPE_CHECKING:
    import torch

    from intona.synth.voice import Voice, VoiceLoader
    from intona.text import Lexicon

Backend = Literal["torch", "onnx"]
BACKENDS = ("torch", "onnx")
DEFAULT_KIND = "gradtts"  # of checkpoints whose voices.json names none


def load(
    name_or_dir: str | os.PathLike[str] = "ru",
    *,
    device: str | torch.device = "cpu",
    vocoder: str | os.PathLike[str] | None = None,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
    backend: Backend | None = None,
) -> Voice:
    """Open a voice of any kind: a shipped one by name, or a run or checkpoint directory of `intona train`.

    `hf://OWNER/NAME[@REVISION]` names a voice of the Hugging Face Hub, which is downloaded once; it needs the
    extra `hub`.

    Args:
        device: of the model and its vocoder: "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one.
        vocoder: a name for `vocoder.load_vocoder`; None: that of the voice's card, else "hifigan".
        lexicon: how certain words are spoken, or its file; its entries go before those of a `lexicon.txt` in
            the voice's directory.
        backend: what computes. "onnx" is onnxruntime and NumPy, for voices with graphs (`intona export`), on
            the CPU; "torch" is for all voices. None: "onnx" where the voice and the vocoder have graphs and
            the device is the CPU, else "torch".

    An alias of a voice, such as "ru" of a voice that speaks Russian and English, opens it for the language of
    the alias alone.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint, a config this version does not know, no
            such device, a file that is no lexicon, a lexicon or a vocoder for a voice that takes none, a
            backend that the voice does not have or whose package is not installed.
    """
    # Imported here, so that `synth.options` is quick to import.
    from intona import checkpoint, devices, hf, models, registry
    from intona.text import lexicon as lexicons

    entries, decoder = lexicons.of(lexicon), None if vocoder is None else os.fspath(vocoder)
    if decoder is not None and hf.is_address(decoder):
        decoder = hf.pin(decoder)  # records of the voice name the revision
    if backend is not None and backend not in BACKENDS:
        unknown("backend", str(backend), BACKENDS, where="--backend")
    if str(device) == devices.AUTO:  # the runtime without torch has the CPU alone
        device = devices.CPU if backend == "onnx" else devices.device_name(device)
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    open_voice: VoiceLoader = registry.get("voices", kind_of(path), where=path)
    if backend == "onnx" or (backend is None and _without_torch(path, device, decoder)):
        voice = _open_onnx(path, device, decoder)
    else:
        extras.require("torch", "the torch backend", where="--backend" if backend else None)
        voice = open_voice(path, device=devices.device_of(device), vocoder=decoder)
    if vocoder is not None and not voice.capabilities.vocoder:
        raise UserError(f"{voice.capabilities.system} voices take no vocoder", where="--vocoder")
    if (alias := models.alias(name_or_dir)) is not None:
        voice.restrict_to(alias.language)
    if entries is not None:
        voice.use_lexicon(entries)
    return voice


def _without_torch(path: Path, device: Any, vocoder: str | None) -> bool:
    """Whether a voice can speak by onnxruntime, on this device and with this vocoder."""
    from intona import models, registry
    from intona.runtime import folder, session

    if str(device) != "cpu" or kind_of(path) not in registry.names("onnx_voices"):
        return False
    if not (folder.has_graphs(path) and session.installed()):
        return False
    from intona.runtime import vocoder as vocoders

    return vocoders.available(vocoder or models.default_vocoder(models.card_fields(path), where=path))


def _open_onnx(path: Path, device: Any, vocoder: str | None) -> Voice:
    from intona import registry
    from intona.runtime import session

    if kind_of(path) not in registry.names("onnx_voices"):
        raise UserError(f"{kind_of(path)} voices have no ONNX backend", where="--backend")
    if str(device) != "cpu":
        raise UserError(
            "the ONNX backend computes on the CPU alone",
            where="--device",
            hint="leave --backend out, or give --backend torch",
        )
    session.require()
    return registry.get("onnx_voices", kind_of(path), where=path)(path, vocoder=vocoder)


def kind_of(path: Path) -> str:
    """The name under which a checkpoint's kind of voice is registered."""
    from intona import config as configs

    if (path / "restyle.json").is_file():
        return "restyle"
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    return str(voices.get("kind", DEFAULT_KIND)) if isinstance(voices, dict) else DEFAULT_KIND
