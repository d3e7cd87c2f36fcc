"""Whole or not at all: kills at every write, full disks, truncation, bit flips, foreign files."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest
import torch

from intona import checkpoint
from intona.errors import UserError


def _save(run: Path, step: int) -> Path:
    torch.manual_seed(step)
    return checkpoint.save(
        run,
        step,
        tensors={"model": {"w": torch.randn(8, 8)}, "state/optimizer": {"m": torch.randn(8)}},
        files={"config.json": {"a": 1}, "state/loop.json": {"step": step}},
    )


class _Killed(BaseException):
    pass


_CALLS = ("rename", "replace", "fsync", "open")


@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("count", range(1, 9))
def test_a_kill_at_any_call_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, count: int
) -> None:
    _save(tmp_path, 1)
    real, seen = getattr(os, call), 0

    def dying(*args, **kwargs):
        nonlocal seen
        seen += 1
        if seen == count:
            raise _Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as m:
        m.setattr(os, call, dying)
        with contextlib.suppress(_Killed):
            _save(tmp_path, 2)
    newest = checkpoint.resolve(tmp_path)
    checkpoint.verify(newest)
    assert newest.name in ("step-00000001", "step-00000002")
    assert checkpoint.read_tensors(newest / "model.safetensors")["w"].shape == (8, 8)
    checkpoint.prune(tmp_path, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == [newest.name]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_or_forbidden_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    before = _save(tmp_path, 1)
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "optimizer.safetensors":
            raise OSError(code, os.strerror(code))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError) as e:
        _save(tmp_path, 2)
    assert "\n" not in str(e.value)
    assert os.strerror(code) in str(e.value)
    checkpoint.verify(before)
    assert checkpoint.steps(tmp_path) == [1]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_is_refused_by_name(tmp_path: Path, seed: int) -> None:
    path = _save(tmp_path, 1)
    target = path / ("model.safetensors" if seed % 2 else "config.json")
    data = bytearray(target.read_bytes())
    data[(seed * 7919) % len(data)] ^= 1 << (seed % 8)
    target.write_bytes(bytes(data))
    with pytest.raises(UserError, match=target.name):
        checkpoint.verify(path)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = _save(tmp_path, 1)
    target = path / "model.safetensors"
    data = target.read_bytes()
    target.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(UserError, match="truncated"):
        checkpoint.verify(path)
    with pytest.raises(UserError, match="safetensors"):
        checkpoint.read_tensors(target)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"bias is missing"):
        checkpoint.load_weights(module, {"weight": torch.zeros(2, 2)}, where=tmp_path)
    with pytest.raises(UserError, match=r"weight is of another shape"):
        checkpoint.load_weights(module, {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, where=tmp_path)


def test_an_index_that_leads_outside_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "run", 1)
    (path / "files.json").write_text('{"../../secret": {"bytes": 1, "sha256": "0"}}')
    with pytest.raises(UserError, match="leads out"):
        checkpoint.verify(path)


def test_a_directory_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoint.resolve(tmp_path)
    with pytest.raises(UserError, match="no such model"):
        checkpoint.resolve(tmp_path / "nothing")
