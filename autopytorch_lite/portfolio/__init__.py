"""What earlier tasks teach: matrices of configurations x tasks, and portfolios chosen from them. Import from here."""

from autopytorch_lite.portfolio.earlier import EarlierRun
from autopytorch_lite.portfolio.matrix import PerformanceMatrix
from autopytorch_lite.portfolio.portfolio import Expected, Portfolio, select
from autopytorch_lite.portfolio.selection import leave_one_task_out

__all__ = ["EarlierRun", "Expected", "PerformanceMatrix", "Portfolio", "leave_one_task_out", "select"]
