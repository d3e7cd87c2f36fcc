"""The command line as a whole: help without torch, exit codes, one line for every error."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Callable

import pytest

from intona import __version__, cli
from intona.errors import UserError

WATCHED = ("torch", "numpy", "tyro", "rich", "soundfile", "tokenizers", "matplotlib")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def intona(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "intona", *arguments],
        input=stdin,
        capture_output=True,
        timeout=600,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        check=False,
    )


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[str]], object]], None]:
    """Put a function behind the verb `say`."""

    def put(function: Callable[[list[str]], object]) -> None:
        module = types.ModuleType("intona_test_verb")
        module.main = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.VERBS, "say", cli.Verb("intona_test_verb:main", "a test"))

    monkeypatch.delenv("INTONA_DEBUG", raising=False)
    # `main` installs its own one-line display of warnings; the test gets the old one back.
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    return put


def failing(error: BaseException) -> Callable[[list[str]], None]:
    def main(_: list[str]) -> None:
        raise error

    return main


def test_help_imports_only_the_standard_library():
    code = f"""
import sys
from intona.cli import main
assert main(["--help"]) == 0
print("LOADED", sorted(set(sys.modules) & {set(WATCHED)!r}))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
    for name in cli.VERBS:
        assert f"\n  {name} " in done.stdout


def test_help_imports_little():
    """What the first line of help costs is what it imports: modules are counted, for seconds differ."""
    code = """
import sys
before = set(sys.modules)
from intona.cli import main
main(["--help"])
print("IMPORTED", len(set(sys.modules) - before))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    imported = int(done.stdout.splitlines()[-1].removeprefix("IMPORTED "))
    assert imported < 120


@pytest.mark.parametrize("name", sorted(set(cli.VERBS) - {"prepare"}))
def test_help_of_a_verb_needs_no_torch(name: str):
    code = """
import sys
from intona.cli import main
code = main([sys.argv[1], "--help"])
print("LOADED", "torch" in sys.modules, file=sys.stderr)
sys.exit(code)
"""
    done = python(code, name)
    assert done.returncode == 0, done.stderr
    assert f"usage: intona {name}" in done.stdout
    assert done.stderr.splitlines()[-1] == "LOADED False"


def test_every_verb_exists():
    for name, verb in cli.VERBS.items():
        assert callable(cli._resolve(verb.target)), name


def test_version(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"intona {__version__}\n"


def test_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]):
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("usage: intona")


def test_unknown_verb_offers_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["sey"]) == 2
    assert capsys.readouterr().err == 'intona: error: unknown verb "sey"; did you mean "say"?\n'


def test_unknown_flag_is_wrong_usage():
    done = intona("say", "hello", "--nosuchflag", "1")
    assert done.returncode == 2
    assert b"nosuchflag" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            UserError("holds no audio", where="a.wav", hint="give a wav"),
            1,
            "error: a.wav: holds no audio; give a wav",
        ),
        (KeyboardInterrupt(), 130, "stopped"),
        (MemoryError(), 1, "error: out of memory; use a smaller batch, a shorter text or a smaller model"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: …"),
            1,
            "error: out of memory; use a smaller batch, a shorter text or a smaller model",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"),
            1,
            "error: runs/a: No space left on device",
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "error: No space left on device"),
        (
            ModuleNotFoundError("No module named 'lightning.fabric'", name="lightning.fabric"),
            1,
            'error: the package "lightning" is not installed; pip install "intona[train]"',
        ),
        (
            ZeroDivisionError("division\nby zero"),
            1,
            "error: ZeroDivisionError: division by zero; "
            "this is a bug: run with INTONA_DEBUG=1 for the traceback",
        ),
    ],
)
def test_any_error_is_one_line(verb, capsys: pytest.CaptureFixture[str], error, code: int, line: str):
    verb(failing(error))
    assert cli.main(["say"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"intona: {line}\n"


def test_debug_shows_the_traceback(verb, monkeypatch: pytest.MonkeyPatch):
    verb(failing(ZeroDivisionError("x")))
    monkeypatch.setenv("INTONA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["say"])


def test_a_verb_gets_its_arguments_and_gives_its_code(verb):
    seen: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        seen.append(arguments)
        return 3

    verb(main)
    assert cli.main(["say", "a", "--b", "1"]) == 3
    assert seen == [["a", "--b", "1"]]


def test_a_warning_is_one_line(verb, capsys: pytest.CaptureFixture[str]):
    verb(lambda _: warnings.warn("two\nlines", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = warnings.showwarning
        assert cli.main(["say"]) == 0
    assert capsys.readouterr().err == "intona: warning: two lines\n"


def test_output_into_a_closed_pipe_is_quiet():
    code = "import sys; from intona.cli import main; sys.exit(main(['--help']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert done.returncode == 1


def test_a_russian_message_survives_an_ascii_terminal():
    done = intona("say", "--file", "нет-такого.txt", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert done.stderr.startswith(b"intona: error: ") and done.stderr.count(b"\n") == 1


def test_doctor_json_is_data_on_stdout():
    done = intona("doctor", "--json")
    parts = {f["part"]: f for f in json.loads(done.stdout)}
    assert {"python", "torch", "espeak-ng", "vocoder", "voices", "disk"} <= set(parts)
    assert parts["python"]["state"] == "ok"
    missing = [f for f in parts.values() if f["state"] == "missing"]
    assert done.returncode == int(bool(missing))
    assert all(f["hint"] for f in parts.values() if f["state"] != "ok")
