"""`python -m intona.study`: see `job`."""

from __future__ import annotations

import sys

from intona.study.job import main

if __name__ == "__main__":
    sys.exit(main())
