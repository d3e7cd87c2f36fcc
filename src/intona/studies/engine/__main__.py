"""`python -m intona.studies.engine`: see `job`."""

from __future__ import annotations

import sys

from intona.studies.engine.job import main

if __name__ == "__main__":
    sys.exit(main())
