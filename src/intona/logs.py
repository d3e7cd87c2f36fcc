"""Messages and progress of the library: they go to `logging`, and the command line shows them on stderr.

Each module has its logger, `logging.getLogger(__name__)`. A program that uses intona as a library sees
warnings only, unless it configures logging or works inside `on_stderr()`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

ROOT = "intona"


class PlainHandler(logging.Handler):
    """Writes each message as it is, on what `sys.stderr` is at that moment (rich replaces it under a bar)."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # as every handler of the standard library
            self.handleError(record)


@contextlib.contextmanager
def on_stderr(level: int = logging.INFO) -> Iterator[None]:
    """Show the messages and the progress of intona on stderr, as the command line does."""
    logger, handler = logging.getLogger(ROOT), PlainHandler()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False  # a handler that some library puts on the root logger would print them again
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
