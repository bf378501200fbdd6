"""Learning curves of many configurations on many data sets: reading, analysing, and searching in simulated time.

`lcbench.Benchmark(path)` answers the calls of the original LCBench reader. `save` and `convert` write its format and a
compact one.
"""

from lcbench.benchmark import Benchmark
from lcbench.files import convert, open_storage, save
from lcbench.storage import RunRecord, named_runs

__all__ = ["Benchmark", "RunRecord", "convert", "named_runs", "open_storage", "save"]
