"""What learning curves say about budgets: how well an early epoch ranks, and which hyperparameters matter when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from autopytorch_lite.errors import BudgetError, DataError
from autopytorch_lite.report.importance import rank_hyperparameters
from autopytorch_lite.types import FloatArray
from lcbench.benchmark import Benchmark, is_loss

DEFAULT_TAG = "Train/val_accuracy"
DEFAULT_EPOCHS = (2, 6, 17, 50)
"""The rungs of a search from 2 to 50 epochs with eta 3."""


@dataclass(frozen=True)
class Analysis:
    """Of one data set, or the mean of several.

    Attributes:
        correlations: Spearman's rank correlation of the runs between epochs; rows and columns are epochs.
        importances: share of the variance of ranks that each hyperparameter explains alone, in [0, 1]; rows are
            hyperparameters, the most important one at the last epoch first, columns are epochs. See `explained_share`.
    """

    correlations: pd.DataFrame
    importances: pd.DataFrame


def analyse(
    benchmark: Benchmark,
    dataset_names: Sequence[str] = (),
    tag: str = DEFAULT_TAG,
    epochs: Sequence[int] = DEFAULT_EPOCHS,
) -> Analysis:
    """Compare the ranks of all runs at some epochs; with several data sets the means of what each of them says.

    Args:
        benchmark: the runs.
        dataset_names: which data sets; none: all.
        tag: of the log, with one value before training, one per epoch, and one of a final evaluation. A value that is
            missing ranks last.
        epochs: at least two, of those recorded.

    Raises:
        UnknownNameError: a data set or the tag does not exist.
        DataError: the tag has no learning curves.
        BudgetError: there are fewer than two epochs, or one is not recorded.
    """
    if len(epochs) < 2:
        raise BudgetError(f"At least two epochs are compared, got {list(epochs)}.")
    found = [_of_one(benchmark, name, tag, epochs) for name in dataset_names or benchmark.get_dataset_names()]
    correlations = np.mean([analysis.correlations.to_numpy() for analysis in found], axis=0)
    importances = pd.concat([analysis.importances for analysis in found]).groupby(level=0).mean()
    order = importances[epochs[-1]].sort_values(ascending=False, kind="stable").index
    return Analysis(pd.DataFrame(correlations, index=list(epochs), columns=list(epochs)), importances.loc[order])


def _of_one(benchmark: Benchmark, dataset_name: str, tag: str, epochs: Sequence[int]) -> Analysis:
    ids = benchmark.get_config_ids(dataset_name)
    curves = [benchmark.query(dataset_name, tag, config_id) for config_id in ids]
    configs = [benchmark.get_config(dataset_name, config_id) for config_id in ids]
    ranks = np.array([_ranks(curves, epoch, tag) for epoch in epochs])
    shares = {epoch: dict(rank_hyperparameters(configs, row)) for epoch, row in zip(epochs, ranks, strict=True)}
    correlations = pd.DataFrame(np.corrcoef(ranks), index=list(epochs), columns=list(epochs))
    return Analysis(correlations, pd.DataFrame(shares))


def _ranks(curves: Sequence[FloatArray], epoch: int, tag: str) -> FloatArray:
    """Ranks at an epoch, scaled to [0, 1], 0 is best; float64, shape (n_runs,)."""
    n_epochs = min(len(curve) if isinstance(curve, np.ndarray) else 0 for curve in curves) - 2
    if n_epochs < 1:
        raise DataError(f"Epochs are compared by a tag with learning curves, but {tag!r} has none.")
    if not 1 <= epoch <= n_epochs:
        raise BudgetError(f"Epochs must be between 1 and {n_epochs}, which are recorded of {tag!r}, got {epoch}.")
    values = np.array([curve[epoch] for curve in curves])
    losses = np.nan_to_num(values if is_loss(tag) else -values, nan=np.inf, posinf=np.inf)
    return (rankdata(losses) - 1) / max(1, len(losses) - 1)
