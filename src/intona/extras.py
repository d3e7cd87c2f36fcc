"""Packages that speaking does without, and the command that installs each."""

from __future__ import annotations

import importlib.util

from intona.errors import UserError

# Package -> extra of pyproject.toml.
PACKAGES = {
    "torch": "train",
    "scipy": "train",
    "tokenizers": "train",
    "pyarrow": "train",
    "lightning": "train",
    "tensorboard": "train",
    "monotonic_alignment_search": "train",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "matplotlib": "plot",
    "faster_whisper": "eval",
    "jiwer": "eval",
    "pyworld": "eval",
    "fastapi": "serve",
    "uvicorn": "serve",
    "ray": "cluster",
}


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def install(package: str) -> str:
    """The command that installs a package."""
    extra = PACKAGES.get(package)
    return f"pip install {package}" if extra is None else f'pip install "intona[{extra}]"'


def missing(package: str, what: str, *, where: object = None) -> UserError:
    """The error of something that needs a package which is not installed."""
    return UserError(f"{what} needs {package}, which is not installed", where=where, hint=install(package))


def require(package: str, what: str, *, where: object = None) -> None:
    """Raise a UserError that names `what` if a package is not installed."""
    if not installed(package):
        raise missing(package, what, where=where)
