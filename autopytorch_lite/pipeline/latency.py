"""How long a row takes to predict, and beside it, how fast the machine is at that moment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from autopytorch_lite.data.schema import EncodedTable, TableSchema
from autopytorch_lite.pipeline.learner import Learner

PREDICT_MS = "predict_ms"
"""Where the record of a trial says how many milliseconds one row takes it, all folds together."""

READ_MS = "read_ms"
"""Where the record of a trial says how many milliseconds reading a row took then, which is the same work for all."""

N_CALLS = 5
"""How often a trial's model predicts a row to be timed, after a first time that is not."""

MAX_SECONDS = 0.02
"""After which it does not begin again; once it does in any case."""


def row_ms(learner: Learner, schema: TableSchema, rows: Sequence[Any]) -> tuple[float, float]:
    """Milliseconds that reading a row takes, and that a fitted learner then takes to predict it: medians, in turns.

    Args:
        learner: a fitted one.
        schema: reads raw rows.
        rows: raw tables of one row each.
    """
    learner.predict(schema.encode(rows[0]))
    turns: list[tuple[float, float]] = []
    begin = time.perf_counter()
    while len(turns) < N_CALLS and (not turns or time.perf_counter() - begin < MAX_SECONDS):
        _, read_s, encoded = read_twice(schema, rows[len(turns) % len(rows)])
        start = time.perf_counter()
        learner.predict(encoded)
        turns.append((read_s, time.perf_counter() - start))
    read_s, predict_s = (statistics.median(times) for times in zip(*turns, strict=True))
    return 1000 * read_s, 1000 * predict_s


def raw_rows(schema: TableSchema, table: EncodedTable) -> list[Any]:
    """Raw tables of one row each.

    The columns of a frame are arrays of their own, as they are where it was read from a file; one array of all numbers
    would be read in half the time.
    """
    raw = schema.decode(table)
    if isinstance(raw, pd.DataFrame):
        raw = pd.DataFrame(dict(raw.items()), copy=False)
    return [raw[i : i + 1] for i in range(len(table))]


def read_twice(schema: TableSchema, row: Any) -> tuple[float, float, EncodedTable]:
    """A row read, and the seconds that it took for the first and for the second time.

    How long the first takes depends on what ran before it: models displace it from the processor's caches, large ones
    more than small ones. The second tells the speed of the machine, wherever it is measured.
    """
    start = time.perf_counter()
    schema.encode(row)
    middle = time.perf_counter()
    encoded = schema.encode(row)
    return middle - start, time.perf_counter() - middle, encoded
