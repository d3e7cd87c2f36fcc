"""What runs on the nodes of a cluster: a worker for `RayEngine.map`, and one for a command.

Plain classes, which `ray_engine` turns into actors; Ray is not imported here.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona import __version__
from intona.cluster.local import LocalProcess
from intona.errors import UserError

LOOKS, SECONDS_BETWEEN = 10, 1.0  # a network file system may show a new file late
SAME_FILES = "a cluster needs one file system that all nodes mount at the same place"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a node must have in common with the one where the command runs.

    Args:
        version: of intona.
        directory: the current folder.
        files: path -> content of a probe file, or None where it only has to exist.
    """

    version: str
    directory: Path
    files: Mapping[Path, str | None]

    def enter(self) -> None:
        """Check this node and change to the folder.

        Raises:
            UserError: another version of intona, or files that are not those of the first node.
        """
        node = platform.node()
        if self.version != __version__:
            raise UserError(
                f"node {node} has intona {__version__}, this one {self.version}",
                where="--cluster",
                hint="install the same version on all nodes",
            )
        for path, content in {self.directory: None, **self.files}.items():
            if not _is_seen(path, content):
                what = path if content is None else path.parent
                raise UserError(f"node {node} does not see {what}", where="--cluster", hint=SAME_FILES)
        os.chdir(self.directory)


def _is_seen(path: Path, content: str | None) -> bool:
    for attempt in range(LOOKS):
        if attempt:
            time.sleep(SECONDS_BETWEEN)
        try:
            if path.exists() if content is None else path.read_text(encoding="utf-8") == content:
                return True
        except OSError:
            pass
    return False


class RemoteWorker:
    """Calls a function with a state that stays here from item to item."""

    def enter(self, site: Site, function: Callable[[Any, Any], Any], state: Any) -> str:
        """Check the node and keep function and state. Returns the name of the node."""
        site.enter()
        self._function, self._state = function, state
        return platform.node()

    def call(self, item: Any) -> tuple[Any, list[str]]:
        """The result for one item, and the warnings for the user."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            result = self._function(self._state, item)
        return result, [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


class RemoteCommand:
    """Runs one command on this node."""

    def __init__(self) -> None:
        self._process: LocalProcess | None = None

    def run(self, site: Site, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Its exit code, negative if a signal killed it."""
        site.enter()
        self._process = LocalProcess(arguments, log, environment)
        return self._process.wait()

    def stop(self) -> None:
        """Request that it saves and ends."""
        if self._process is not None:
            self._process.stop()

    def end(self, seconds: float) -> None:
        """Wait for its end; kill it if that takes longer than `seconds`."""
        if self._process is not None:
            self._process.end(seconds)
