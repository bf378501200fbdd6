"""All analyses of some data sets in one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import FloatArray
from lcbench.analysis.budgets import TOP, correlations_with_final, crossings, rank_correlations
from lcbench.analysis.fanova import Fanova
from lcbench.analysis.performance import final_distribution, portfolio_transfer, regret_matrix, transfer_regrets
from lcbench.benchmark import Benchmark
from lcbench.curves import DEFAULT_TAG, CurveTable, ranks, read_curves

DEFAULT_EPOCHS = (2, 6, 17, 50)
"""The rungs of a search from 2 to 50 epochs with eta 3."""
SCALES = ("ranks", "values")
PORTFOLIO_SIZE = 16


@dataclass(frozen=True, eq=False)
class Effects:
    """What the last epoch of one data set says about single hyperparameters.

    Attributes:
        importances: `Fanova.importances`.
        pairs: `Fanova.pairs`.
        marginal: `Fanova.effect` of each hyperparameter.
        local_importances: `Fanova.local_importances` of the best configuration.
    """

    importances: pd.Series
    pairs: pd.Series
    marginal: dict[str, pd.DataFrame]
    local_importances: pd.Series


@dataclass(frozen=True, eq=False)
class Analysis:
    """Of one data set, or the mean of several where nothing else is said.

    Attributes:
        tables: the runs that were analysed, one table for each data set.
        epochs: those compared.
        scale: what importances are the variance of, see `analyse`.
        correlations: `rank_correlations` of all runs.
        top_correlations: `rank_correlations` of the best tenth.
        with_final: `correlations_with_final`.
        crossings: see `crossings`.
        importances: share of the variance that each hyperparameter explains alone, in [0, 1]; rows are
            hyperparameters, the most important one at the last epoch first, columns are epochs. See `Fanova`.
        effects: of each data set, at the last epoch.
        distribution: `final_distribution`, of each data set.
        transfer: `transfer_regrets`; None unless several data sets have configurations in common.
        portfolios: `portfolio_transfer`; None as `transfer`.
    """

    tables: tuple[CurveTable, ...]
    epochs: tuple[int, ...]
    scale: str
    correlations: pd.DataFrame
    top_correlations: pd.DataFrame
    with_final: pd.DataFrame
    crossings: pd.DataFrame
    importances: pd.DataFrame
    effects: dict[str, Effects]
    distribution: pd.DataFrame
    transfer: pd.DataFrame | None
    portfolios: pd.DataFrame | None

    @property
    def tag(self) -> str:
        """What was measured."""
        return self.tables[0].tag

    def mean_effects(self, attribute: str) -> pd.Series:
        """Mean over data sets of one of the series of `Effects`, the largest first; what one lacks counts as 0."""
        frame = pd.DataFrame({name: getattr(effects, attribute) for name, effects in self.effects.items()})
        return frame.fillna(0.0).mean(axis=1).sort_values(ascending=False, kind="stable")


def analyse(
    benchmark: Benchmark,
    dataset_names: Sequence[str] = (),
    tag: str = DEFAULT_TAG,
    epochs: Sequence[int] = (),
    *,
    space: ConfigurationSpace | None = None,
    scale: str = "ranks",
    seed: int = 0,
) -> Analysis:
    """Analyse the runs of some data sets.

    Args:
        benchmark: the runs.
        dataset_names: which data sets; none: all.
        tag: with a learning curve, or with one value per run. A value that is missing counts as the worst.
        epochs: of those recorded; none: of 2, 6, 17, 50 those that were, and the last.
        space: of the configurations; None: what they show, see `space_of`.
        scale: importances are shares of the variance of "ranks", which a few huge losses do not decide and which all
            monotone transformations of a tag share, or of the "values" themselves.
        seed: of the forests.

    Raises:
        UnknownNameError: a data set, the tag or the scale does not exist.
        DataError: the tag is no number, or all configurations of a data set are equal.
        BudgetError: an epoch is not recorded.
    """
    if scale not in SCALES:
        raise UnknownNameError("scale of importances", scale, SCALES)
    tables = tuple(read_curves(benchmark, name, tag) for name in dataset_names or benchmark.get_dataset_names())
    compared = tuple(epochs) or _default_epochs(tables)
    correlations = _mean([rank_correlations(table, compared) for table in tables])
    top_correlations = _mean([rank_correlations(table, compared, top=TOP) for table in tables])
    found = {table.dataset_name: _effects(table, compared, space, scale, seed) for table in tables}
    importances = _mean([shares for shares, _ in found.values()])
    order = importances[compared[-1]].sort_values(ascending=False, kind="stable").index
    transfer, portfolios = _transfer(tables)
    return Analysis(
        tables=tables,
        epochs=compared,
        scale=scale,
        correlations=correlations,
        top_correlations=top_correlations,
        with_final=_mean([correlations_with_final(table) for table in tables]),
        crossings=_mean([crossings(table) for table in tables]),
        importances=importances.loc[order],
        effects={name: effects for name, (_, effects) in found.items()},
        distribution=final_distribution(tables),
        transfer=transfer,
        portfolios=portfolios,
    )


def _default_epochs(tables: Sequence[CurveTable]) -> tuple[int, ...]:
    common = set.intersection(*(set(table.epochs) for table in tables))
    if not common:
        raise DataError("The data sets have no epoch in common; analyse them one by one.")
    return tuple(sorted((set(DEFAULT_EPOCHS) & common) | {max(common)}))


def _effects(
    table: CurveTable, epochs: Sequence[int], space: ConfigurationSpace | None, scale: str, seed: int
) -> tuple[pd.DataFrame, Effects]:
    """Importances by epoch, and what the last epoch says in detail."""

    def fanova(epoch: int) -> Fanova:
        return Fanova(table.configs, _scaled(table.at(epoch), scale), space=space, seed=seed)

    last = fanova(epochs[-1])
    of_last = last.importances()
    shares = {epoch: fanova(epoch).importances() for epoch in epochs[:-1]} | {epochs[-1]: of_last}
    best = table.configs[int(np.argmin(table.at(epochs[-1])))]
    marginal = {name: last.effect(name) for name in of_last.index}
    return pd.DataFrame(shares), Effects(of_last, last.pairs(), marginal, last.local_importances(best))


def _scaled(losses: FloatArray, scale: str) -> FloatArray:
    return ranks(losses) if scale == "ranks" else losses


def _transfer(tables: Sequence[CurveTable]) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """What transfers; None where there is nothing to compare."""
    try:
        n_common = regret_matrix(tables).shape[1]
    except DataError:
        return None, None
    return transfer_regrets(tables), portfolio_transfer(tables, min(PORTFOLIO_SIZE, n_common))


def _mean(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean of frames, cell by cell, in the order of the first; only rows that all have where these are epochs."""
    grouped = pd.concat(frames).groupby(level=0, sort=False)
    return grouped.mean()
