"""Which hyperparameters the losses of a run vary with most: a share of variance, enough to choose what to draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from autopytorch_lite.history.trial import Finished
from autopytorch_lite.types import Config, ConfigValue, FloatArray

_MAX_BINS = 5


def loss_ranks(lines: Sequence[Finished]) -> FloatArray:
    """Rank of each loss among those of the same budget, scaled to [0, 1]; shape (n_lines,), 0 is best.

    Ranks make budgets comparable and keep a few huge losses from deciding everything.
    """
    ranks = np.full(len(lines), 0.5)
    budgets = np.array([line.key.budget for line in lines])
    losses = np.array([line.loss for line in lines], dtype=float)
    for budget in np.unique(budgets):
        of_budget = np.flatnonzero(budgets == budget)
        if len(of_budget) > 1:
            order = losses[of_budget].argsort(kind="stable").argsort(kind="stable")
            ranks[of_budget] = order / (len(of_budget) - 1)
    return ranks


def explained_share(values: Sequence[ConfigValue | None], ranks: FloatArray) -> float:
    """Share of the variance of loss ranks that one hyperparameter explains, corrected for its number of groups.

    Numbers are cut into at most five groups of equal size. Rows where the hyperparameter is inactive (None) are left
    out, and the share is multiplied by that of the active rows, so that a condition is not counted as importance.

    Args:
        values: one per evaluation.
        ranks: float array, shape (n_evaluations,).

    Returns:
        A number in [0, 1]; 0 where nothing can be said.

    Source: the epsilon-squared effect size of a one-way layout (Kelley, 1935).
    """
    active = np.array([value is not None for value in values], dtype=bool)
    groups = _groups([value for value in values if value is not None])
    n, n_groups = int(active.sum()), len(set(groups))
    if n_groups < 2 or n <= n_groups:
        return 0.0
    y = np.asarray(ranks, dtype=float)[active]
    total = float(((y - y.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    codes = np.array(groups)
    between = sum(
        (codes == group).sum() * float((y[codes == group].mean() - y.mean()) ** 2) for group in np.unique(codes)
    )
    within = (total - between) / (n - n_groups)
    return max(0.0, float((between - (n_groups - 1) * within) / total)) * n / len(active)


def _groups(values: Sequence[ConfigValue]) -> list[int]:
    distinct = sorted(set(values), key=lambda value: (str(type(value)), value))
    if len(distinct) <= _MAX_BINS or any(isinstance(value, str | bool) for value in values):
        return [distinct.index(value) for value in values]
    edges = np.quantile(np.array(values, dtype=float), np.linspace(0, 1, _MAX_BINS + 1)[1:-1])
    return [int(group) for group in np.searchsorted(edges, np.array(values, dtype=float), side="right")]


def merged_configs(configs: Sequence[Config]) -> list[Config]:
    """Configurations in which the alternatives of a choice share the names they have in common.

    Where both optimizers have a learning rate, "optimizer:sgd:learning_rate" and "optimizer:adam:learning_rate" become
    "optimizer:*:learning_rate": of alternatives at most one is active, so nothing is lost but which one it was.
    """
    components: dict[str, set[str]] = {}
    kinds: dict[str, set[bool]] = {}
    for config in configs:
        for name, value in config.items():
            common = _common_name(name)
            components.setdefault(common, set()).add(name)
            kinds.setdefault(common, set()).add(isinstance(value, str | bool))
    shared = {common for common, names in components.items() if len(names) > 1 and len(kinds[common]) == 1}
    return [
        {common if (common := _common_name(name)) in shared else name: value for name, value in config.items()}
        for config in configs
    ]


def _common_name(name: str) -> str:
    parts = name.split(":")
    return f"{parts[0]}:*:{parts[-1]}" if len(parts) == 3 else name


def rank_hyperparameters(configs: Sequence[Config], ranks: FloatArray) -> list[tuple[str, float]]:
    """Hyperparameters that took more than one value, with their `explained_share`, most important first.

    Args:
        configs: one per evaluation.
        ranks: of their losses, float array, shape (n_evaluations,); see `loss_ranks`.
    """
    shares = []
    for name in _varying(configs):
        share = explained_share([config.get(name) for config in configs], ranks)
        shares.append((name, share))
    return sorted(shares, key=lambda item: (-item[1], item[0]))


def _varying(configs: Iterable[Config]) -> list[str]:
    values: dict[str, set[ConfigValue]] = {}
    for config in configs:
        for name, value in config.items():
            values.setdefault(name, set()).add(value)
    return [name for name, distinct in values.items() if len(distinct) > 1]
