"""The folder of a voice or a vocoder with graphs: what `intona export` writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from intona import checkpoint, models
from intona import config as configs
from intona.errors import UserError
from intona.export.check import vocoder_difference, voice_difference
from intona.export.gradtts import export_gradtts
from intona.export.graph import OPSET, WEIGHTS, require_exporter
from intona.export.vocoder import export_vocoder
from intona.runtime import folder
from intona.synth import kind_of
from intona.vocoder import load_vocoder

TRAINING_ONLY = "discriminators."  # tensors of a vocoder's run that decoding does without


def export(source: Path | str, out: Path) -> dict[str, Any]:
    """Write a published model with graphs; its card records how far they are from torch.

    Args:
        source: a run, a checkpoint or a model, by name or path. out: a new folder, or a published model to
            replace, which may be the source itself.

    Returns:
        the field `export` of the card.

    Raises:
        UserError: a kind of model that cannot be exported, a package that is missing, graphs that differ.
    """
    require_exporter()
    path = checkpoint.resolve(models.find(source))
    if (out.resolve() == path.resolve() and (path / "state").exists()) or (out / "state").exists():
        raise UserError("is a checkpoint of a training", where=out, hint="name a new folder")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise UserError("holds something else than a model", where=out, hint="name a new folder")
    temporary, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    try:
        _copy(path, temporary)
        report = _write_graphs(temporary)
        if out.exists():
            os.rename(out, old)
        os.rename(temporary, out)
    except OSError as e:
        raise UserError(f"not exported ({e.strerror or e})", where=out) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not out.exists():
            os.rename(old, out)
        shutil.rmtree(old, ignore_errors=True)
    return report


def _copy(path: Path, out: Path) -> None:
    """A published model as it is, without earlier graphs; a run as `intona publish` would write it."""
    others = [p for p in path.iterdir() if p.suffix in (".md", ".txt")]
    if (path / "state").exists() or (path / "ema.safetensors").is_file():
        card = {
            "kind": "voice" if (path / "voices.json").is_file() else "vocoder",
            **models.card_fields(path),
        }
        checkpoint.publish(path, out, card=card, files=others, without=TRAINING_ONLY)
        return
    out.mkdir(parents=True)
    for file in [*others, *path.glob("*.json"), path / WEIGHTS]:
        if file.name not in (folder.FILE, checkpoint.INDEX):
            shutil.copyfile(file, out / file.name)
    if (path / checkpoint.INDEX).is_file():
        checkpoint.verify(path, state=False)
    checkpoint.write_index(out, [p.name for p in out.iterdir()])


def _write_graphs(path: Path) -> dict[str, Any]:
    """The graphs, what they need, the card and the index, into a folder that has all else."""
    if (path / "voices.json").is_file():
        if (kind := kind_of(path)) != "gradtts":
            raise UserError(f"{kind} voices cannot be exported", hint="voices of prosody.gradtts can")
        from intona.systems.gradtts.voice import load

        voice = load(path)
        folder.write(export_gradtts(voice.model, path), path)
        difference = voice_difference(voice, path)
    elif (path / "features.json").is_file() and models.read_card(path).kind == "vocoder":
        vocoder = load_vocoder(path, bf16=False)
        folder.write(export_vocoder(vocoder, path), path)
        _index(path)
        difference = vocoder_difference(vocoder, path)
    else:
        raise UserError("is neither a voice nor a vocoder", hint="see `intona models`")
    report = {"opset": OPSET, "largest_difference": difference}
    configs.write_json(path / "card.json", {**models.card_fields(path), "export": report})
    _index(path)
    return report


def _index(path: Path) -> None:
    checkpoint.write_index(path, [p.name for p in path.iterdir() if p.name != checkpoint.INDEX])
