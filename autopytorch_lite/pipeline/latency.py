"""How long predicting takes: the same call again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.learner import Learner

PREDICT_MS = "predict_ms"
"""Where the record of a trial says how many milliseconds one row takes it, all folds together."""


def times_ms(call: Callable[[int], object], *, n_calls: int, max_seconds: float) -> list[float]:
    """Milliseconds that `call(0)`, `call(1)`, ... take; a call before them loads what is loaded once.

    Args:
        call: is given the number of the call.
        n_calls: how often, at most.
        max_seconds: after which no further call begins; one is timed in any case.
    """
    call(0)
    times: list[float] = []
    while len(times) < n_calls and (not times or sum(times) < 1000 * max_seconds):
        start = time.perf_counter()
        call(len(times))
        times.append(1000 * (time.perf_counter() - start))
    return times


def one_row_ms(learner: Learner, table: EncodedTable) -> float:
    """Milliseconds that a fitted learner takes for one row, one of `table`'s first ones after the other.

    The fastest call counts, as other workers disturb the rest: who looks too fast is measured again before anybody
    relies on it, who looks too slow never is.
    """
    rows = [table.take(slice(i, i + 1)) for i in range(min(len(table), 5))]
    return min(times_ms(lambda i: learner.predict(rows[i % len(rows)]), n_calls=7, max_seconds=0.02))
