"""Medians of interleaved runs: two variants take turns, so that a busy moment hits both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call: median, and the 10 and 90 % of `n` calls."""

    median: float
    low: float
    high: float
    n: int


def timing(seconds: list[float]) -> Timing:
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return Timing(
        median=statistics.median(ordered),
        low=ordered[round(0.1 * last)],
        high=ordered[round(0.9 * last)],
        n=len(ordered),
    )


def measure(call: Call, *, budget: float, least: int = 3, most: int = 200) -> Timing:
    """Call once to warm up, then again and again for `budget` seconds."""
    return interleave({"": call}, budget=budget, least=least, most=most)[""]


def interleave(
    calls: dict[str, Call], *, budget: float, least: int = 3, most: int = 200
) -> dict[str, Timing]:
    """Timings of several variants that take turns."""
    return {
        name: timing(times) for name, times in turns(calls, budget=budget, least=least, most=most).items()
    }


def turns(
    calls: dict[str, Call], *, budget: float, least: int = 3, most: int = 200
) -> dict[str, list[float]]:
    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + budget
    for round_number in range(most):
        if round_number >= least and time.perf_counter() > end:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    return found


def paired_ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over rounds of slow / fast."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of a call: on the clock, and of processor time (on a busy machine the truer one)."""

    wall: float
    cpu: float


def cost(call: Call, *, budget: float = float("inf"), most: int = 30) -> Cost:
    """Medians after one call to warm up: of `most`, or of those within `budget` seconds (3 at least)."""
    call()
    walls: list[float] = []
    cpus: list[float] = []
    end = time.perf_counter() + budget
    while len(walls) < min(3, most) or (time.perf_counter() < end and len(walls) < most):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(wall=statistics.median(walls), cpu=statistics.median(cpus))
