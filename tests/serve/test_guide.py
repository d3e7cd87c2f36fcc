"""The examples of docs/guide/serve.md do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile
from fastapi.testclient import TestClient

from intona import models, synth
from intona.serve.settings import Settings
from intona.serve.transcribers import Transcribers

from .conftest import Singer
from .test_transcription import Listener, sound
from .test_worker import LIMIT, running

pytest.importorskip("openai")
NAMES = ("ru", "ditto", "meld-ru")
EXAMPLE = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(root: Path) -> list[tuple[str, str]]:
    """The examples of the guide that call a server, in order: their language and text."""
    text = (root / "docs" / "guide" / "serve.md").read_text(encoding="utf-8")
    return [(kind, code) for kind, code in EXAMPLE.findall(text) if "127.0.0.1:8000" in code]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    singers = {n: Singer("rate", "reference", "reference_text", times=True) for n in NAMES}
    cards = [models.Card(name=n, path=Path(n)) for n in NAMES]
    monkeypatch.setattr(models, "shipped", lambda kind=None: cards)
    monkeypatch.setattr(synth, "load", lambda name, **_: singers[name])
    listener = Listener()
    monkeypatch.setattr(Transcribers, "load", lambda self, name: listener)
    with running(Settings(models=NAMES, transcribers=("whisper-base",))) as port:
        yield port


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_every_example(
    port: int, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me.wav").write_bytes(sound(2))
    blocks = examples(root)
    assert [kind for kind, _ in blocks].count("python") == 3 and len(blocks) >= 7
    for kind, code in blocks:
        for old in tmp_path.glob("hello.wav"):
            old.unlink()
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        if kind == "python":
            exec(compile(code, "docs/guide/serve.md", "exec"), {})
        else:
            code = code.replace("curl ", f"curl -sS --fail-with-body --max-time {10 * LIMIT} ")
            done = subprocess.run(["bash", "-ec", code], capture_output=True, text=True, env=dict(os.environ))
            assert done.returncode == 0, (code, done.stdout, done.stderr)
            print(done.stdout)
        for written in re.findall(r"hello\.(?:wav|mp3)", code):
            if "file=@" not in code and "open(" not in code:
                assert soundfile.info(tmp_path / written).duration > 0.4
    printed = capsys.readouterr().out
    assert "0.5 1.0 день!" in printed and "number0" in printed and '"sentences"' in printed


def test_the_table_of_fields_is_complete(root: Path, connect: Callable[..., TestClient]):
    text = (root / "docs" / "guide" / "serve.md").read_text(encoding="utf-8")
    paths = connect().get("/openapi.json").json()["paths"]
    assert len(paths) >= 8
    for path in paths:
        assert path in text, f"{path} is not in the guide"
