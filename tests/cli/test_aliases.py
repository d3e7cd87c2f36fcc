"""Flags of the version before: accepted, replaced, and warned of once."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from intona import cli
from intona.cli.aliases import OUTPUT, renamed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a --out b -o c", "a --output b -o c"),
        ("--out=b=c x", "--output=b=c x"),
        ("--bad_files=count", "--broken=count"),
        ("--outer --output d", "--outer --output d"),
        ("x -- --out", "x -- --out"),
        ("", ""),
    ],
)
def test_old_flags_become_new_ones(old: str, new: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert renamed(old.split(), {**OUTPUT, "--bad-files": "--broken"}) == new.split()


def test_one_warning_per_flag_and_none_for_new_names() -> None:
    with pytest.warns(FutureWarning, match="--out is now --output; the old name will be removed") as caught:
        renamed(["--out", "a", "--out", "b"])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renamed(["--output", "a", "-o", "b"])


@pytest.mark.parametrize(
    ("verb", "flags"),
    [("evaluate", ("--out", "--measures")), ("listen", ("--out",)), ("retrieve", ("--out",))],
)
def test_verbs_accept_old_flags_and_hide_them(
    verb: str, flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--output" in shown and not any(f"{flag} " in shown for flag in flags)
    positional = ["x", "y"] if verb == "retrieve" else ["x"]
    line = [verb, *positional, *(part for flag in flags for part in (flag, str(tmp_path / "o")))]
    assert cli.main(line) == 1  # the input does not exist; the flags were understood
    err = capsys.readouterr().err
    assert all(f"warning: {flag} is now" in err for flag in flags) and "unrecognized" not in err.lower()
