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
    "serve": {"fastapi": "fastapi", "uvicorn": "uvicorn"},
    "hub": {"huggingface-hub": "huggingface_hub"},
}
LEAST_DISK = 2e9  # bytes: a small run with its prepared data and checkpoints


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table; an "optional" part is missing but not needed for speech."""

    part: str
    state: State
    detail: str
    hint: str = ""


def examine() -> list[Finding]:
    """Check everything. Never raises: a broken part is a finding."""
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
                Finding(part=name, state="missing", detail=f"{type(e).__name__}: {e}", hint="reinstall it")
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
            part="python",
            state="ok" if ok else "missing",
            detail=where,
            hint="" if ok else "use Python 3.11+",
        )
    ]


def _core() -> list[Finding]:
    names = (
        *(
            "numpy",
            "onnxruntime",
            "safetensors",
            "soundfile",
            "soxr",
            "tyro",
            "num2words",
            "ru-normalizr",
            "pymorphy3",
        ),
        *("razdel", "rich", "jaxtyping", "defusedxml"),
    )
    absent = [n for n in names if not _importable(n.replace("-", "_"))]
    if absent:
        return [
            Finding(
                part="core",
                state="missing",
                detail=f"no {', '.join(absent)}",
                hint=f"pip install {' '.join(absent)}",
            )
        ]
    return [Finding(part="core", state="ok", detail=", ".join(f"{n} {_version(n)}" for n in names[:4]))]


def _torch() -> list[Finding]:
    if not _importable("torch"):
        detail = "not installed: no training, and only voices with graphs speak"
        hint = 'pip install torch==2.13.0 "intona[train]"'
        return [Finding(part="torch", state="optional", detail=detail, hint=hint)]
    import torch

    from intona.nn.precision import bf16_wins

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    speed = "bf16 is faster" if bf16_wins() else "fp32 is faster than bf16"
    policy = os.environ.get("OMP_WAIT_POLICY", "active")
    detail = f"{torch.__version__}, {device}, {torch.get_num_threads()} threads ({policy} waiting), {speed}"
    return [Finding(part="torch", state="ok", detail=detail)]


def _espeak() -> list[Finding]:
    library = ctypes.util.find_library("espeak-ng")
    if library:
        return [Finding(part="espeak-ng", state="ok", detail=library)]
    if _importable("espeakng_loader"):
        return [
            Finding(part="espeak-ng", state="ok", detail=f"espeakng_loader {_version('espeakng-loader')}")
        ]
    command = "brew install espeak-ng" if sys.platform == "darwin" else "sudo apt-get install espeak-ng"
    hint = f"{command}, or pip install espeakng-loader"
    return [Finding(part="espeak-ng", state="missing", detail="no library (text to phonemes)", hint=hint)]


def _stress() -> list[Finding]:
    card = next(iter(models.shipped("stress")), None)
    if card is not None:
        return [
            Finding(
                part="Russian stress",
                state="ok",
                detail=f"{card.name} ({card.megabytes:.0f} MB), {card.system}",
            )
        ]
    hint = "use the whole repository or the whole wheel: they contain models/"
    return [Finding(part="Russian stress", state="missing", detail="no model", hint=hint)]


def _vocoder() -> list[Finding]:
    weights = [c for c in models.shipped() if c.kind == "vocoder"]
    weights += [c for c in (_bare("hifigan"),) if c is not None and not weights]
    if weights:
        return [
            Finding(
                part="vocoder",
                state="ok",
                detail=", ".join(f"{c.name} ({c.megabytes:.0f} MB)" for c in weights),
            )
        ]
    hint = "use the whole repository or the whole wheel: they contain models/"
    return [Finding(part="vocoder", state="missing", detail="no weights", hint=hint)]


def _bare(name: str) -> models.Card | None:
    """A shipped folder of weights without a card."""
    for folder in models.folders():
        if any((folder / name).glob("*.safetensors")):
            return models.Card(name=name, path=folder / name, kind="vocoder")
    return None


def _voices() -> list[Finding]:
    voices = models.shipped("voice")
    if voices:
        return [Finding(part="voices", state="ok", detail=", ".join(map(_with_model, voices)))]
    hint = "train one: intona train prosody.gradtts --data DIR --output RUN"
    return [Finding(part="voices", state="missing", detail="none is shipped here", hint=hint)]


def _with_model(card: models.Card) -> str:
    """The name of a voice; that of an alias with the voice that it is."""
    return f"{card.name} (= {card.alias_of})" if card.alias_of else card.name


def _extras() -> list[Finding]:
    findings = []
    for extra, packages in EXTRAS.items():
        absent = [name for name, module in packages.items() if not _importable(module)]
        if absent:
            hint = f"pip install 'intona[{extra}]'  (in a checkout: pip install -e '.[{extra}]')"
            findings.append(
                Finding(part=f"extra: {extra}", state="optional", detail=f"no {', '.join(absent)}", hint=hint)
            )
        else:
            versions = ", ".join(f"{name} {_version(name)}" for name in packages)
            findings.append(Finding(part=f"extra: {extra}", state="ok", detail=versions))
    return findings


def _whisper() -> list[Finding]:
    if whisper_ready():
        return [Finding(part="whisper-base", state="ok", detail="weights installed")]
    detail = "no weights installed (transcripts and word error rates)"
    return [Finding(part="whisper-base", state="optional", detail=detail, hint="make offline")]


def _disk() -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    if free < LEAST_DISK:
        return [
            Finding(
                part="disk",
                state="optional",
                detail=f"{free / 1e9:.1f} GB free here",
                hint="free some: runs need 2 GB",
            )
        ]
    return [Finding(part="disk", state="ok", detail=f"{free / 1e9:.0f} GB free here")]


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
