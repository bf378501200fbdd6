"""Models that replace training: fitted to recorded learning curves, or read from YAHPO Gym."""

from lcbench.surrogate.held_out import evaluate
from lcbench.surrogate.surrogate import Surrogate
from lcbench.surrogate.yahpo import YahpoSurrogate

__all__ = ["Surrogate", "YahpoSurrogate", "evaluate"]
