"""Ctrl-C and SIGTERM during training: the current step is finished and saved first."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)


class StopSignals:
    """A context in which the first SIGINT or SIGTERM only sets `requested`; a second one acts as usual.

    On exit the first signal is delivered, so that the surrounding program ends as it would have without this
    context. A signal that is ignored stays ignored, such as SIGINT in a background job of a shell. Outside
    the main thread, which alone receives signals, the context does nothing.
    """

    def __init__(self) -> None:
        self._number = 0  # of the first signal
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
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
        logger.warning("stopping after this step, with a checkpoint; again: at once")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
