"""What recorded runs say: which hyperparameters matter when, what early epochs are worth, and what transfers."""

from lcbench.analysis.budgets import correlations_with_final, crossings, rank_correlations
from lcbench.analysis.fanova import Fanova
from lcbench.analysis.performance import final_distribution, portfolio_transfer, regret_matrix, transfer_regrets
from lcbench.analysis.summary import Analysis, analyse

__all__ = [
    "Analysis",
    "Fanova",
    "analyse",
    "correlations_with_final",
    "crossings",
    "final_distribution",
    "portfolio_transfer",
    "rank_correlations",
    "regret_matrix",
    "transfer_regrets",
]
