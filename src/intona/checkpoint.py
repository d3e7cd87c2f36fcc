"""Checkpoint directories: written whole or not at all, read defensively, never pickle.

    RUN/step-00001000/   model.safetensors ema.safetensors config.json tokenizer.json features.json
                         stats.json provenance.json state/ files.json

A checkpoint is written under a hidden name, flushed, and renamed; only a renamed directory counts.
`files.json` holds size and sha256 of every file; a truncated or changed file is an error that names it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intona import config as configs
from intona import hf
from intona.errors import UserError
from intona.file_index import INDEX, verify, write_index
from intona.provenance import require_parts, sha256

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GRAPHS = "onnx.json"  # of a model with ONNX graphs
WEIGHTS = "model.safetensors"
_STEP = re.compile(r"step-(\d{8})$")


def save(run: Path, step: int, *, tensors: dict[str, dict[str, Tensor]], files: dict[str, Any]) -> Path:
    """Write RUN/step-N atomically.

    Args:
        run: run directory, created if missing.
        step: number of updates done.
        tensors: file name without suffix -> state dict; "state/x" is part of the training state.
        files: JSON file name -> value.

    Raises:
        UserError: the disk is full or cannot be written; an earlier checkpoint is untouched.
    """
    import safetensors.torch

    final = run / f"step-{step:08d}"
    temporary = run / f".step-{step:08d}.{os.getpid()}.tmp"
    try:
        run.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        (temporary / "state").mkdir(parents=True)
        for name, state in tensors.items():
            # Clones: safetensors refuses tensors that share memory.
            flat = {k: v.detach().contiguous().clone() for k, v in state.items()}
            path = temporary / f"{name}.safetensors"
            path.write_bytes(safetensors.torch.save(flat))
            _flush(path)
        for name, value in files.items():
            configs.write_json(temporary / name, value)
        write_index(temporary, [str(p.relative_to(temporary)) for p in temporary.rglob("*") if p.is_file()])
        _flush(temporary / "state")
        _flush(temporary)
        if final.exists():
            shutil.rmtree(final)
        os.rename(temporary, final)
        _flush(run)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        hint = {
            errno.ENOSPC: "free some space and start the same command again: it resumes",
            errno.EACCES: "check the permissions",
            errno.EROFS: "the file system is read-only",
        }.get(e.errno or 0, "the earlier checkpoint is intact")
        raise UserError(f"checkpoint not written ({e.strerror or e})", where=final, hint=hint) from None
    return final


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def steps(run: Path) -> list[int]:
    """Complete checkpoints of a run, oldest first."""
    if not run.is_dir():
        return []
    matches = (_STEP.match(p.name) for p in run.iterdir() if (p / INDEX).is_file())
    return sorted(int(m[1]) for m in matches if m)


def resolve(path: Path) -> Path:
    """A checkpoint directory itself, or the newest checkpoint of a run directory.

    Raises:
        UserError: neither; or it has parts of a package that is not installed.
    """
    path = Path(path)
    is_checkpoint = (path / "model.safetensors").is_file() or (path / "config.json").is_file()
    if not is_checkpoint and (complete := steps(path)):
        path, is_checkpoint = path / f"step-{complete[-1]:08d}", True
    if is_checkpoint:
        require_parts(path)
        return path
    if not path.exists():
        raise UserError("no such model directory", where=path, hint="`intona models` lists what is shipped")
    raise UserError("holds no checkpoint", where=path, hint="give a run directory of `intona train`")


def step_of(path: Path) -> int | None:
    """The number of updates in the name of a checkpoint; None for a published model."""
    match = _STEP.match(path.name)
    return None if match is None else int(match[1])


def prune(run: Path, *, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, and leftovers of interrupted saves."""
    for step in steps(run)[:-keep]:
        # Renamed first: an interrupted deletion must not leave a directory that looks complete.
        old = run / f"step-{step:08d}"
        gone = run / f".step-{step:08d}.old.tmp"
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(old, gone)
    for leftover in run.glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def publish(
    run: Path, out: Path, *, card: dict[str, Any], files: Sequence[Path] = (), without: str = ""
) -> Path:
    """Turn a checkpoint into a model to share: averaged weights in half precision, a card, no training state.

    Graphs of the source, which read the weights by their place in its file, come along only where that file
    stays the same, as when a published model is published again. Else they are left out, as is the card's
    `export`.

    Args:
        run: run or checkpoint directory, or RUN/best.
        out: a new directory, or a published model to replace.
        card: name, kind, language, trained_on, licence, figures …; written as card.json.
        files: files to copy into the directory.
        without: prefix of the tensors that only training needs ("" = none).
    """
    import safetensors.torch

    source = resolve(run)
    verify(source)
    state = {
        k: v.half() if v.is_floating_point() else v
        for k, v in read_tensors(weights_file(source)).items()
        if not without or not k.startswith(without)
    }
    names = [p.name for p in source.glob("*.json") if p.name not in (INDEX, GRAPHS)]
    temporary, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    try:
        temporary.mkdir(parents=True)
        for name in names:
            configs.write_json(temporary / name, configs.read_json(source / name, max_bytes=64 << 20))
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(state))
        files = [*files, *_graphs_for(temporary / WEIGHTS, source)]
        for file in files:
            shutil.copyfile(file, temporary / file.name)
        if not (temporary / GRAPHS).is_file():
            card = {k: v for k, v in card.items() if k != "export"}
        configs.write_json(temporary / "card.json", card)
        write_index(temporary, [*names, "card.json", WEIGHTS, *(f.name for f in files)])
        if out.exists():
            os.rename(out, old)
        os.rename(temporary, out)
    except OSError as e:
        raise UserError(
            f"not published ({e.strerror or e})", where=out, hint="the files there are unchanged"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not out.exists():
            os.rename(old, out)
        shutil.rmtree(old, ignore_errors=True)
    return out


def _graphs_for(weights: Path, source: Path) -> list[Path]:
    """The files of a model's graphs if they read these weights, which are then those of the model."""
    same = (source / GRAPHS).is_file() and sha256(weights) == sha256(source / WEIGHTS)
    return [source / GRAPHS, *sorted(source.glob("*.onnx"))] if same else []


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises UserError if it cannot be read."""
    import safetensors.torch
    from safetensors import SafetensorError

    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise UserError("no such file", where=path) from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as e:
        raise UserError(f"not a readable safetensors file ({str(e)[:120]})", where=path) from None


def weights_file(path: Path) -> Path:
    """The file of the averaged weights of a checkpoint directory; a published model has no others."""
    file = path / "ema.safetensors"
    return file if file.is_file() else path / "model.safetensors"


def weights(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """The averaged weights of a checkpoint directory, as float32.

    Args:
        prefix: only tensors whose names start with it; it is removed from the names.
    """
    state = read_tensors(weights_file(path))
    return {
        k.removeprefix(prefix): v.float() if v.is_floating_point() else v
        for k, v in state.items()
        if k.startswith(prefix)
    }


def weights_of(source: Path) -> tuple[Path, dict[str, Tensor]]:
    """The averaged weights of a run, checkpoint or published model, after its files are verified.

    Returns:
        the checkpoint directory, and its float32 tensors by name.
    """
    path = resolve(source)
    verify(path, state=False)
    return path, weights(path)


def identity_of(source: Path) -> str:
    """The directory name and a hash of the weights, which the config of a run records about its start.

    A model of the hub has its pinned address in place of the name.
    """
    path = resolve(source)
    return f"{hf.origin(path) or path.name}:{sha256(weights_file(path))[:16]}"


def load_weights(module: torch.nn.Module, state: dict[str, Tensor], *, where: Path) -> None:
    """Load a state dict strictly. Raises UserError, naming the first key that is missing or does not fit."""
    current = module.state_dict()
    missing, extra = current.keys() - state.keys(), state.keys() - current.keys()
    shapes = [k for k in current.keys() & state.keys() if current[k].shape != state[k].shape]
    if missing or extra or shapes:
        first = sorted(missing or extra or shapes)[0]
        kind = "missing" if missing else "unexpected" if extra else "of another shape"
        n = len(missing) + len(extra) + len(shapes)
        raise UserError(
            f"{n} weights do not fit the config; {first} is {kind}",
            where=where,
            hint="use the config it was trained with",
        )
    import torch

    with torch.no_grad():
        for k, v in current.items():
            v.copy_(state[k])
