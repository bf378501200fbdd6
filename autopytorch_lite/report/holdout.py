"""Rows kept aside from the search: how they are chosen, and how predictions for them are scored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from autopytorch_lite.errors import DataError
from autopytorch_lite.metrics import standard_metrics
from autopytorch_lite.types import Array, FloatArray, IntArray, Task


@dataclass(frozen=True)
class SplitTable:
    """A table in two parts: rows to search on, and rows kept aside."""

    X: pd.DataFrame
    y: Any
    held_X: pd.DataFrame
    held_y: Any

    @property
    def fingerprint(self) -> str:
        """Hash of the rows kept aside; tells whether a table still splits in the same way."""
        digest = hashlib.sha256()
        for part in (self.held_X, pd.DataFrame(self.held_y)):
            digest.update(pd.util.hash_pandas_object(part.astype(str), index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]


def split_rows(X: pd.DataFrame, y: Any, fraction: float, *, stratify: bool, seed: int) -> SplitTable:
    """Keep a share of the rows aside, drawn at random; with `stratify` the same share of every class.

    Classes with a single row stay in the search.

    Args:
        X: table, n_rows rows.
        y: series or frame, n_rows rows.
        fraction: share to keep aside, between 0 and 1.
        stratify: whether `y` holds classes.
        seed: of the draw.

    Raises:
        DataError: the share is not between 0 and 1, or leaves one part without rows.
    """
    if not 0 < fraction < 1:
        raise DataError(f"The held-out share must lie between 0 and 1, got {fraction!r}.")
    rng = np.random.default_rng(seed)
    groups = pd.factorize(np.asarray(y))[0] if stratify else np.zeros(len(X), dtype=int)
    held = np.sort(np.concatenate([_drawn(np.flatnonzero(groups == g), fraction, rng) for g in np.unique(groups)]))
    if not 0 < len(held) < len(X):
        raise DataError(
            f"Holding out {fraction:g} of {len(X)} rows leaves one part without rows; choose another share."
        )
    kept = np.setdiff1d(np.arange(len(X)), held)
    return SplitTable(X.iloc[kept], y.iloc[kept], X.iloc[held], y.iloc[held])


def _drawn(rows: IntArray, fraction: float, rng: np.random.Generator) -> IntArray:
    n_held = min(round(fraction * len(rows)), len(rows) - 1)
    return rng.permutation(rows)[:n_held]


def score_rows(task: Task, targets: Array, predictions: FloatArray) -> dict[str, float]:
    """Every standard metric of a task, in its own direction; those without a finite value are left out.

    Args:
        task: what is predicted.
        targets: class codes (n_rows,), or values (n_rows, n_targets).
        predictions: class probabilities (n_rows, n_classes), or values (n_rows, n_targets).
    """
    n_outputs = predictions.shape[1]
    scores = {metric.name: metric.value(targets, predictions) for metric in standard_metrics(task, n_outputs)}
    return {name: score for name, score in scores.items() if np.isfinite(score)}
