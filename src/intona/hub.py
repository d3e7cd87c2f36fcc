"""Weights published in the format of `transformers`: a directory, or a hub id that is fetched once."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from intona import config as configs
from intona.errors import UserError

MEND = 'pip install "transformers>=5,<6"'
NAME_IT = "name it yourself on the command line"
INDEX = "model.safetensors.index.json"
FILES = ("*.json", "*.safetensors", "pytorch_model.bin")


def require_transformers(what: str) -> None:
    """Raises UserError, in the name of `what`, where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise UserError(f"{what} needs transformers, which is not installed", hint=MEND)


def local(model: str) -> Path:
    """The path that a name is, `~` read as the shell does.

    Raises:
        UserError: `~` of nobody.
    """
    try:
        return Path(model).expanduser()
    except RuntimeError:
        raise UserError("no such home directory", where=model) from None


def fetch(model: str, *, patterns: Sequence[str] = FILES, ask: bool = True) -> Path:
    """Directory of a model: the one that is given, or the hub's, fetched without any code.

    Without `ask`, for a name that came out of a file, the hub's only as far as it was fetched before.

    Raises:
        UserError: neither a directory nor to be had from the hub.
    """
    path = local(model)
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith(".") or model.count("/") != 1:
        what = "is a file, not the directory of a model" if path.is_file() else "no such directory"
        raise UserError(what, where=model, hint="give a directory or a hub id (OWNER/NAME)")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, allow_patterns=list(patterns), local_files_only=not ask))
    except Exception as e:  # the hub client has many kinds of error; each means the same to the user
        if not ask:
            raise UserError("is not on this machine", where=model, hint=NAME_IT) from None
        raise UserError(
            f'"{model}" is no directory and cannot be fetched from the hub ({type(e).__name__})',
            hint="give a directory, or connect to the hub once",
        ) from None


def fetch_kind(model: str, kind: str, *, patterns: Sequence[str] = FILES, ask: bool = True) -> Path:
    """`fetch`, for a model whose config.json names this `model_type`, with its weights in one file.

    Raises:
        UserError: as `fetch`; another kind of model; a file is missing.
    """
    directory = fetch(model, patterns=patterns, ask=ask)
    path = directory / "config.json"
    if not path.is_file():
        raise UserError("is missing", where=path)
    found = configs.read_json(path)
    said = found.get("model_type") if isinstance(found, dict) else None
    if said != kind:
        raise UserError(f'a "{said}" model, not {kind}', where=path)
    if "transformers_weights" in found:  # transformers would read that file, and our hash be of another
        raise UserError("names a file of weights", where=path, hint="remove transformers_weights")
    weights_file(directory)
    return directory


def weights_file(directory: Path) -> Path:
    """The weights of a model directory, safetensors before torch's own format.

    Raises:
        UserError: there are none in one file, or there are others that transformers would read before it.
    """
    for name in ("model.safetensors", INDEX, "pytorch_model.bin"):
        if (directory / name).is_file():
            if name == INDEX:
                raise UserError("its weights are in several files", where=directory / name)
            return directory / name
    raise UserError("has no weights: model.safetensors is missing", where=directory)
