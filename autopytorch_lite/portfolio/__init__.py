"""What earlier tasks teach: matrices of configurations x tasks, and portfolios chosen from them. Import from here."""

from autopytorch_lite.portfolio.matrix import PerformanceMatrix

__all__ = ["PerformanceMatrix"]
