"""Learning curves of many configurations on many data sets: reading them, and what later versions do with them.

`lcbench.Benchmark(path)` answers the calls of the original LCBench reader.
"""

from lcbench.benchmark import Benchmark

__all__ = ["Benchmark"]
