"""By how much the loss grows without a part of ours: of systems that lack it, or of ensembles selected without it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median

import numpy as np

from autopytorch_lite.errors import DataError
from benchmarks.hpo.aggregate import intervals
from benchmarks.markdown import table as markdown_table
from benchmarks.tabular.results import Row, RowKey, is_ok, key_of, row_loss

Losses = dict[str, float]
"""Losses on one table and seed, by what was left out."""

WHOLE = "nothing"
"""What is left out where all is there."""

_LEAST = 1e-9
"""Smaller losses are taken for this."""


def losses_of_systems(rows: Iterable[Row], whole: str, after_s: float | None = None) -> list[Losses]:
    """Losses by system, for each table and seed that a system with all parts has a loss on; its own under `WHOLE`.

    Args:
        rows: results; those without a loss are passed over, and all but the first of a system.
        whole: the system with all parts.
        after_s: what ensembles lost on validation rows after so many seconds of search; None: the loss on unseen rows.

    Raises:
        DataError: the system with all parts has no loss.
    """
    by_fit: dict[RowKey, Losses] = defaultdict(dict)
    for row in filter(is_ok, rows):
        loss = row_loss(row) if after_s is None else _loss_after(row, after_s)
        if loss is not None:
            system = WHOLE if row["system"] == whole else str(row["system"])
            by_fit[key_of(row)._replace(system="")].setdefault(system, loss)
    found = [losses for losses in by_fit.values() if WHOLE in losses]
    if not found:
        raise DataError(f"There is no result of {whole} to compare with.")
    return found


def _loss_after(row: Row, seconds: float) -> float | None:
    """What the ensemble of that time lost on validation rows; None if there was none."""
    trajectory = row.get("facts", {}).get("trajectory", ())
    return next((loss for at, loss in reversed(trajectory) if at <= seconds), None)


def worth_table(all_losses: Sequence[Losses], what: str) -> list[str]:
    """Markdown: by how much the loss grows, most first, on the tables and seeds where both losses are known.

    Means are geometric, intervals bootstrapped (95 %).

    Args:
        all_losses: of each table and seed.
        what: heading of the parts or systems.
    """
    parts = dict.fromkeys(part for losses in all_losses for part in losses if part != WHOLE)
    growths = {part: [_growth(losses, part) for losses in all_losses if part in losses] for part in parts}
    return markdown_table(
        [what, "loss", "95 % interval", "median", "worse on", "better on"],
        [[part, *_cells(growths[part])] for part in sorted(parts, key=lambda part: -fmean(growths[part]))],
    )


def _cells(growths: Sequence[float]) -> list[str]:
    interval = intervals(np.array(growths)[:, None])[0]
    n_worse, n_better = sum(growth > 0 for growth in growths), sum(growth < 0 for growth in growths)
    return [
        _percent(interval.mean),
        f"{_percent(interval.low)} to {_percent(interval.high)}",
        _percent(median(growths)),
        f"{n_worse} of {len(growths)}",
        str(n_better),
    ]


def _growth(losses: Losses, part: str) -> float:
    without, whole = (max(losses[name], _LEAST) for name in (part, WHOLE))
    return math.log(without / whole)


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f} %"
