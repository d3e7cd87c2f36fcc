"""What a Ray cluster costs against the local pool: `python benchmarks/cluster.py ADDRESS [--items N]`.

Start the cluster first: `ray start --head --disable-usage-stats`. Prints, for each engine with as many
workers, the seconds until the first result of a new map (processes start, nothing is loaded), and the time
per further item of empty work and of work of 20 ms. The processor time of the process that hands out the work
does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from intona.cluster import Engine, open_engine


def nothing(state: object, item: Any) -> Any:
    return item


def busy(state: object, item: Any) -> Any:
    """20 ms of processor time."""
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return item


def measure(
    engine: Engine, function: Callable[[Any, Any], Any], items: list[Any]
) -> tuple[float, float, float]:
    """(seconds to the first result, seconds per further item, processor seconds per item here)."""
    start = time.perf_counter()
    results = engine.map(function, items, in_flight=4)
    next(results)
    first = time.perf_counter() - start
    start, processor = time.perf_counter(), time.process_time()
    count = sum(1 for _ in results)
    return first, (time.perf_counter() - start) / count, (time.process_time() - processor) / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    request = parser.parse_args()
    mel = np.zeros((400, 80), dtype=np.float16)  # 64 kB, of 4.6 s
    works = {
        "empty": (nothing, [0] * request.items),
        "a mel returned": (nothing, [mel] * request.items),
        "20 ms": (busy, [0] * request.items),
    }
    print(f"{request.workers} workers, {request.items} items")
    print("| engine | connect, s | work | first result, s | per item, ms | processor time here, ms |")
    print("|---|---|---|---|---|---|")
    for cluster in ("local", request.address):
        start = time.perf_counter()
        with open_engine(cluster, workers=request.workers) as engine:
            connect = time.perf_counter() - start
            for name, (function, items) in works.items():
                first, each, here = measure(engine, function, items)
                kind = "local" if cluster == "local" else "Ray"
                figures = f"{first:.1f} | {each * 1e3:.2f} | {here * 1e3:.2f}"
                print(f"| {kind} | {connect:.1f} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
