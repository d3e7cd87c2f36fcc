"""From measurements to the table: medians with their intervals, Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2_000
COLUMNS = (
    "voice",
    "language",
    "CER",
    "WER",
    "DistillMOS",
    "6 s: wall, s",
    "processor, s",
    "memory, MiB",
    "60 s: wall, s",
    "processor, s",
    "memory, MiB",
    "short text, s",
    "first audio, ms",
    "voice, MB",
    "installed, MB",
)


def median(values: Sequence[float], *, seed: int = 0) -> dict[str, float]:
    """Median with its 95 % percentile bootstrap interval; of fewer than six values, their range."""
    if len(values) < 6:
        low, high = min(values), max(values)
    else:
        draws = np.random.default_rng(seed).choice(np.asarray(values), (RESAMPLES, len(values)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975]).tolist()
    return {"median": statistics.median(values), "low": low, "high": high, "n": len(values)}


def summarize(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Medians over rounds, by text and quantity, of the runs of one system.

    Args:
        runs: {"text", "wall", "cpu", "memory", "speech"}: seconds, MiB, and seconds of speech.
    """
    out: dict[str, dict[str, dict[str, float]]] = {}
    for text in dict.fromkeys(r["text"] for r in runs):
        rows = [r for r in runs if r["text"] == text]
        out[text] = {key: median([r[key] for r in rows]) for key in ("wall", "cpu", "memory", "speech")}
        out[text]["wall per second"] = median([r["wall"] / r["speech"] for r in rows])
        out[text]["cpu per second"] = median([r["cpu"] / r["speech"] for r in rows])
    return out


def markdown(result: Mapping[str, Any]) -> str:
    """The table, and below it what its columns mean and the machine."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in result["systems"]]
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join(
        [
            *lines,
            "",
            "CER, WER (whisper-base) and DistillMOS with 95 % intervals over N sentences. Times and memory:",
            "medians over N whole processes that take turns, in brackets their 95 % interval, or their range",
            "for N < 6; after a slash the seconds of speech. First audio: from a text of a minute to its",
            "first samples, with the library loaded and warm (espeak-ng: a process).",
            "",
            f"{machine}.",
        ]
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row["problem"]:
        return [row["name"], row["language"], f"not measured: {row['problem']}", *[""] * (len(COLUMNS) - 3)]
    quality, cost, size = row["quality"], row["cost"], row["size"]
    cells = [row["name"], row["language"]]
    cells += [_interval(quality.get(m), digits) for m, digits in (("cer", 3), ("wer", 3), ("distillmos", 2))]
    for text in ("6 s", "60 s"):
        figures = cost.get(text)
        cells += (
            [
                f"{_median(figures['wall'], 2)} / {figures['speech']['median']:.1f}",
                _median(figures["cpu"], 2),
                _median(figures["memory"], 0),
            ]
            if figures
            else ["", "", ""]
        )
    cells.append(_median(cost["short"]["wall"], 2) if "short" in cost else "")
    cells.append(_median(row["first"], 0, scale=1000) if row.get("first") else "")
    return [*cells, *(f"{size[key]:.0f}" if key in size else "" for key in ("voice", "installed"))]


def _interval(cell: Mapping[str, Any] | None, digits: int) -> str:
    if not cell:
        return "not measured"
    low, high = cell["low"], cell["high"]
    span = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{cell['estimate']:.{digits}f}{span}, N = {cell['n']}"


def _median(figure: Mapping[str, float], digits: int, *, scale: float = 1.0) -> str:
    mid, low, high = (scale * figure[key] for key in ("median", "low", "high"))
    return f"{mid:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}], N = {figure['n']}"
