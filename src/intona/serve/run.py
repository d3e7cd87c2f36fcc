"""The application under uvicorn: in this process, or in several that share the address."""

from __future__ import annotations

import functools
import os
import signal
import sys
import tempfile
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from intona.errors import UserError
from intona.runtime.session import threads
from intona.serve.app import create_app
from intona.serve.metrics import SHARED_DIRECTORY
from intona.serve.protocol import GuardedProtocol
from intona.serve.settings import Settings
from intona.serve.transcribers import Transcribers
from intona.serve.voices import Voices

if TYPE_CHECKING:
    from fastapi import FastAPI


class DrainingServer(uvicorn.Server):
    """Finishes the requests in progress at the first SIGTERM or SIGINT, and ends them at the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        super().handle_exit(sig, frame)


class Supervisor(Multiprocess):
    """Starts and replaces the processes of a server, and removes the gauges of those that ended.

    A process that was killed leaves its gauges behind: the requests in progress and the memory that it had
    would be in the sums of `/metrics` until the server ends.
    """

    def init_processes(self) -> None:
        self._pids: set[int | None] = set()
        super().init_processes()
        self._note_processes()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        self._note_processes()

    def _note_processes(self) -> None:
        pids = {process.pid for process in self.processes}
        for pid in self._pids - pids:
            mark_process_dead(pid)
        self._pids = pids
        for process in self.processes:
            # With this copy of the worker's end open, a health check of a killed worker waits until it
            # times out.
            process.child_conn.close()


def application(settings: Settings) -> FastAPI:
    """The application with its voices loaded.

    Raises:
        UserError: a model that is not served or cannot be loaded.
    """
    voices = Voices.of(settings)
    transcribers = Transcribers(settings.transcribers, voices, device=settings.device)
    for name in voices.names:
        voices.load(name)
    for name in settings.transcribers or ():
        transcribers.load(name).preload()
    return create_app(settings, voices, transcribers)


def uvicorn_config(app: Any, settings: Settings, **fields: Any) -> uvicorn.Config:
    """The configuration of uvicorn: quiet, HTTP/1.1 only, with the settings' limits."""
    protocol = functools.partial(
        GuardedProtocol, header_seconds=settings.header_seconds, max_connections=settings.connections
    )
    return uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        **fields,
    )


def serve(settings: Settings, *, host: str, port: int, workers: int, drain_seconds: int) -> None:
    """Serve until SIGTERM or SIGINT, then exit with code 0 once the requests in progress are finished.

    Args:
        workers: processes; each loads the models.
        drain_seconds: longest time for the requests in progress; what is left then is cut off, never ended as
            if it were whole.

    Raises:
        UserError: a model that is not served or cannot be loaded, or an address that cannot be used.
    """
    fields = {"host": host, "port": port, "timeout_graceful_shutdown": drain_seconds}
    if workers > 1:
        _serve_by_several(settings, workers, fields)
        return
    # uvicorn raises the signal again after the drain: a stop that was requested is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = application(settings)
    config = uvicorn_config(app, settings, **fields)
    listener = _bound(config)
    _announce(settings, host, listener.getsockname()[1])
    try:
        DrainingServer(config).run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        if app.state.server.worker.busy:  # it would delay the exit until its piece of speech is complete
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def _serve_by_several(settings: Settings, workers: int, fields: dict[str, Any]) -> None:
    voices = Voices.of(settings)  # an unknown name is refused here
    Transcribers(settings.transcribers, voices, device=settings.device)
    config = uvicorn_config(
        functools.partial(_application_of_worker, settings),
        settings,
        factory=True,
        workers=workers,
        timeout_worker_healthcheck=60,
        **fields,
    )
    listener = _bound(config)
    with tempfile.TemporaryDirectory(prefix="intona-metrics-") as directory:
        os.environ[SHARED_DIRECTORY] = directory
        os.environ["OMP_NUM_THREADS"] = str(max(1, threads() // workers))  # onnxruntime and torch obey it
        _announce(settings, fields["host"], listener.getsockname()[1])
        Supervisor(config, sockets=[listener]).run()


def _application_of_worker(settings: Settings) -> FastAPI:
    try:
        return application(settings)
    except UserError as e:
        print(f"intona: error: {e}", file=sys.stderr)
        sys.exit(STARTUP_FAILURE)


def _bound(config: uvicorn.Config) -> Any:
    """A listening socket; uvicorn's `bind_socket` exits without a reason."""
    import socket

    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (config.host.strip("[]"), config.port), family=family, backlog=config.backlog
        )
    except OSError as e:
        reason = e.strerror or str(e)
        raise UserError(f"{config.host}:{config.port} cannot be used ({reason})", where="--port") from None
    listener.set_inheritable(True)
    return listener


def _announce(settings: Settings, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    print(f"serving {', '.join(settings.models)} on http://{shown}:{port}", file=sys.stderr, flush=True)
