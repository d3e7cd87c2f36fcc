"""Control rows: copy synthesis above, espeak-ng as the floor, and speech that says another text.

espeak-ng runs as a command, so that no library state is shared with us.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from intona.errors import UserError
from intona.evaluation.manifest import Manifest, Row
from intona.evaluation.normalize import strip_stress
from intona.evaluation.wavs import index_folder, read_clip

MEND = "apt-get install espeak-ng"


def companions(manifest: Manifest) -> list[list[Row]]:
    """Rows in pairs (a triple where the number is odd), each row once, no two texts of a group the same.

    Rows of one speaker are paired with the next in length, so that a pair differs in what is said and in
    little else; whoever is left over is paired across speakers. A row whose text all others share stays
    alone. Depends on the manifest only.
    """
    groups: list[list[Row]] = []
    left: list[Row] = []
    for speaker in manifest.speakers:
        mine = [row for row in manifest.rows if row.speaker == speaker]
        mine.sort(key=lambda r: (len(r.text.split()), hashlib.sha256(r.id.encode()).hexdigest()))
        pairs, odd = _pairs(mine)
        if len(odd) == 1:
            group = next((g for g in reversed(pairs) if all(r.text != odd[0].text for r in g)), None)
            if group is not None:
                group.append(odd.pop())
        groups += pairs
        left += odd
    pairs, alone = _pairs(left)
    groups += pairs
    for row in alone:
        group = next((g for g in groups if len(g) == 2 and all(r.text != row.text for r in g)), None)
        if group is not None:
            group.append(row)
        else:
            groups.append([row])
    return groups


def _pairs(rows: list[Row]) -> tuple[list[list[Row]], list[Row]]:
    """Neighbours with different texts, and those that found none: they all have the same text."""
    pairs: list[list[Row]] = []
    waiting: list[Row] = []
    for row in rows:
        if waiting and waiting[-1].text != row.text:
            pairs.append([waiting.pop(), row])
        else:
            waiting.append(row)
    return pairs, waiting


def destroyed_texts(manifest: Manifest) -> dict[str, str]:
    """id -> id of the row whose audio is judged in its place: a fixed derangement inside `companions`.

    Such a row costs no synthesis, and shows what each measure says when text and melody have nothing to do
    with what was asked for: WER near 1, pitch distances at the level of chance.

    Raises:
        UserError: some text has no other to be swapped with.
    """
    swapped = {}
    for group in companions(manifest):
        if len(group) == 1:
            raise UserError(f'"{group[0].id}" has no row with another text to be swapped with')
        swapped |= {a.id: b.id for a, b in zip(group, [*group[1:], group[0]], strict=True)}
    return swapped


def copy_synthesis(
    recordings: Path | str,
    manifest: Manifest,
    out: Path | str,
    *,
    vocoder: str = "hifigan",
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Recording -> mel -> vocoder -> `out/ID.wav`: the ceiling of any voice that uses this vocoder.

    Files already there are kept; a recording that cannot be read makes no file.
    """
    import torch

    from intona.audio import log_mel
    from intona.vocoder import load_vocoder

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    sources, _ = index_folder(recordings, manifest)
    left = [row for row in manifest.rows if row.id in sources and not (out / f"{row.id}.wav").exists()]
    speak = load_vocoder(vocoder) if left else None
    for done, row in enumerate(left, start=1):
        clip = read_clip(sources[row.id])
        if speak is not None and clip.audio is not None:
            audio = clip.audio.resample(speak.spec.sample_rate)
            with torch.inference_mode():
                made = speak.speak(log_mel(audio, speak.spec), speak.spec)
            put(out / f"{row.id}.wav", lambda half, made=made: made.write(half))
        if progress:
            progress(done, len(left), "copy synthesis")
    return out


def put(target: Path, write: Callable[[Path], object]) -> None:
    """Write under a name of this process, then link: of several shards the first one's file stays."""
    half = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    write(half)
    try:
        os.link(half, target)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(half, target)
    half.unlink(missing_ok=True)


def espeak_version() -> str:
    """First line of `espeak-ng --version`, without its data path.

    Raises:
        UserError: espeak-ng is not installed.
    """
    return _run(["--version"], "").split("  Data at")[0].strip()


def espeak_wavs(manifest: Manifest, out: Path | str, *, language: str = "ru") -> Path:
    """Speak every row to `out/ID.wav`; rows already there are kept. Stress marks of the text are removed.

    Raises:
        UserError: espeak-ng is missing or does not know the language.
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
        raise UserError("espeak-ng is not installed", mend=MEND)
    done = subprocess.run(
        [program, *arguments], input=text.encode(), capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        message = " ".join(done.stderr.decode(errors="replace").split())
        raise UserError(f"espeak-ng failed ({message})", mend=f"check `espeak-ng {' '.join(arguments[:2])}`")
    return done.stdout.decode(errors="replace")
