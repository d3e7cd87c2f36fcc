"""files.json: size and SHA-256 of every file of a checkpoint or model, and their verification."""

from __future__ import annotations

from pathlib import Path

from intona import config as configs
from intona.errors import UserError
from intona.provenance import sha256

INDEX = "files.json"
_EARLIER = "use an earlier step-* directory"


def write_index(directory: Path, names: list[str]) -> None:
    """Write files.json for the named files."""
    index = {
        n: {"bytes": (directory / n).stat().st_size, "sha256": sha256(directory / n)} for n in sorted(names)
    }
    configs.write_json(directory / INDEX, index)


def read_index(directory: Path) -> dict[str, dict[str, object]]:
    """The entries of files.json: file name -> `bytes`, `sha256`.

    Raises:
        UserError: no such file, or not an index.
    """
    index = configs.read_json(directory / INDEX)
    if not isinstance(index, dict) or not all(
        isinstance(e, dict) and "\0" not in n for n, e in index.items()
    ):
        raise UserError("not a file index", where=directory / INDEX)
    return index


def verify(checkpoint: Path, *, state: bool = True, hint: str = _EARLIER) -> None:
    """Check every file against files.json.

    Args:
        state: whether state/ must be there; a published checkpoint may lack it.
        hint: what to do about a damaged file.

    Raises:
        UserError: names the first file that is missing, truncated or changed.
    """
    index = read_index(checkpoint)
    folders = _folders(checkpoint.resolve())
    for name, entry in index.items():
        path = checkpoint / name
        if not any(path.resolve().is_relative_to(folder) for folder in folders):
            raise UserError(f'file name "{name}" leads out of the checkpoint', where=checkpoint / INDEX)
        if name.startswith("state/") and not state:
            continue
        if not path.is_file():
            raise UserError("missing from the checkpoint", where=path, hint=hint)
        size = path.stat().st_size
        if size != entry.get("bytes"):
            raise UserError(f"truncated: {size} bytes of {entry.get('bytes')}", where=path, hint=hint)
        if sha256(path) != entry.get("sha256"):
            raise UserError("damaged: its checksum differs", where=path, hint=hint)
    if not {"model.safetensors", "ema.safetensors"} & index.keys():
        raise UserError("lists no weights", where=checkpoint / INDEX)


def _folders(directory: Path) -> list[Path]:
    """The folders that may contain the files of a checkpoint: itself and, in the cache of the hub, its blobs.

    CACHE/models--OWNER--NAME/snapshots/COMMIT holds links to CACHE/models--OWNER--NAME/blobs or CACHE/blobs.
    """
    repository = directory.parents[1] if len(directory.parts) > 3 else directory
    if directory.parent.name == "snapshots" and repository.name.startswith("models--"):
        return [directory, repository / "blobs", repository.parent / "blobs"]
    return [directory]
