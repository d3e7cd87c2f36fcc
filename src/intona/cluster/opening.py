"""From the value of `--cluster` to an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from intona.cluster.base import AUTO, LOCAL, Engine
from intona.cluster.local import LocalEngine
from intona.errors import UserError


def open_engine(
    cluster: str = LOCAL,
    *,
    workers: int | None = None,
    files: Sequence[Path | str | None] = (),
    device: str = "cpu",
) -> Engine:
    """The engine that `--cluster` names, as a context manager.

    Args:
        cluster: "local", "auto" (the Ray cluster that this machine belongs to), or the HOST:PORT of one.
        workers: how many; None = one per core, or on a cluster one per core or GPU.
        files: files and folders that the work reads or writes. All nodes of a cluster must see them; None is
            left out.
        device: where the workers compute: "cpu"; "cuda" = one GPU per worker; "auto" = a GPU where the
            cluster has any.

    Raises:
        UserError: not an address, Ray is not installed, no cluster there. If a node does not see the files
            of this one, `Engine.map` raises it.
    """
    if cluster == LOCAL:
        return LocalEngine(workers, device=device)
    if cluster != AUTO:
        _check_address(cluster)
    from intona.cluster.ray_engine import RayEngine

    return RayEngine(cluster, workers=workers, files=[Path(f) for f in files if f is not None], device=device)


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in address:
        raise UserError(
            f'"{address}" is neither local, auto, nor HOST:PORT',
            where="--cluster",
            hint="the address that `ray start --head` printed, such as 10.0.0.1:6379; run the command on a "
            "node of the cluster",
        )
