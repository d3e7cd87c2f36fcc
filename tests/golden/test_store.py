"""Golden values: differences are reported, and values are stored again only with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from . import store


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "HERE", tmp_path)
    return tmp_path


def test_figures(empty: Path) -> None:
    def compare(total: float, reason: str = "", norm: float = 1.0) -> None:
        figures = {"train, step 1": {"total": total, "grad_norm": norm}}
        store.compare_figures("a.b", figures, loss=1e-4, gradient=1e-2, reason=reason)

    with pytest.raises(pytest.fail.Exception, match="missing"):
        compare(2.0)
    compare(2.0, reason="new stage")
    before = (empty / "losses/a.b.json").read_text(encoding="utf-8")
    compare(2.0001, reason="nothing that shows", norm=1.005)
    assert (empty / "losses/a.b.json").read_text(encoding="utf-8") == before
    with pytest.raises(pytest.fail.Exception, match=r"step 1: total was 2, is 2.001"):
        compare(2.001)
    with pytest.raises(pytest.fail.Exception, match="total was 2, is nan"):
        compare(float("nan"))
    with pytest.raises(pytest.fail.Exception, match="grad_norm"):
        compare(2.0, norm=1.1)
    compare(2.001, reason="another loss")
    assert '"reason": "another loss"' in (empty / "losses/a.b.json").read_text(encoding="utf-8")
    compare(2.001)
    with pytest.raises(pytest.fail.Exception, match="dev: total was nan, is 3"):
        figures = {"train, step 1": {"total": 2.001, "grad_norm": 1.0}, "dev": {"total": 3.0}}
        store.compare_figures("a.b", figures, loss=1e-4, gradient=1e-2, reason="")


def test_keys(empty: Path) -> None:
    store.compare_keys("a", ["w: 2 x 3", "x:"], "first")
    store.compare_keys("a", ["w: 2 x 3", "x:"], "")
    assert (empty / "keys/a.txt").read_text(encoding="utf-8").splitlines()[0] == "# first"
    with pytest.raises(pytest.fail.Exception, match=r"(?s)- w: 2 x 3\n.*\+ w: 3 x 3"):
        store.compare_keys("a", ["w: 3 x 3", "x:"], "")


def test_pictures(empty: Path) -> None:
    picture = np.random.default_rng(0).normal(size=(12, 20))
    store.compare_picture("a", picture, "first")
    store.compare_picture("a", picture, "")
    for other in (picture + 0.1, picture[::-1], picture[:-1], picture * np.nan):
        with pytest.raises(pytest.fail.Exception, match="no longer sounds as before"):
            store.compare_picture("a", other, "")


def test_keys_are_those_of_the_file(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {"b": np.zeros((2, 3), np.float16), "a": np.zeros((), np.int64)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    assert store.keys_of(tmp_path / "x.safetensors") == ["a:", "b: 2 x 3"]
