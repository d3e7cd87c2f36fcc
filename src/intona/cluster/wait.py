"""`python -m intona.cluster.wait HOST:PORT --nodes N --seconds S`: wait until a Ray cluster is complete.

For scripts that start a cluster, such as scripts/slurm/ray.sbatch.
"""

from __future__ import annotations

import argparse
import sys
import time

from intona.errors import UserError

PAUSE_SECONDS = 2.0


def wait(address: str, nodes: int, seconds: float) -> None:
    """Return when so many nodes are there.

    Raises:
        UserError: they are not after so many seconds.
    """
    from intona.cluster.ray_engine import connect

    end = time.monotonic() + seconds
    ray = None
    try:
        while True:
            try:
                ray = ray or connect(address)
                present = sum(bool(node["Alive"]) for node in ray.nodes())
                problem = UserError(
                    f"{present} of {nodes} nodes are there after {seconds:.0f} s", where=address
                )
            except UserError as e:  # the head is not there yet
                present, problem = 0, e
            if present >= nodes:
                return
            if time.monotonic() > end:
                raise problem
            time.sleep(PAUSE_SECONDS)
    finally:
        if ray is not None:
            ray.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m intona.cluster.wait")
    parser.add_argument("address")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300.0)
    request = parser.parse_args()
    try:
        wait(request.address, request.nodes, request.seconds)
    except UserError as e:
        print(f"intona: error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
