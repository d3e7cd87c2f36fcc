"""Progress where nobody watches: a line now and then, none of quick work."""

from __future__ import annotations

import pytest

from intona.progress import Lines, track


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = Lines("speaking", every=30, clock=clock)
    for done in range(100, 601):  # 100 were there before; one a second
        show(done, 600)
        clock.seconds += 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 16
    assert lines[0] == "speaking: 130 of 600, about 7.8 min left"
    assert lines[-1] == "speaking: 580 of 600, about 0.3 min left"


def test_quick_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", "letters")) == ["a", "b", "c"]
    assert list(track(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
