"""Speaking in a process that has no torch."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HIDE = """
import sys

class Without:
    # A finder that does not find torch.
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

HIDDEN = {"torch", "scipy", "tokenizers", "lightning", "onnx"}
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from intona.cli import main
code = main(sys.argv[1:])
assert not HIDDEN & set(sys.modules)
sys.exit(code)
"""


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE, *arguments], capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("more", [[], ["--stream"], ["--times", "TIMES"]])
def test_the_shipped_voice_speaks(tmp_path: Path, more: list[str]) -> None:
    wav, times = tmp_path / "a.wav", tmp_path / "a.json"
    more = [str(times) if word == "TIMES" else word for word in more]
    done = without_torch("say", "Добрый день!", "--vocoder", "vocoder-draft", "-o", str(wav), *more)
    assert done.returncode == 0, done.stderr
    assert wav.stat().st_size > 20_000 and "warning" not in done.stderr
    assert times.is_file() == bool(more and more[0] == "--times")


def test_a_voice_is_steered(exported: Callable[[str], Path], tmp_path: Path) -> None:
    wav, path = tmp_path / "a.wav", exported("steerable")
    done = without_torch(
        *("say", "m ˈa m ə | m ˈa ?", "--phonemes", "--model", str(path), "--vocoder", "vocoder-draft"),
        *("--pitch", "2", "--range", "1.5", "--energy", "-3", "-o", str(wav)),
    )
    assert done.returncode == 0, done.stderr
    assert wav.stat().st_size > 5_000


def test_a_text_is_read(tmp_path: Path) -> None:
    done = without_torch("read", "--phonemes", "В 5 часов замок закрыт.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("f | pʲ ˈa tʲ |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", "Hello", "--model", "ditto"], 'the kind of voice "ditto" needs torch'),
        (["say", "Да", "--backend", "torch"], "the torch backend needs torch"),
        (["say", "Да", "--device", "cuda"], "the torch backend needs torch"),
        (["export", "ru", "-o", "out"], "exporting needs torch"),
        (["transcribe", "a.wav", "--model", "meld-ru"], "torch"),
    ],
)
def test_what_needs_torch_says_so_in_one_line(arguments: list[str], message: str) -> None:
    done = without_torch(*arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert (message in line and line.endswith('which is not installed; pip install "intona[train]"')) or (
        'pip install "intona[train]"' in line
    )


def test_the_doctor_is_content() -> None:
    done = without_torch("doctor")
    assert done.returncode == 0, done.stdout
    assert "no training, and only voices with graphs speak" in done.stdout


def test_the_demo_is_one_page_with_sound_pitch_and_words(tmp_path: Path) -> None:
    done = without_torch("demo", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["demo.html"]
    page = (tmp_path / "demo.html").read_text(encoding="utf-8")
    clips = page.count('class="clip"')
    assert clips == page.count('src="data:audio/flac') == page.count('class="pitch"') == 4
    for word in ("Поезд", "пришёл", "finished", "work"):
        assert len(re.findall(rf'data-start="[\d.]+"><title>{word}: [\d.]+ to [\d.]+ s<', page)) == 2
    assert "heart (synthetic)" in page and "http:" not in page and "https:" not in page
