"""Learning curves of many configurations on many data sets: reading, analysing, and searching in simulated time.

`lcbench.Benchmark(path)` answers the calls of the original LCBench reader. `save` and `convert` write its format and a
compact one. `lcbench.Surrogate.fit(benchmark)` predicts the curves of other configurations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lcbench.benchmark import Benchmark
from lcbench.files import convert, open_storage, save
from lcbench.storage import RunRecord, named_runs

if TYPE_CHECKING:
    from lcbench.surrogate import Surrogate, YahpoSurrogate

__all__ = [
    "Benchmark",
    "RunRecord",
    "Surrogate",
    "YahpoSurrogate",
    "convert",
    "named_runs",
    "open_storage",
    "save",
]


def __getattr__(name: str) -> Any:
    """The surrogates load scikit-learn, so they wait until they are asked for (PEP 562)."""
    if name in ("Surrogate", "YahpoSurrogate"):
        from lcbench import surrogate

        return getattr(surrogate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
