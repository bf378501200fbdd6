"""Comparing systems over tables: ranks, normalised scores, wins, and which differences count. Pure functions.

Everywhere `losses` is float64, shape (n_tables, n_systems), lower is better; NaN: the system failed on the table,
which is worse than everything else.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2, rankdata, studentized_range

from autopytorch_lite.types import FloatArray
from benchmarks.hpo.aggregate import Interval, intervals


def ranks(losses: FloatArray) -> FloatArray:
    """Rank of each system on each table, 1 is best, ties share a rank; same shape as `losses`."""
    return np.asarray(rankdata(_with_worst(losses), axis=1), dtype=np.float64)


def normalised_scores(losses: FloatArray) -> FloatArray:
    """1 for the best system of a table, 0 for the worst that did not fail and for failures; same shape as `losses`.

    Linear in the loss between the two; 1 for all that did not fail where they are equal.

    Source: McElfresh et al., "When do neural nets outperform boosted trees on tabular data?", NeurIPS 2023, section 3.
    """
    finite = np.where(np.isnan(losses), -np.inf, losses)
    worst = finite.max(axis=1, keepdims=True)
    best = _with_worst(losses).min(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(worst > best, (worst - losses) / (worst - best), 1.0)
    return np.where(np.isnan(losses), 0.0, scores)


def win_matrix(losses: FloatArray) -> list[list[Interval]]:
    """Share of tables on which the system of the row has a lower loss than that of the column; a tie is half a win.

    Returns:
        Rows of means with 95 % bootstrap intervals, tables drawn with replacement; 0.5 on the diagonal.
    """
    filled = _with_worst(losses)
    mine, theirs = filled[:, :, None], filled[:, None, :]
    wins = (mine < theirs) + 0.5 * (mine == theirs)  # shape (n_tables, n_systems, n_systems)
    n_systems = losses.shape[1]
    found = intervals(wins.reshape(len(losses), -1))
    return [found[i * n_systems : (i + 1) * n_systems] for i in range(n_systems)]


def friedman_p(rank_table: FloatArray) -> float:
    """Probability of mean ranks at least as different if all systems were equal. `rank_table`: of `ranks`.

    Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006), section 3.2.2.
    """
    n_tables, n_systems = rank_table.shape
    spread = float((rank_table.mean(axis=0) ** 2).sum()) - n_systems * (n_systems + 1) ** 2 / 4
    return float(chi2.sf(12 * n_tables / (n_systems * (n_systems + 1)) * spread, n_systems - 1))


def critical_difference(n_systems: int, n_tables: int, level: float = 0.05) -> float:
    """Mean ranks that are further apart differ, by the two-sided Nemenyi test.

    Source: Demsar (2006), section 3.2.2: q sqrt(k (k + 1) / (6 N)), q the Studentised range divided by sqrt(2).
    """
    q = studentized_range.ppf(1 - level, n_systems, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_systems * (n_systems + 1) / (6 * n_tables)))


def indistinct_groups(mean_ranks: FloatArray, difference: float) -> list[list[int]]:
    """Largest sets of systems whose mean ranks lie within the critical difference; sets of one are left out.

    Args:
        mean_ranks: shape (n_systems,).
        difference: of `critical_difference`.

    Returns:
        Indices of systems, best rank first.
    """
    order = np.argsort(mean_ranks, kind="stable")
    groups: list[list[int]] = []
    for start in range(len(order)):
        group = [int(i) for i in order[start:] if mean_ranks[i] - mean_ranks[order[start]] <= difference]
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups


def _with_worst(losses: FloatArray) -> FloatArray:
    """Failures as infinite losses."""
    return np.where(np.isnan(losses), np.inf, losses)
