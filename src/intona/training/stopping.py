"""Ctrl-C and SIGTERM while training: the step is finished and saved first."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """Within it the first SIGINT or SIGTERM is only noted in `asked`; the second one counts as ever.

    On leaving, the noted one is delivered after all: what is around ends as it would have without us. A
    signal that is ignored stays so, as SIGINT is in what a shell runs in the background. In another thread
    than the main one, which gets no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._number = 0  # of the signal that was noted
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return self._number != 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._restore()
        if self._number and kind is None:
            signal.raise_signal(self._number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        self._number = number
        print("stopping after this step, with a checkpoint; again: at once", file=sys.stderr, flush=True)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
