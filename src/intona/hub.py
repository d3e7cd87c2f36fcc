"""Models published in the format of `transformers`: a directory, or a hub id that is downloaded once."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from intona import config as configs
from intona.errors import UserError

INSTALL = 'pip install "transformers>=5,<6"'
NAME_IT = "name it yourself on the command line"
INDEX = "model.safetensors.index.json"
FILES = ("*.json", "*.safetensors", "pytorch_model.bin")


def require_transformers(what: str) -> None:
    """Raise a UserError that names `what` if transformers is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise UserError(f"{what} needs transformers, which is not installed", hint=INSTALL)


def local(model: str) -> Path:
    """A name as a path, with `~` expanded as in a shell.

    Raises:
        UserError: `~` of an unknown user.
    """
    try:
        return Path(model).expanduser()
    except RuntimeError:
        raise UserError("no such home directory", where=model) from None


def fetch(model: str, *, patterns: Sequence[str] = FILES, ask: bool = True) -> Path:
    """The directory of a model: `model` itself, or a download from the hub, which contains no code.

    Args:
        model: a directory or a hub id.
        patterns: files to download.
        ask: may connect to the hub; False, for a name that comes from a file, allows earlier downloads only.

    Raises:
        UserError: not a directory, and not available from the hub.
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
    """`fetch` a model, and check that config.json names this `model_type` and that the weights are one file.

    Raises:
        UserError: as `fetch`; another kind of model; a file is missing.
    """
    directory = fetch(model, patterns=patterns, ask=ask)
    path = directory / "config.json"
    if not path.is_file():
        raise UserError("is missing", where=path)
    config = configs.read_json(path)
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type != kind:
        raise UserError(f'a "{model_type}" model, not {kind}', where=path)
    if "transformers_weights" in config:  # transformers would load that file, but our hash is of another
        raise UserError("names a file of weights", where=path, hint="remove transformers_weights")
    weights_file(directory)
    return directory


def weights_file(directory: Path) -> Path:
    """The file of the weights of a model directory; safetensors is preferred to the format of torch.

    Raises:
        UserError: no weights, or weights in several files, which transformers would prefer.
    """
    for name in ("model.safetensors", INDEX, "pytorch_model.bin"):
        if (directory / name).is_file():
            if name == INDEX:
                raise UserError("its weights are in several files", where=directory / name)
            return directory / name
    raise UserError("has no weights: model.safetensors is missing", where=directory)
