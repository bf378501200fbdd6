"""Learning curves of many configurations on many data sets: reading, analysing, and searching in simulated time.

`lcbench.Benchmark(path)` answers the calls of the original LCBench reader.
"""

from lcbench.benchmark import Benchmark

__all__ = ["Benchmark"]
