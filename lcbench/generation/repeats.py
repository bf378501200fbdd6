"""Several trainings of one configuration as one record."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_FINAL = "final_"
_DEVIATION = "deviation_"


def mean_record(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The mean of runs of one configuration: of curves epoch by epoch, and of results.

    What one of them lacks, as it diverged, is missing. "deviation_X" is the sample standard deviation of "final_X",
    "repeats" the number of runs; a single run stays as it is.

    Args:
        runs: each with "log", "results" and "config", see `records`.
    """
    if len(runs) == 1:
        return runs[0]
    logs, results = [run["log"] for run in runs], [run["results"] for run in runs]
    log = {tag: [_mean(values) for values in zip(*(each[tag] for each in logs), strict=True)] for tag in logs[0]}
    means = {name: _mean([each[name] for each in results]) for name in results[0]}
    deviations = {
        name.replace(_FINAL, _DEVIATION, 1): _deviation([each[name] for each in results])
        for name in results[0]
        if name.startswith(_FINAL)
    }
    return {"log": log, "results": {**means, **deviations, "repeats": len(runs)}, "config": runs[0]["config"]}


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers; what all agree on stays, and of words that differ all are kept."""
    if all(value == values[0] for value in values):
        return values[0]
    if any(isinstance(value, str) for value in values):
        return ", ".join(sorted({str(value) for value in values}))
    return None if None in values else math.fsum(values) / len(values)


def _deviation(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return None if len(known) < len(values) else statistics.stdev(known)
