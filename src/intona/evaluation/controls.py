"""Control rows: espeak-ng as the floor. Runs the command, so that no library state is shared with us."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from intona.errors import UserError
from intona.evaluation.manifest import Manifest
from intona.evaluation.normalize import strip_stress

MEND = "apt-get install espeak-ng"


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
        half = target.with_suffix(".part")
        _run(["-v", language, "-b", "1", "-w", str(half), "--stdin"], strip_stress(row.text))
        half.replace(target)
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
