"""Compare values with the stored ones, or store them again, for a stated reason.

Only files whose values differ are rewritten, and each states the reason, so that the diff shows what
changed and why.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
HOW = 'If the change is intended: python -m pytest tests/golden -m "" --write-golden "REASON"'
CORRELATION = 0.999
DIFFERENCE = 0.005  # on average, in standard deviations of the stored picture

Figures = dict[str, dict[str, float]]


def compare_figures(name: str, figures: Figures, *, loss: float, gradient: float, reason: str) -> None:
    """Figures against golden/losses/NAME.json.

    Args:
        loss, gradient: allowed relative difference of a loss, and of a figure that depends on gradients.
    """
    path = HERE / "losses" / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else {}
    differences = [] if stored else [f"{path.name} is missing"]
    if stored:
        for kind in sorted(stored.keys() | figures.keys()):
            before, now = stored.get(kind, {}), figures.get(kind, {})
            for key in sorted(before.keys() | now.keys()):
                a, b = before.get(key, math.nan), now.get(key, math.nan)
                allowed = gradient if key == "grad_norm" or kind.startswith("state") else loss
                if not math.isclose(a, b, rel_tol=allowed, abs_tol=1e-12):
                    differences.append(f"{kind}: {key} was {a:.7g}, is {b:.7g} (tolerance {allowed:g})")
    if differences and reason:
        rounded = {kind: {k: float(f"{v:.7g}") for k, v in row.items()} for kind, row in figures.items()}
        text = json.dumps({"reason": reason, "figures": rounded}, indent=1, ensure_ascii=False)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    elif differences:
        pytest.fail("\n".join([f"{name} no longer trains as before. {HOW}", *differences]), pytrace=False)


def keys_of(file: Path) -> list[str]:
    """Lines "name: shape" of a safetensors file, sorted; from its header, which is JSON."""
    with open(file, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    return sorted(
        f"{name}: {' x '.join(map(str, tensor['shape']))}".rstrip() for name, tensor in header.items()
    )


def compare_keys(name: str, keys: list[str], reason: str) -> None:
    """Lines of `keys_of` against golden/keys/NAME.txt, whose first line is the reason."""
    path = HERE / "keys" / f"{name}.txt"
    stored = path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []
    gone = [f"- {key}" for key in stored if key not in keys]
    new = [f"+ {key}" for key in keys if key not in stored]
    if (gone or new) and reason:
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([f"# {reason}", *keys]) + "\n", encoding="utf-8")
    elif gone or new:
        pytest.fail(
            "\n".join([f"The weights of {name} have other names or shapes. {HOW}", *gone, *new]),
            pytrace=False,
        )


def compare_picture(name: str, picture: np.ndarray, reason: str) -> None:
    """A picture (T, D) against golden/shipped/NAME.npz: its shape, its correlation and its level."""
    path = HERE / "shipped" / f"{name}.npz"
    problem = f"{path.name} is missing"
    if path.is_file():
        with np.load(path) as file:
            stored = file["picture"].astype(np.float32)
        problem = ""
        if stored.shape != picture.shape:
            problem = f"was {stored.shape} blocks, is {picture.shape}"
        else:
            correlation = float(np.corrcoef(stored.ravel(), picture.ravel())[0, 1])
            difference = float(np.abs(stored - picture).mean() / stored.std())
            if not (correlation > CORRELATION and difference < DIFFERENCE):
                problem = f"correlation {correlation:.6f}, mean difference {difference:.5f} deviations"
    if problem and reason:
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, picture=picture.astype(np.float16), reason=np.array(reason))
    elif problem:
        pytest.fail(f"{name} no longer sounds as before: {problem}. {HOW}", pytrace=False)
