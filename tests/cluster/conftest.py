"""A Ray cluster of several nodes on the loopback device, which ends for sure."""

from __future__ import annotations

import contextlib
import inspect
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.2"  # Ray replaces 127.0.0.1 by the address of a network device
HERE = Path(__file__).parent
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    # A busy machine starts processes slowly.
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_niceness": "0",  # 15 by default: beside busy processes a worker would hardly run
}


@pytest.fixture(scope="session")
def ray_settings() -> Iterator[None]:
    """Environment of all Ray processes, in which the modules of these tests can be imported."""
    folders = [str(HERE), str(HERE.parent / "studies"), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(folders)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "PYTHONPATH": path}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ray_cluster(ray_settings: None) -> Iterator[Any]:
    """A cluster of one node with one core; `add_node` adds more."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    with patient():
        cluster = Cluster(initialize_head=True, head_node_args={**node_arguments(), "no_monitor": True})
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture
def add_node(ray_cluster: Any) -> Iterator[Callable[[], Any]]:
    """Adds a node of one core, until the end of the test."""
    nodes: list[Any] = []

    def add() -> Any:
        nodes.append(ray_cluster.add_node(**node_arguments()))
        return nodes[-1]

    yield add
    for node in nodes:
        with contextlib.suppress(Exception):  # the test may have killed it
            ray_cluster.remove_node(node, allow_graceful=False)


def node_arguments() -> dict[str, Any]:
    return {
        "num_cpus": 1,
        "object_store_memory": 100 << 20,
        "node_ip_address": HOST,
        "include_dashboard": False,
        "include_log_monitor": False,
        "runtime_env_agent_port": free_port(),
    }


def free_port() -> int:
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """A node starts however long its helper processes take.

    It waits 15 s for the ports of its agents and gives up then; here it gets the ports at once. -1 is what an
    agent without a service writes.
    """
    from ray._private import services
    from ray._raylet import persist_port

    start = services.start_raylet
    signature = inspect.signature(start)

    def start_raylet(*args: Any, **kwargs: Any) -> Any:
        values = signature.bind(*args, **kwargs).arguments
        for name in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"):
            persist_port(values["session_dir"], values["node_id"], name, -1)
        port = values["runtime_env_agent_port"]
        persist_port(values["session_dir"], values["node_id"], "runtime_env_agent_port", port)
        return start(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "start_raylet", start_raylet)
        yield
