"""What `files.whole` promises: the old or the new file, never half of one, and nothing left over."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from intona.files import STRAYS, whole, write_whole


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_file_takes_its_name_when_it_is_done(tmp_path: Path) -> None:
    with whole(tmp_path / "a.wav") as half:
        half.write_bytes(b"sound")
        assert half.suffix == ".wav" and half.match(STRAYS)
        assert not (tmp_path / "a.wav").exists()
    assert contents(tmp_path) == {"a.wav": b"sound"}


def test_text_is_utf8_and_its_lines_end_as_given(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "ё\n")
    assert contents(tmp_path) == {"a": "ё\n".encode()}


@pytest.mark.parametrize("why", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("nan")])
def test_a_failure_leaves_what_stood_there(tmp_path: Path, why: BaseException) -> None:
    write_whole(tmp_path / "a", b"before")
    with pytest.raises(type(why)), whole(tmp_path / "a") as half:
        half.write_bytes(b"hal")
        raise why
    assert contents(tmp_path) == {"a": b"before"}


def test_a_disk_that_cannot_keep_it_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a", b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="Input/output"):
        write_whole(tmp_path / "a", b"after")
    assert contents(tmp_path) == {"a": b"before"}
    write_whole(tmp_path / "a", b"after", durable=False)
    assert contents(tmp_path) == {"a": b"after"}


def test_a_kill_inside_leaves_the_old_file_and_a_stray(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"before")
    code = (
        "import os, signal, sys\nfrom intona.files import whole\n"
        "with whole(sys.argv[1]) as half:\n"
        "    half.write_bytes(b'hal')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert done.returncode == -9
    assert (tmp_path / "a").read_bytes() == b"before"
    assert len(list(tmp_path.glob(STRAYS))) == 1


def test_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    texts = [f"{i}" * 10_000 for i in range(8)]
    threads = [threading.Thread(target=write_whole, args=(tmp_path / "a", t)) for t in texts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() in texts


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"x")
    assert contents(tmp_path) == {"n" * 255: b"x"}


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "a", b"")
