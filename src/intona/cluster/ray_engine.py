"""Workers on a Ray cluster.

Ray places workers on nodes, moves items and results, and notices when a worker or a node is lost. `dispatch`
does what Ray leaves open. An actor that Ray itself restarts keeps its items and waits for a free place; here
they go to any worker that is left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from intona import __version__, extras
from intona.cluster.base import AUTO, CommandProcess, Item, Result
from intona.cluster.dispatch import HINT, Dispatch, cause_of
from intona.cluster.remote import RemoteCommand, RemoteWorker, Site
from intona.errors import UserError
from intona.pool import THREADS, DeadWorker

LOSSES = 3  # how often the same work may be lost with its worker
CONNECT_SECONDS = ANSWER_SECONDS = 10.0
PROBE = ".intona-probe-"
# Variables of this process that workers get. No others: Ray shows them, and some hold secrets.
FORWARDED = ("INTONA_CACHE", "INTONA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "OMP_WAIT_POLICY")
logger = logging.getLogger(__name__)


class RayEngine(contextlib.AbstractContextManager["RayEngine"]):
    """An `Engine` on a running Ray cluster, of which this machine is a node. Arguments as of `open_engine`.

    Leaving the context ends the workers and disconnects.
    """

    def __init__(
        self, address: str, *, workers: int | None = None, files: Sequence[Path] = (), device: str = "cpu"
    ) -> None:
        extras.require("ray", "work on a cluster", where="--cluster")
        self._probes: list[Path] = []
        self._ray = connect(address)
        try:
            places = self._ray.cluster_resources()
            gpus = int(places.get("GPU", 0))
            if device.startswith("cuda") and not gpus:
                raise UserError("no node of the cluster has a GPU", where="--device", hint="--device cpu")
            self._gpus = 1 if gpus and device != "cpu" else 0
            self._workers = workers or (gpus if self._gpus else int(places.get("CPU", 0))) or 1
            self._site = self._share(files)
        except BaseException:
            self.__exit__()
            raise

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def device(self) -> str:
        return "cuda" if self._gpus else "cpu"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._probes:
            with contextlib.suppress(OSError):
                path.unlink()
        self._ray.shutdown()

    def in_process(self, items: int, *, least: int = 2) -> bool:
        return False

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        state: Any = None,
        in_flight: int = 2,
        least: int = 2,
    ) -> Iterator[Result]:
        ray = self._ray
        actor = ray.remote(num_cpus=1, num_gpus=self._gpus, max_restarts=0)(RemoteWorker)
        # Pickled once, for all workers and for those that start later.
        setup = [ray.put(part) for part in (self._site, function, state)]

        def begin() -> tuple[Any, Any]:
            handle = actor.remote()
            return handle, handle.enter.remote(*setup)

        dispatch = Dispatch(ray, begin, items, workers=self.workers, in_flight=in_flight, losses=LOSSES)
        with contextlib.closing(dispatch.results()) as results:
            for result, messages in results:
                for message in messages:
                    warnings.warn(message, stacklevel=2)
                yield result

    def start(
        self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str], gpus: int = 0
    ) -> CommandProcess:
        return RayProcess(self._ray, self._site, arguments, log, environment, gpus)

    def _share(self, files: Sequence[Path]) -> Site:
        """Write probe files beside the files; `Site.enter` looks for them on each node."""
        seen: dict[Path, str | None] = {}
        for path in files:
            # Not in the folder itself: `intona prepare` wants an empty one.
            folder = path.absolute().parent
            while not folder.exists():
                folder = folder.parent
            seen[path.absolute() if path.exists() else folder] = None
            if folder in {p.parent for p in self._probes}:
                continue
            probe = folder / f"{PROBE}{uuid.uuid4().hex}"
            with contextlib.suppress(OSError):  # the folder of a corpus may be read-only
                probe.write_text(probe.name, encoding="utf-8")
                self._probes.append(probe)
                seen[probe] = probe.name
        return Site(version=__version__, directory=Path.cwd(), files=seen)


class RayProcess:
    """A command on some node of the cluster; it starts again on another one if its node is lost."""

    def __init__(
        self,
        ray: Any,
        site: Site,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        gpus: int,
    ) -> None:
        self._ray = ray
        # Two threads: one waits for the command, the other can end it.
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_concurrency=2)(RemoteCommand)
        self._call = (site, list(arguments), log.absolute(), dict(environment))
        self._code: int | None = None
        self._losses = 0
        self._begin()

    def _begin(self) -> None:
        self._handle = self._actor.remote()
        self._result = self._handle.run.remote(*self._call)

    def poll(self) -> int | None:
        errors = self._ray.exceptions
        if self._code is None and self._ray.wait([self._result], timeout=0)[0]:
            try:
                self._code = int(self._ray.get(self._result))
                self._ray.kill(self._handle)  # its place is free for others
            except errors.RayTaskError as e:
                raise cause_of(e) from e
            except errors.RayError as e:
                self._losses += 1
                if self._losses >= LOSSES:
                    raise DeadWorker(f"a command was lost with its node {LOSSES} times", hint=HINT) from e
                logger.warning("the node of a command was lost; the command starts again on another one")
                self._begin()
        return self._code

    def stop(self) -> None:
        if self._code is None:
            self._stopping = self._handle.stop.remote()

    def end(self, seconds: float) -> None:
        if self._code is None:
            self.stop()
            with contextlib.suppress(self._ray.exceptions.RayError):
                # Without an answer it waits for a place and has not begun.
                if self._ray.wait([self._stopping], timeout=ANSWER_SECONDS)[0]:
                    self._ray.get(self._handle.end.remote(seconds), timeout=seconds + ANSWER_SECONDS)
        self._ray.kill(self._handle)


def connect(address: str) -> Any:
    """The module ray, connected to the cluster."""
    if address != AUTO:
        host, _, port = address.rpartition(":")
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except OSError as e:
            raise UserError(
                f"no Ray cluster at {address} ({e.strerror or e})",
                where="--cluster",
                hint="start one with `ray start --head --disable-usage-stats`",
            ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # Ray prints losses on stdout, which is for data
    import ray
    from ray.exceptions import RayError

    variables = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    variables |= dict.fromkeys(THREADS, "1")
    variables["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "1"  # a worker without a GPU of its share sees none
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": variables},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as e:
        reason = " ".join(str(e).split())[:200]
        raise UserError(
            f"cannot connect to the Ray cluster ({reason})",
            where="--cluster",
            hint="`ray start --head --disable-usage-stats` starts one; run the command on one of its nodes",
        ) from None
    return ray
