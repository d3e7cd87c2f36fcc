"""Print the requirements of the project and of some extras, one per line: `requirements.py serve,ru`.

For images: packages that are installed before the source is copied stay in a layer of their own.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: str) -> list[str]:
    """Requirements of a pyproject.toml. Raises SystemExit, naming an unknown extra."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra in filter(None, extras.split(",")):
        if extra not in known:
            raise SystemExit(f'no extra "{extra}"; known: {", ".join(sorted(known))}')
        lines += known[extra]
    return sorted(set(lines))


if __name__ == "__main__":
    names = sys.argv[1] if len(sys.argv) > 1 else ""
    print("\n".join(requirements(Path(__file__).resolve().parents[1] / "pyproject.toml", names)))
