"""VITS voices in the format of `transformers` (MMS-TTS, vits-ljs, vits-vctk)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from intona import config as configs
from intona.errors import UserError


def build(directory: Path) -> tuple[nn.Module, bool]:
    """The model, and whether it has a trained posterior encoder.

    Raises:
        UserError: damaged files, weights missing.
    """
    from transformers import VitsModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # it writes even if stderr is not a terminal
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # missing weights are reported below, in one line
    try:
        model, info = VitsModel.from_pretrained(  # type: ignore[misc]
            directory, local_files_only=True, weights_only=True, output_loading_info=True
        )
    except Exception as e:  # its readers raise exceptions of many kinds
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
    """Replace weight norm by plain weights, in place; a frozen voice is never trained."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight")  # type: ignore[arg-type]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; {} if there is no file."""
    if not path.is_file():
        return {}
    table = configs.read_json(path, max_bytes=64 << 20)
    return table if isinstance(table, dict) else {}
