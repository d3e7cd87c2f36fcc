"""Stress of Russian words by context: the model of the PyPI package `silero-stress` (MIT). Needs torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import threading
import types
from pathlib import Path
from typing import Any

from intona.errors import UserError
from intona.text.once import once
from intona.text.symbols import PUNCTUATION, plain

PACKAGE = "silero_stress"
_CACHE = 200_000
_SKY = frozenset(["небо", "неба", "небу", "небом", "небе"])  # the model always takes it for нёбо, the palate


class SileroStress:
    """The model, which tells homographs apart by context and restores ё. Safe from several threads.

    Args:
        accentor: as `read_accentor` returns it.
    """

    def __init__(self, accentor: Any, version: str) -> None:
        import torch

        self.version = version
        self._accentor = accentor
        self._no_grad = torch.no_grad
        self._lock = threading.Lock()
        self._marked: dict[str, str] = {}

    def mark(self, words: list[str], text: str) -> list[str]:
        """The words of a text with `+` and ё put in; a word that the answer does not match stays as it is."""
        try:
            with self._lock, self._no_grad():
                marked = self._words(self._accentor.homosolver(text).split())
        except Exception:  # third-party code: where it fails on a text, espeak-ng's stress is used
            return words
        answer = [w for raw in marked if (w := raw.strip("".join(PUNCTUATION)))]
        if len(answer) != len(words):
            return words
        answer = [
            w if _letters(w) in _SKY and "ё" in a.lower() else a for a, w in zip(answer, words, strict=True)
        ]
        return [a if _letters(a) == _letters(w) else w for a, w in zip(answer, words, strict=True)]

    def _words(self, words: list[str]) -> list[str]:
        """Words whose homographs are settled, stressed: each by itself, so that an answer can be kept."""
        if len(self._marked) > _CACHE:
            self._marked.clear()
        new = [w for w in dict.fromkeys(words) if w not in self._marked]
        if new:
            answers = self._accentor.accentor(" ".join(new)).split()
            if len(answers) != len(new):
                return words
            self._marked.update(zip(new, answers, strict=True))
        return [self._marked[w] for w in words]


def _letters(word: str) -> str:
    return plain(word).lower().replace("ё", "е")


def load(*, required: bool) -> SileroStress | None:
    """The model where `silero-stress` is installed, else None. One for the whole process.

    Raises:
        UserError: it is required and not installed; its files have another format.
    """
    if importlib.util.find_spec(PACKAGE) is None or importlib.util.find_spec("torch") is None:
        if required:
            raise UserError(
                "silero-stress is not installed", where='stress="silero"', hint="pip install silero-stress"
            )
        return None
    return _shared()


@once
def _shared() -> SileroStress:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    version = importlib.metadata.version("silero-stress")
    path = Path(spec.origin).parent / "data" / "accentor.pt"
    try:
        return SileroStress(read_accentor(path), version)
    except Exception as e:  # third-party code, which has no errors of its own
        reason = str(e).partition("\n")[0]
        raise UserError(
            f"the model of silero-stress {version} cannot be read ({reason})",
            where=path,
            hint='install the version that constraints.txt names, or choose stress="marks"',
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
