"""What fewer epochs say about all of them: rank correlations and curves that cross."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from autopytorch_lite.errors import BudgetError
from autopytorch_lite.types import FloatArray, IntArray
from lcbench.curves import CurveTable

TOP = 0.1
"""The share of runs that counts as the top."""
_MAX_RUNS_IN_PAIRS = 400


def rank_correlations(table: CurveTable, epochs: Sequence[int], *, top: float = 1.0) -> pd.DataFrame:
    """Spearman's rank correlation of the losses between epochs.

    Args:
        table: the runs of a data set.
        epochs: of those recorded.
        top: only the best share of the runs by their last loss, in (0, 1].

    Returns:
        Rows and columns are epochs. NaN where all losses of an epoch are equal.

    Raises:
        BudgetError: an epoch is not recorded, or the share is not in (0, 1].
    """
    rows = top_runs(table.final, top)
    losses = np.column_stack([table.at(epoch)[rows] for epoch in epochs])
    found = np.array([[_spearman(a, b) for b in losses.T] for a in losses.T])
    return pd.DataFrame(found, index=list(epochs), columns=list(epochs))


def correlations_with_final(table: CurveTable, *, tops: Sequence[float] = (1.0, 0.5, TOP)) -> pd.DataFrame:
    """Spearman's rank correlation between each epoch and the last one, among the best shares of runs at the last.

    Returns:
        Rows are epochs, columns the shares.
    """
    columns = {}
    for top in tops:
        rows = top_runs(table.final, top)
        columns[top] = [_spearman(losses, table.final[rows]) for losses in table.losses[rows].T]
    return pd.DataFrame(columns, index=pd.Index(table.epochs, name="epoch"))


def crossings(table: CurveTable, *, tops: Sequence[float] = (1.0, TOP)) -> pd.DataFrame:
    """Share of pairs of runs whose order at an epoch is not that of the last epoch: curves that cross from there on.

    Pairs that are equal at the last epoch are left out; those equal at the epoch count half. Of more than 400 runs an
    even sample is compared.

    Returns:
        Rows are epochs, columns the best shares of the runs by their last loss; values in [0, 1], 0.5 is chance.
    """
    columns = {}
    for top in tops:
        losses = table.losses[_thinned(top_runs(table.final, top))]
        first, second = np.triu_indices(len(losses), k=1)
        signs = np.sign(losses[first] - losses[second])
        signs = signs[signs[:, -1] != 0]
        columns[top] = (
            (1 - (signs * signs[:, -1:]).mean(axis=0)) / 2 if len(signs) else np.full(len(table.epochs), np.nan)
        )
    return pd.DataFrame(columns, index=pd.Index(table.epochs, name="epoch"))


def top_runs(losses: FloatArray, top: float) -> IntArray:
    """Numbers of the best share of runs, best first, two at least.

    Raises:
        BudgetError: the share is not in (0, 1].
    """
    if not 0 < top <= 1:
        raise BudgetError(f"The share of the best runs must lie in (0, 1], got {top}.")
    n = max(min(2, len(losses)), round(top * len(losses)))
    return np.argsort(losses, kind="stable")[:n]


def _thinned(rows: IntArray) -> IntArray:
    if len(rows) <= _MAX_RUNS_IN_PAIRS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MAX_RUNS_IN_PAIRS).round().astype(int)]


def _spearman(a: FloatArray, b: FloatArray) -> float:
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")
