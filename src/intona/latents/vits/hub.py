"""VITS voices in the format of `transformers` (MMS-TTS, vits-ljs, vits-vctk): a hub id or a directory."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from intona import config as configs
from intona.errors import UserError

MEND = 'pip install "transformers>=5,<6"'
FILES = ["*.json", "*.safetensors", "pytorch_model.bin"]


def require(what: str) -> None:
    if importlib.util.find_spec("transformers") is None:
        raise UserError(f"{what} needs transformers, which is not installed", mend=MEND)


def fetch(model: str, *, kind: str, patterns: list[str] | None = None) -> Path:
    """Directory of a published model: the one given, or the hub's, fetched without any code.

    Raises:
        UserError: neither a directory nor to be had from the hub (says which was tried); another kind of
            model; a file is missing.
    """
    local = Path(model).expanduser()
    if not local.is_dir():
        if local.is_absolute() or model.startswith(".") or model.count("/") != 1:
            raise UserError(
                "no such directory", where=model, mend="give a directory or a hub id (OWNER/NAME)"
            )
        try:
            from huggingface_hub import snapshot_download

            local = Path(snapshot_download(model, allow_patterns=patterns or FILES))
        except Exception as e:  # the hub client has many kinds of error; each means the same to the user
            raise UserError(
                f'"{model}" is no directory and cannot be fetched from the hub ({type(e).__name__})',
                mend="give a directory, or connect to the hub once",
            ) from None
    if not (local / "config.json").is_file():
        raise UserError("is missing", where=local / "config.json")
    found = configs.read_json(local / "config.json")
    if not isinstance(found, dict) or found.get("model_type") != kind:
        said = found.get("model_type") if isinstance(found, dict) else None
        raise UserError(f'a "{said}" model, not {kind}', where=local / "config.json")
    weights_file(local)
    return local


def build(directory: Path) -> tuple[nn.Module, bool]:
    """The model, and whether it has a trained posterior encoder.

    Raises:
        UserError: damaged files, weights missing.
    """
    from transformers import VitsModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would write to a stderr that is no terminal
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is said below, in one line
    try:
        model, info = VitsModel.from_pretrained(  # type: ignore[misc]
            directory, local_files_only=True, weights_only=True, output_loading_info=True
        )
    except Exception as e:  # transformers raises what its readers raise
        reason = " ".join(str(e).split())
        raise UserError(f"the voice cannot be loaded ({reason[:200]})", where=directory) from None
    finally:
        logging.set_verbosity(level)
    absent = sorted(info["missing_keys"])
    needed = [k for k in absent if not k.startswith(("posterior_encoder.", "duration_predictor.post_"))]
    if needed:
        raise UserError(f"no weights of {needed[0]} and {len(needed) - 1} more", where=directory)
    fuse(model)
    return model, not any(k.startswith("posterior_encoder.") for k in absent)


def fuse(module: nn.Module) -> None:
    """Weight norm as plain weights, in place: nothing of a frozen voice is trained."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")  # type: ignore[arg-type]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table; {} where there is no file."""
    if not path.is_file():
        return {}
    found = configs.read_json(path, max_bytes=64 << 20)
    return found if isinstance(found, dict) else {}


def weights_file(directory: Path) -> Path:
    """The weights of a model directory, safetensors before torch's own format."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (directory / name).is_file():
            return directory / name
    raise UserError("has no weights: model.safetensors is missing", where=directory)
