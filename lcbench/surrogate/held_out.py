"""What a surrogate is worth: fitted on some runs, judged on the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.types import FloatArray
from lcbench.benchmark import Benchmark
from lcbench.curves import DEFAULT_TAG, Recording, read_recording
from lcbench.spaces import space_of
from lcbench.surrogate.quality import coverage, report_epochs, skill
from lcbench.surrogate.regressors import FAMILIES
from lcbench.surrogate.surrogate import Surrogate


def evaluate(
    benchmark: Benchmark,
    dataset_names: Sequence[str] = (),
    *,
    tag: str = DEFAULT_TAG,
    space: ConfigurationSpace | None = None,
    families: Sequence[str] = tuple(FAMILIES),
    share: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit a surrogate to most runs of each data set and compare its predictions of the others with what was recorded.

    Args:
        benchmark: the runs.
        dataset_names: which data sets; none: all.
        tag: as for `Surrogate.fit`.
        space: as for `Surrogate.fit`; if it is inferred, then from all runs.
        families: as for `Surrogate.fit`, which chooses among them by cross-validation on the other runs only.
        share: of the runs that are held out, at random.
        seed: of everything random.

    Returns:
        A row for each data set and some epochs. Columns: "data set", "family" that was chosen, "epoch", "R2",
        "Spearman", "inside 50%" and "inside 90%" (share of the held-out runs in the intervals of these levels, in
        [0, 1]), "R2 of seconds" (of their logarithms).

    Raises:
        BudgetError: the share is not between 0 and 1.
        UnknownNameError, DataError, SpaceError: as `Surrogate.fit`.
    """
    if not 0 < share < 1:
        raise BudgetError(f"The share of runs held out must lie between 0 and 1, got {share}.")
    names = dataset_names or benchmark.get_dataset_names()
    recordings = [read_recording(benchmark, name, tag) for name in names]
    space = space or space_of([config for recording in recordings for config in recording.table.configs])
    rows = []
    for recording in recordings:
        order = np.random.default_rng(seed).permutation(len(recording.table.configs))
        n_held_out = max(1, round(share * len(order)))
        surrogate = Surrogate.fit_recordings(
            [recording.part(order[n_held_out:])], space=space, families=families, seed=seed
        )
        rows.extend(_judged(surrogate, recording.part(order[:n_held_out])))
    return pd.DataFrame(rows)


def _judged(surrogate: Surrogate, held_out: Recording) -> list[dict[str, str | int | float]]:
    table = held_out.table
    name = table.dataset_name
    measured, predicted = table.in_units(table.losses), surrogate.predict(name, table.configs)
    intervals = {level: surrogate.predict_interval(name, table.configs, level) for level in (0.5, 0.9)}
    seconds = surrogate.predict_seconds(name, table.configs)

    def at(values: FloatArray, epoch: int) -> FloatArray:
        return values[:, epoch - 1]

    return [
        {
            "data set": name,
            "family": surrogate.family(name),
            "epoch": epoch,
            **skill(at(measured, epoch), at(predicted, epoch)),
            **{
                f"inside {level:.0%}": coverage(at(measured, epoch), at(low, epoch), at(high, epoch))
                for level, (low, high) in intervals.items()
            },
            "R2 of seconds": skill(np.log(at(held_out.seconds, epoch)), np.log(at(seconds, epoch)))["R2"],
        }
        for epoch in report_epochs(surrogate.n_epochs)
    ]
