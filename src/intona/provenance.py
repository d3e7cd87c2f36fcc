"""Where a file comes from: versions, git state, kind of machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intona import registry
from intona.config import read_json
from intona.errors import UserError

FILE, PARTS = "provenance.json", "parts"

_PACKAGES = ("intona", "torch", "numpy", "lightning", "safetensors", "soundfile", "soxr", "tokenizers")


def describe(parts: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """Versions, kind of machine, git revision of an editable install. No path and no host name.

    Args:
        parts: (group, name) of the registered parts that were used. Those of other packages are recorded, so
            that `require_parts` can name a package that is missing.
    """
    recorded = registry.third_party(parts)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "packages": {p: v for p in _PACKAGES if (v := _version(p)) is not None},
        "git": _git(),
        **({PARTS: recorded} if recorded else {}),
    }


def require_parts(directory: Path) -> None:
    """Refuse a checkpoint or model with parts of a package that is not installed here.

    A provenance.json that is missing or damaged is accepted: a published model may have none.

    Raises:
        UserError: names the package, and how to install it.
    """
    path = directory / FILE
    try:
        written = read_json(path) if path.is_file() else {}
    except UserError:
        return
    parts = written.get(PARTS) if isinstance(written, dict) else None
    if isinstance(parts, dict):
        registry.require(parts, where=directory)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> str | None:
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        out = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip()


def sha256(path: Path) -> str:
    """SHA-256 of a file as hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
