"""Control rows: copy synthesis as the ceiling, espeak-ng as the floor, and speech with another text.

espeak-ng runs as a separate process, so that it shares no library state with this one.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intona.cluster import Engine, LocalEngine
from intona.config import read_json, write_json
from intona.errors import UserError
from intona.evaluation.companions import destroyed_texts
from intona.evaluation.manifest import Manifest
from intona.evaluation.normalize import strip_stress
from intona.evaluation.plan import Role, System
from intona.evaluation.wavs import file_digest, index_folder, read_clip
from intona.pool import ReloadsInWorker

if TYPE_CHECKING:
    from intona.vocoder import Vocoder

INSTALL = "apt-get install espeak-ng"
SECONDS = 60  # time limit of espeak-ng for one text
COPY, DESTROYED, FLOOR = "copy synthesis", "destroyed text", "espeak-ng"
SOURCE = "made_by.json"


def add_controls(
    systems: Sequence[System],
    manifest: Manifest,
    *,
    out: Path,
    language: str,
    reference: Path | None = None,
    recording: str = "recording",
    engine: Engine | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[System], list[str]]:
    """The systems with the control rows that belong into every table, and notes for the report.

    The controls are the recording, copy synthesis, the destroyed text and the floor. They are built under
    `out`; a system that has the name of a control is used in its place. The notes state which control could
    not be built, and why.
    """
    roles: dict[str, Role] = {recording: "recording", COPY: "copy", DESTROYED: "destroyed", FLOOR: "floor"}
    supplied = {s.name: dataclasses.replace(s, role=roles[s.name]) for s in systems if s.name in roles}
    ours = [s for s in systems if s.name not in roles]
    notes = []
    top = supplied.get(recording)
    if top is None and reference is not None:
        top = System(name=recording, folder=reference, role="recording")
    copied = supplied.get(COPY)
    if copied is None and top is not None:
        folder = out / "copy-synthesis"
        sources, _ = index_folder(top.folder, manifest)
        digests = {i: file_digest(path) for i, path in sorted(sources.items())}
        fresh(folder, {"vocoder": "hifigan", "of": digests})
        copy_synthesis(top.folder, manifest, folder, engine=engine, progress=progress)
        copied = System(name=COPY, folder=folder, role="copy")
    elif copied is None:
        notes.append(f"{recording} and {COPY}: no rows, because there are no recordings")
    destroyed = supplied.get(DESTROYED)
    source = top or (ours[0] if ours else None)
    if destroyed is None and source is not None:
        try:
            borrow = destroyed_texts(manifest)
            destroyed = System(name=DESTROYED, folder=source.folder, role="destroyed", borrow=borrow)
            notes.append(f"{DESTROYED}: each row is judged on the audio of {source.label} for another row")
        except UserError as e:
            notes.append(f"{DESTROYED}: no row; {e}")
    floor = supplied.get(FLOOR)
    if floor is None:
        try:
            folder = out / "espeak-ng"
            fresh(folder, {"espeak": espeak_version(), "language": language, "manifest": manifest.sha256})
            floor = System(name=FLOOR, folder=espeak_wavs(manifest, folder, language=language), role="floor")
        except UserError as e:
            notes.append(f"{FLOOR}: no row; {e}")
    return [s for s in (top, copied, *ours, destroyed, floor) if s is not None], notes


def fresh(folder: Path, source: dict[str, Any]) -> None:
    """Prepare a folder for generated files; delete what an earlier call generated from another source.

    Raises:
        UserError: it holds files that no earlier call generated.
    """
    mark = folder / SOURCE
    if mark.exists() and read_json(mark, max_bytes=1 << 28) != source:
        shutil.rmtree(folder)
    elif not mark.exists() and folder.is_dir() and any(folder.iterdir()):
        raise UserError("holds files that were not generated here", where=folder, hint="move them away")
    folder.mkdir(parents=True, exist_ok=True)
    if not mark.exists():
        write_json(mark, source)


def copy_synthesis(
    recordings: Path | str,
    manifest: Manifest,
    out: Path | str,
    *,
    vocoder: str = "hifigan",
    engine: Engine | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Recording -> mel -> vocoder -> `out/ID.wav`: the ceiling of any voice that uses this vocoder.

    Existing files are kept; a recording that cannot be read yields no file.

    Args:
        engine: where this is done; None = in this process.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    sources, _ = index_folder(recordings, manifest)
    files = [(path, out / f"{i}.wav") for i, path in sources.items()]
    left = [pair for pair in files if not pair[1].exists()]
    copies = (engine or LocalEngine()).map(_copy, left, state=_CopyVocoder(vocoder))
    for done, _ in enumerate(copies, start=1):
        if progress:
            progress(done, len(left), "copy synthesis")
    return out


class _CopyVocoder(ReloadsInWorker):
    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def vocoder(self) -> Vocoder:
        from intona.vocoder import load_vocoder

        return load_vocoder(self.name)


def _copy(state: _CopyVocoder, files: tuple[Path, Path]) -> None:
    import torch

    from intona.audio import log_mel

    source, target = files
    clip = read_clip(source)
    if clip.audio is None:
        return
    speak = state.vocoder
    with torch.inference_mode():
        audio = speak.speak(log_mel(clip.audio.resample(speak.spec.sample_rate), speak.spec), speak.spec)
    put(target, audio.write)


def put(target: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name, then link: if several processes write a file, the first one remains."""
    half = target.with_name(f".{target.stem}.{platform.node()}.{os.getpid()}{target.suffix}")
    try:
        write(half)
        try:
            os.link(half, target)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(half, target)
    finally:
        half.unlink(missing_ok=True)


def espeak_version() -> str:
    """First line of `espeak-ng --version`, without its data path.

    Raises:
        UserError: espeak-ng is not installed.
    """
    return _run(["--version"], "").split("  Data at")[0].strip()


def espeak_wavs(manifest: Manifest, out: Path | str, *, language: str = "ru") -> Path:
    """Speak every row to `out/ID.wav`; existing files are kept. Stress marks are removed from the text.

    Raises:
        UserError: espeak-ng is missing or does not support the language.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for row in manifest.rows:
        target = out / f"{row.id}.wav"
        if target.exists():
            continue
        text = strip_stress(row.text)
        put(
            target,
            lambda half, text=text: _run(["-v", language, "-b", "1", "-w", str(half), "--stdin"], text),
        )
    return out


def _run(arguments: list[str], text: str) -> str:
    program = shutil.which("espeak-ng")
    if program is None:
        raise UserError("espeak-ng is not installed", hint=INSTALL)
    try:
        done = subprocess.run(
            [program, *arguments], input=text.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"espeak-ng did not finish within {SECONDS} s", hint="shorten the text") from None
    except OSError as e:
        raise UserError(f"espeak-ng cannot be run ({e.strerror})", hint=INSTALL) from None
    if done.returncode:
        message = " ".join(done.stderr.decode(errors="replace").split())
        raise UserError(f"espeak-ng failed ({message})", hint=f"check `espeak-ng {' '.join(arguments[:2])}`")
    return done.stdout.decode(errors="replace")
