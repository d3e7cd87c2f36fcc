"""Progress without a terminal: a message every half minute, none of quick work."""

from __future__ import annotations

import pytest

from intona import logs
from intona.progress import ProgressMessages, track


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_messages_come_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = ProgressMessages("speaking", every=30, clock=clock)
    with logs.on_stderr():
        for done in range(100, 601):  # 100 were done before; one per second
            show(done, 600)
            clock.seconds += 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 16
    assert lines[0] == "speaking: 130 of 600, about 7.8 min left"
    assert lines[-1] == "speaking: 580 of 600, about 0.3 min left"


def test_quick_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.on_stderr():
        assert list(track("abc", "letters")) == ["a", "b", "c"]
        assert list(track(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
