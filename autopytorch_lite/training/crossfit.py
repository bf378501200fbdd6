"""Predictions of validation rows that had no say in which epoch made them.

Early stopping keeps the epoch with the best score on the validation rows. The best of many noisy scores is too good:
predictions of that epoch for the same rows flatter the network, the more so the longer it trained and the fewer the
rows, and whoever compares it with models that chose nothing is misled. So each fifth of the rows is predicted by the
epoch that is best on the other four.

Source: cross-fitting, as in Chernozhukov et al., "Double/debiased machine learning", The Econometrics Journal 21, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from autopytorch_lite.types import Array, FloatArray, IntArray

N_PARTS = 5


def parts_of(targets: Array, seed: int) -> list[IntArray]:
    """Positions of the rows of each part; the parts are alike in their targets, of several in the first.

    Args:
        targets: class codes (n_rows,) or values (n_rows, n_targets).
        seed: non-negative.
    """
    first = targets if targets.ndim == 1 else targets[:, 0]
    n_rows = len(first)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(n_rows), first))
    rounds = rng.permuted(np.tile(np.arange(N_PARTS), (-(-n_rows // N_PARTS), 1)), axis=1)
    part = rounds.ravel()[:n_rows]
    return [np.sort(order[part == number]) for number in range(N_PARTS)]


@dataclass
class CrossFit:
    """Predictions of each part of some rows by the epoch so far that is best on all others; a fold over epochs.

    Attributes:
        best: for each part, the lowest score of the others.
        predictions: of all rows, shape (n_rows, n_outputs); None before the first epoch.
    """

    best: list[float] = field(default_factory=lambda: [math.inf] * N_PARTS)
    predictions: FloatArray | None = None

    def tell(
        self, predictions: FloatArray, parts: Sequence[IntArray], score: Callable[[IntArray], float], of_all: float
    ) -> None:
        """Take in an epoch.

        Args:
            predictions: of all rows.
            parts: positions of the rows of each.
            score: of the predictions at some positions, lower is better. Where it is undefined, as for a single class,
                all rows choose.
            of_all: score of all rows.
        """
        if self.predictions is None:
            self.predictions = predictions.copy()
        for number, part in enumerate(parts):
            others = np.delete(np.arange(len(predictions)), part)
            loss = score(others) if len(others) else math.nan
            loss = of_all if math.isnan(loss) else loss
            if loss < self.best[number]:
                self.best[number] = loss
                self.predictions[part] = predictions[part]
