"""Messages: plain lines on stderr from the command line, none below WARNING from the library."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from intona import logs

WORK = """
import logging
from intona import logs
from intona.progress import ProgressMessages

def work():
    logging.getLogger("intona.training.tracking").info("step 1/2 train: loss 3")
    logging.getLogger("intona.encoders.speaker").warning("not kept")
    ProgressMessages("speaking", every=0)(1, 2)

work()
print("inside", flush=True)
"""


def stderr_of(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    return done.stderr


def test_a_library_user_sees_warnings_only() -> None:
    assert stderr_of(WORK) == "not kept\n"


def test_the_command_line_shows_plain_lines() -> None:
    shown = stderr_of(WORK.replace("\nwork()\n", "\nwith logs.on_stderr():\n    work()\n"))
    assert shown == "step 1/2 train: loss 3\nnot kept\nspeaking: 1 of 2\n"


def test_the_handler_goes_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger(logs.ROOT)
    before = logger.handlers[:], logger.level, logger.propagate
    with pytest.raises(ValueError), logs.on_stderr(logging.DEBUG):
        logging.getLogger("intona.x").debug("%d of %s", 1, "two")
        raise ValueError
    assert (logger.handlers, logger.level, logger.propagate) == before
    logging.getLogger("intona.x").info("unseen")
    assert capsys.readouterr().err == "1 of two\n"


def test_the_package_is_typed(root: Path) -> None:
    assert (root / "src/intona/py.typed").is_file()
