"""The package `silero-stress` (MIT), which needs torch: the model that `accents` holds in NumPy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intona.errors import UserError
from intona.text.languages.russian.accents.model import StressModel
from intona.text.once import once

PACKAGE = "silero_stress"


class PackageSource:
    """The accentor of the package.

    Args:
        accentor: as `read_accentor` returns it.
    """

    def __init__(self, accentor: Any) -> None:
        import torch

        self._accentor = accentor
        self._no_grad = torch.no_grad

    def homographs(self, text: str) -> str:
        with self._no_grad():
            return self._accentor.homosolver(text)

    def words(self, words: Sequence[str]) -> list[str]:
        with self._no_grad():
            return self._accentor.accentor(" ".join(words)).split()


def load() -> StressModel:
    """The model of the installed package. One for the whole process.

    Raises:
        UserError: the package or torch is not installed; its files have another format.
    """
    for name, package in ((PACKAGE, "silero-stress"), ("torch", "torch")):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"{package} is not installed",
                where='stress="silero"',
                hint=f'pip install {package}, or choose stress="auto": the same model, which is shipped',
            )
    return _shared()


@once
def _shared() -> StressModel:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    version = importlib.metadata.version("silero-stress")
    path = Path(spec.origin).parent / "data" / "accentor.pt"
    try:
        # Third-party code: where it fails on a text, espeak-ng's stress is used.
        return StressModel(PackageSource(read_accentor(path)), version, failures=(Exception,))
    except Exception as e:  # it has no errors of its own
        reason = str(e).partition("\n")[0]
        raise UserError(
            f"the model of silero-stress {version} cannot be read ({reason})",
            where=path,
            hint='install the version that constraints.txt names, or choose stress="auto"',
        ) from None


def read_accentor(path: Path) -> Any:
    """The accentor from the package's archive, as `silero_stress.load_accentor("ru")` returns it.

    Unlike that function, it has no effect on the process: importing silero_stress limits torch to one thread,
    and the code of the archive does so again and turns gradients off. And it compiles the 1,485 regular
    expressions only when they are used: a sentence needs about 15, and all of them would take four seconds.
    """
    import torch
    from torch.package import PackageImporter  # pyright: ignore[reportPrivateImportUsage]

    importer = PackageImporter(str(path))
    # The importer's table of modules is its alone: what stands here is seen by the code of the archive only.
    importer.modules["re"] = _copy(re, _compile=LazyPattern)
    importer.modules["torch"] = _copy(torch, set_num_threads=_ignore, set_grad_enabled=_ignore)
    accentor = importer.load_pickle("accentor_models", "accentor")
    bert = accentor.homosolver.model.bert
    weight = bert.embeddings.word_embeddings.weight
    with torch.no_grad():
        weight.data = bert.scale * (weight.data - bert.zero_point)  # stored as integers
    return accentor


class LazyPattern:
    """A regular expression that is compiled when it is first used."""

    __slots__ = ("_arguments", "_pattern")

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._arguments = (pattern, flags)
        self._pattern: re.Pattern[str] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # Two threads may both compile it; both results are the same.
        pattern = self._pattern
        if pattern is None:
            pattern = self._pattern = re.compile(*self._arguments)
        return getattr(pattern, name)


def _copy(module: types.ModuleType, **changes: Any) -> types.ModuleType:
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(module.__dict__, **changes)
    return copy


def _ignore(*_: Any) -> None:
    pass
