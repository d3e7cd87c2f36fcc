"""The command line: a table of verbs, each imported only when it is called.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 done, 1 an error (one line says what,
where, and a hint), 2 wrong usage, 130 Ctrl-C. `INTONA_DEBUG=1` shows the traceback of any error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from intona import logs
from intona.errors import UserError, nearest
from intona.extras import install

_OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory")  # as torch says it


class Verb(NamedTuple):
    """Where a verb lives ("module:function", called with its own arguments) and its line of help."""

    target: str
    help: str


VERBS: dict[str, Verb] = {
    "say": Verb("intona.cli.say:main", "speak a text with a voice: wav out"),
    "read": Verb("intona.cli.read:main", "print what would be spoken of a text, without a voice"),
    "restyle": Verb("intona.cli.restyle:main", "speak a text in a style, through a frozen VITS"),
    "demo": Verb("intona.cli.demo:main", "speak a few sentences; a page with their sound, pitch and words"),
    "prepare": Verb("intona.cli.prepare:main", "turn a corpus into a prepared directory"),
    "align": Verb("intona.cli.align:main", "find how long each phoneme of a prepared corpus lasts"),
    "merge": Verb("intona.cli.merge:main", "combine prepared directories into one"),
    "train": Verb("intona.cli.train:main", "train a system's stage; the same --output again resumes"),
    "synthesize-set": Verb(
        "intona.cli.synthesize_set:main", "speak a manifest with a voice: a folder of wavs"
    ),
    "evaluate": Verb("intona.cli.evaluate:main", "judge folders of wavs: a report with intervals"),
    "listen": Verb("intona.cli.listen:main", "make a blind listening test from reports, or score one"),
    "compare": Verb("intona.cli.compare:main", "compare the systems of several reports, paired"),
    "transcribe": Verb("intona.cli.transcribe:main", "write down what is said in sound files"),
    "retrieve": Verb("intona.cli.retrieve:main", "how well a text encoder finds the sound of each phoneme"),
    "study": Verb("intona.cli.study:main", "run a whole study: every arm, judged together, one page"),
    "serve": Verb("intona.cli.serve:main", "voices over HTTP, with the API that clients of OpenAI speak"),
    "publish": Verb("intona.cli.publish:main", "make a small model of a run, with a card"),
    "export": Verb("intona.cli.export:main", "give a voice or a vocoder ONNX graphs: no torch needed"),
    "models": Verb("intona.cli.about:models_main", "the shipped models and what they were trained on"),
    "doctor": Verb("intona.cli.about:doctor_main", "what is installed, what is missing, how to fix it"),
}


def usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: intona VERB [arguments]      intona VERB --help      intona --version",
            "",
            "Prosody-aware speech synthesis.",
            "",
            *lines,
            "",
            'example: intona say "Добрый день!" -o hello.wav',
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; prints errors as one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Before torch is loaded: spinning threads make it several times slower beside any busy process. Whoever
    # has the machine alone may gain by OMP_WAIT_POLICY=active.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _escape_what_the_terminal_cannot_show()
    warnings.showwarning = _warn
    with logs.on_stderr():
        return run(lambda: _dispatch(arguments))


def _dispatch(arguments: list[str]) -> int | None:
    if not arguments:
        print(usage(), file=sys.stderr)
        return 2
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name in ("-V", "--version"):
        from intona import __version__

        print(f"intona {__version__}")
        return 0
    if name not in VERBS:
        _complain(f'unknown verb "{name}"; {nearest(name, VERBS)}')
        return 2
    return _resolve(VERBS[name].target)(rest)


def run(action: Callable[[], int | None]) -> int:
    """Call `action` and turn whatever it raises into one line and an exit code."""
    try:
        code = action()
        sys.stdout.flush()
        return code or 0
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    except KeyboardInterrupt:
        _complain("stopped", "")
        return 130
    except BaseException as e:
        if os.environ.get("INTONA_DEBUG", "") not in ("", "0"):
            raise
        if isinstance(e, BrokenPipeError):
            # The reader left (`| head`): nothing to say, and the interpreter must not say it at exit either.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        _complain(explain(e))
        return 1


def explain(error: BaseException) -> str:
    """One line for any error: what happened, where, and how to fix it."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))
    ):
        return "out of memory; use a smaller batch, a shorter text or a smaller model"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package == "intona":
            return f"this build has no {error.name}; update or reinstall intona"
        return f'the package "{package}" is not installed; {install(package)}'
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{where}{error.strerror or type(error).__name__}"
    text = " ".join(str(error).split())
    if len(text) > 300:
        text = text[:300] + "…"
    return f"{type(error).__name__}: {text}; this is a bug: run with INTONA_DEBUG=1 for the traceback"


def _complain(line: str, kind: str = "error: ") -> None:
    print(f"intona: {kind}{line}", file=sys.stderr)


def _warn(message: Warning | str, category: type[Warning], *_: object) -> None:
    _complain(" ".join(str(message).split()), "warning: ")


def _resolve(target: str) -> Callable[[list[str]], int | None]:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def _escape_what_the_terminal_cannot_show() -> None:
    """A message about a Russian text must not die of the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with contextlib.suppress(ValueError, OSError):
                reconfigure(errors="backslashreplace")
