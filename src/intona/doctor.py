"""What is installed, what is missing, and the command that fixes it."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from intona import models

State = Literal["ok", "missing", "optional"]
EXTRAS = {
    "train": {
        "lightning": "lightning",
        "tensorboard": "tensorboard",
        "monotonic-alignment-search": "monotonic_alignment_search",
    },
    "eval": {
        "faster-whisper": "faster_whisper",
        "jiwer": "jiwer",
        "whisper-normalizer": "whisper_normalizer",
        "pyworld": "pyworld",
    },
    "plot": {"matplotlib": "matplotlib"},
}
LEAST_DISK = 2e9  # bytes: a small run with its prepared data and checkpoints


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table: `optional` is absent but not needed to speak."""

    part: str
    state: State
    found: str
    hint: str = ""


def examine() -> list[Finding]:
    """Look at everything; never raises, for a broken part is a finding."""
    checks: list[Callable[[], list[Finding]]] = [
        _python, _core, _torch, _espeak, _stress, _vocoder, _voices, _extras, _whisper, _disk
    ]  # fmt: skip
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except Exception as e:
            name = check.__name__.strip("_")
            findings.append(
                Finding(part=name, state="missing", found=f"{type(e).__name__}: {e}", hint="reinstall it")
            )
    return findings


def whisper_ready() -> bool:
    """Whether faster-whisper and the weights of `make offline` are both installed."""
    from intona.evaluation.judges.recognizer_model import offline_installed

    return _importable("faster_whisper") and offline_installed()


def _python() -> list[Finding]:
    version = platform.python_version()
    ok = sys.version_info >= (3, 11)
    where = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return [
        Finding(
            part="python", state="ok" if ok else "missing", found=where, hint="" if ok else "use Python 3.11+"
        )
    ]


def _core() -> list[Finding]:
    names = (
        *(
            "numpy",
            "scipy",
            "safetensors",
            "soundfile",
            "soxr",
            "tyro",
            "num2words",
            "ru-normalizr",
            "pymorphy3",
        ),
        *("razdel", "tokenizers", "rich"),
    )
    absent = [n for n in names if not _importable(n.replace("-", "_"))]
    if absent:
        return [
            Finding(
                part="core",
                state="missing",
                found=f"no {', '.join(absent)}",
                hint=f"pip install {' '.join(absent)}",
            )
        ]
    return [Finding(part="core", state="ok", found=", ".join(f"{n} {_version(n)}" for n in names[:4]))]


def _torch() -> list[Finding]:
    if not _importable("torch"):
        return [
            Finding(part="torch", state="missing", found="not installed", hint="pip install torch==2.13.0")
        ]
    import torch

    from intona.nn.precision import bf16_wins

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    speed = "bf16 is faster" if bf16_wins() else "fp32 is faster than bf16"
    policy = os.environ.get("OMP_WAIT_POLICY", "active")
    found = f"{torch.__version__}, {device}, {torch.get_num_threads()} threads ({policy} waiting), {speed}"
    return [Finding(part="torch", state="ok", found=found)]


def _espeak() -> list[Finding]:
    library = ctypes.util.find_library("espeak-ng")
    if library:
        return [Finding(part="espeak-ng", state="ok", found=library)]
    if _importable("espeakng_loader"):
        return [Finding(part="espeak-ng", state="ok", found=f"espeakng_loader {_version('espeakng-loader')}")]
    command = "brew install espeak-ng" if sys.platform == "darwin" else "sudo apt-get install espeak-ng"
    hint = f"{command}, or pip install espeakng-loader"
    return [Finding(part="espeak-ng", state="missing", found="no library (text to phonemes)", hint=hint)]


def _stress() -> list[Finding]:
    if _importable("silero_stress"):
        return [Finding(part="silero-stress", state="ok", found=_version("silero-stress"))]
    found = "not installed: Russian stress from marks in the text, else a guess"
    return [Finding(part="silero-stress", state="optional", found=found, hint="pip install silero-stress")]


def _vocoder() -> list[Finding]:
    weights = [c for c in models.shipped() if c.kind == "vocoder"]
    weights += [c for c in (_bare("hifigan"),) if c is not None and not weights]
    if weights:
        return [
            Finding(
                part="vocoder",
                state="ok",
                found=", ".join(f"{c.name} ({c.megabytes:.0f} MB)" for c in weights),
            )
        ]
    hint = "take the whole repository or the whole wheel: models/ holds it"
    return [Finding(part="vocoder", state="missing", found="no weights", hint=hint)]


def _bare(name: str) -> models.Card | None:
    """A shipped folder without a card of its own."""
    for folder in models.folders():
        if any((folder / name).glob("*.safetensors")):
            return models.Card(name=name, path=folder / name, kind="vocoder")
    return None


def _voices() -> list[Finding]:
    voices = models.shipped("voice")
    if voices:
        return [Finding(part="voices", state="ok", found=", ".join(c.name for c in voices))]
    hint = "train one: intona train prosody.gradtts --data DIR --out RUN"
    return [Finding(part="voices", state="missing", found="none is shipped here", hint=hint)]


def _extras() -> list[Finding]:
    findings = []
    for extra, packages in EXTRAS.items():
        absent = [name for name, module in packages.items() if not _importable(module)]
        if absent:
            hint = f"pip install 'intona[{extra}]'  (in a checkout: pip install -e '.[{extra}]')"
            findings.append(
                Finding(part=f"extra: {extra}", state="optional", found=f"no {', '.join(absent)}", hint=hint)
            )
        else:
            versions = ", ".join(f"{name} {_version(name)}" for name in packages)
            findings.append(Finding(part=f"extra: {extra}", state="ok", found=versions))
    return findings


def _whisper() -> list[Finding]:
    if whisper_ready():
        return [Finding(part="whisper-base", state="ok", found="weights installed")]
    found = "no weights installed (transcripts and word error rates)"
    return [Finding(part="whisper-base", state="optional", found=found, hint="make offline")]


def _disk() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    if free < LEAST_DISK:
        return [
            Finding(
                part="disk",
                state="optional",
                found=f"{free / 1e9:.1f} GB free here",
                hint="free some: runs need 2 GB",
            )
        ]
    return [Finding(part="disk", state="ok", found=f"{free / 1e9:.0f} GB free here")]


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
