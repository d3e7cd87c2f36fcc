"""What `make demo` runs: the same as `intona demo`."""

from __future__ import annotations

import sys

from intona.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
