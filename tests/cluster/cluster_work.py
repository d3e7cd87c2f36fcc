"""Functions that the tests hand to workers; they are imported there by name."""

from __future__ import annotations

import functools
import os
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import Audio
from intona.errors import UserError
from intona.pool import ReloadsInWorker
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.voice import BaseVoice

DEADLINE = 600.0  # only ends a hang


class Counter(ReloadsInWorker):
    """Counts in a file how often it is loaded."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @functools.cached_property
    def loaded(self) -> int:
        with open(self.log, "a", encoding="utf-8") as f:
            f.write(f"{os.getpid()}\n")
        return 100


def add(counter: Counter, item: int) -> int:
    return counter.loaded + item


def square(state: object, item: int) -> int:
    return item * item


def refuse(log: Path, item: int) -> int:
    with open(log, "a", encoding="utf-8") as f:
        f.write(f"{item}\n")
    if item == 2:
        raise UserError("no good", where="item 2", hint="none")
    return item


def warn(state: object, item: int) -> int:
    warnings.warn(f"item {item} is odd", stacklevel=1)
    return item


def die(state: object, item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def hold(log: Path, item: int) -> int:
    """Never ends."""
    with open(log, "a", encoding="utf-8") as f:
        f.write(f"{os.getpid()}\n")
    while True:
        time.sleep(0.1)


class ToyVoice(BaseVoice):
    """A tone for each text, one row at a time."""

    capabilities = Capabilities(system="toy", options=frozenset())
    sample_rate = 8000

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        if not text.isalpha():
            raise UserError("nothing to say")
        tone = np.sin(np.arange(100 * len(text)) * (options.seed % 100 + 1) / 300)
        return Audio(tone.astype(np.float32), self.sample_rate)


@dataclass(frozen=True)
class Sabotage:
    """Calls a function; kills the worker of item 1 once, and then the node `doomed` (pid of its raylet)."""

    function: Callable[[Any, Any], Any]
    folder: Path
    doomed: int

    def __call__(self, state: Any, numbered: tuple[int, Any]) -> Any:
        number, item = numbered
        if number == 1 and self._first("worker"):
            os.kill(os.getpid(), signal.SIGKILL)
        if number >= 2:
            if os.getppid() == self.doomed and self._first("node"):
                os.kill(self.doomed, signal.SIGKILL)
                os._exit(1)  # as all processes of a node that loses its power
            end = time.monotonic() + DEADLINE
            while not (self.folder / "node").exists():  # the other node leaves work to the doomed one
                assert time.monotonic() < end
                time.sleep(0.05)
        return self.function(state, item)

    def _first(self, what: str) -> bool:
        try:
            (self.folder / what).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
