"""A server with the quick voices of the tests in a process: child.py DIRECTORY WORKERS DRAIN_SECONDS.

The word "wait" waits until there is a file named "gate" in the directory; the file "waiting" then has the
number of its process. The port is in the line on stderr.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import Singer  # type: ignore[import-not-found]

from intona import models, synth
from intona.serve.run import serve
from intona.serve.settings import Settings

DIRECTORY, WORKERS, DRAIN_SECONDS = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


class FileGate:
    """Open when a file exists."""

    def wait(self, seconds: float) -> bool:
        (DIRECTORY / "number").write_text(str(os.getpid()), encoding="utf-8")
        (DIRECTORY / "number").rename(DIRECTORY / "waiting")
        while not (DIRECTORY / "gate").exists():
            time.sleep(0.02)
        return True


# At the level of the module: the processes of a server with several import it again.
singer = Singer()
singer.gate = FileGate()  # type: ignore[assignment]
models.shipped = lambda kind=None: [models.Card(name="one", path=Path("one"), summary="Voice one")]
synth.load = lambda name, **_: singer  # type: ignore[assignment]

if __name__ == "__main__":
    settings = Settings(models=("one",), transcribers=(), max_characters=100_000)
    serve(settings, host="127.0.0.1", port=0, workers=WORKERS, drain_seconds=DRAIN_SECONDS)
