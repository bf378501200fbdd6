"""How good random configurations are in the end, and what is good on one data set is worth on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import gammaln

from autopytorch_lite.errors import DataError
from autopytorch_lite.portfolio.selection import greedy_order, regret_after
from autopytorch_lite.types import Config, FloatArray, IntArray
from lcbench.curves import CurveTable

_QUANTILES = {"best": 0.0, "best 5%": 0.05, "best 25%": 0.25, "median": 0.5, "worst 25%": 0.75, "worst 5%": 0.95}


def final_distribution(tables: Sequence[CurveTable]) -> pd.DataFrame:
    """Quantiles of the last value of all runs, in units of the tag.

    Returns:
        One row per data set; columns "runs", "best", "best 5%" (a run that is better than all but 5 %), "best 25%",
        "median", "worst 25%", "worst 5%", "worst", and "near best": the share of runs within 1 % of the way from the
        best to the worst.
    """
    rows = []
    for table in tables:
        final, span = table.final, float(np.ptp(table.final))
        values = {name: float(np.quantile(final, level)) for name, level in {**_QUANTILES, "worst": 1.0}.items()}
        in_units = {name: value if table.is_loss else -value for name, value in values.items()}
        near = float(np.mean(final <= final.min() + 0.01 * span))
        rows.append({"data set": table.dataset_name, "runs": len(final), **in_units, "near best": near})
    return pd.DataFrame(rows).set_index("data set")


def transfer_regrets(tables: Sequence[CurveTable]) -> pd.DataFrame:
    """How good each data set's best configuration is on the others.

    Returns:
        Rows: where the configuration is best; columns: where it is used; values: its normalised regret there, in
        [0, 1], see `regret_matrix`.

    Raises:
        DataError: there are fewer than two data sets, or too few configurations in common.
    """
    regrets, names = regret_matrix(tables), [table.dataset_name for table in tables]
    best = regrets.argmin(axis=1)
    found = pd.DataFrame(regrets[:, best].T, index=names, columns=names)
    found.index.name = "best on"
    return found


def portfolio_transfer(tables: Sequence[CurveTable], size: int = 16) -> pd.DataFrame:
    """What greedy portfolios of all other data sets are worth on a new one.

    For each data set a portfolio is selected on the others only. After each of its members the best normalised regret
    so far is compared with that of as many random configurations, which is an expected value, not a draw.

    Returns:
        Rows: data sets. Columns: pairs of "portfolio" or "random" and the number of members, 1 to `size`.

    Raises:
        DataError: there are fewer than two data sets, or fewer configurations in common than members.
    """
    regrets = regret_matrix(tables)
    n_configs = regrets.shape[1]
    if n_configs < size:
        raise DataError(f"A portfolio of {size} needs as many configurations in common; there are {n_configs}.")
    rows = {}
    for row, table in enumerate(tables):
        members = greedy_order(np.delete(regrets, row, axis=0), size)
        rows[table.dataset_name] = [*regret_after(regrets[[row]], members)[0], *_expected_best(regrets[row], size)]
    columns = pd.MultiIndex.from_product([["portfolio", "random"], range(1, size + 1)])
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    found.index.name = "data set"
    return found


def regret_matrix(tables: Sequence[CurveTable]) -> FloatArray:
    """Normalised regrets after the last epoch of the configurations that all data sets have in common.

    Returns:
        float64, shape (n_tables, n_common), in [0, 1]: (loss - best) / (worst - best) over the common configurations.

    Raises:
        DataError: there are fewer than two data sets, or fewer than two configurations in common.
    """
    if len(tables) < 2:
        raise DataError(f"What transfers is compared between at least two data sets, got {len(tables)}.")
    numbers = [{_identity(config): row for row, config in enumerate(table.configs)} for table in tables]
    common = [key for key in numbers[0] if all(key in of_table for of_table in numbers[1:])]
    if len(common) < 2:
        raise DataError("What transfers is compared for configurations that all data sets have; these have none.")
    losses = np.array([table.final[[rows[key] for key in common]] for table, rows in zip(tables, numbers, strict=True)])
    best = losses.min(axis=1, keepdims=True)
    span = losses.max(axis=1, keepdims=True) - best
    return (losses - best) / np.where(span > 0, span, 1.0)


def _identity(config: Config) -> frozenset[tuple[str, object]]:
    return frozenset(config.items())


def _expected_best(regrets: FloatArray, size: int) -> FloatArray:
    """Expected smallest of 1, 2, ... values drawn without replacement, float64, shape (size,)."""
    ordered, n = np.sort(regrets), len(regrets)
    worse = np.arange(n - 1, -1, -1)  # how many are behind each
    found = []
    for k in range(1, size + 1):
        possible = worse >= k - 1
        logs = _log_choose(worse[possible], k - 1) - _log_choose(np.array([n]), k)
        found.append(float((ordered[possible] * np.exp(logs)).sum()))
    return np.array(found)


def _log_choose(n: IntArray, k: int) -> FloatArray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
