"""Metrics of many networks on all three parts of a table at once, by the tags of the original files."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import torch
from torch import Tensor

from autopytorch_lite.types import FloatArray

PARTS = ("train", "val", "test")


class Evaluation:
    """Scores predictions of K networks for all rows of a table.

    Accuracies are in percent, balanced accuracies in [0, 1], cross entropies in nats, errors in the target's units.

    Args:
        targets: of the training, validation and test rows in this order: class codes, int64 (n,), or values in original
            units, float64 (n, n_targets).
        n_rows: rows of each part.
        n_classes: 0 where targets are values.
    """

    def __init__(self, targets: Tensor, n_rows: Mapping[str, int], n_classes: int):
        self._targets = targets
        ends = list(accumulate(n_rows[part] for part in PARTS))
        self._slices = {part: slice(end - n_rows[part], end) for part, end in zip(PARTS, ends, strict=True)}
        self._n_classes = n_classes
        if n_classes:
            self._is_class = torch.nn.functional.one_hot(targets, n_classes).float()

    def __call__(self, predictions: Tensor) -> dict[str, FloatArray]:
        """Metric values, shape (K,), by "part_metric".

        Args:
            predictions: log-probabilities (K, n_classes, n), or values in original units (K, n_targets, n).
        """
        by_part = self._of_classes(predictions) if self._n_classes else self._of_values(predictions)
        return {name: values.double().cpu().numpy() for name, values in by_part.items()}

    def _of_classes(self, log_probabilities: Tensor) -> dict[str, Tensor]:
        n_networks = len(log_probabilities)
        codes = self._targets.expand(n_networks, 1, -1)
        cross_entropy = -log_probabilities.gather(1, codes).squeeze(1)
        is_hit = (-cross_entropy >= log_probabilities.amax(dim=1)).float()
        found = {}
        for part, rows in self._slices.items():
            hits = is_hit[:, rows] @ self._is_class[rows]
            n_rows = self._is_class[rows].sum(dim=0)
            found[f"{part}_cross_entropy"] = cross_entropy[:, rows].mean(dim=1, dtype=torch.float64)
            found[f"{part}_accuracy"] = 100 * hits.double().sum(dim=1) / n_rows.sum()
            found[f"{part}_balanced_accuracy"] = (hits.double() / n_rows)[:, n_rows > 0].mean(dim=1)
        return found

    def _of_values(self, values: Tensor) -> dict[str, Tensor]:
        squares = (values - self._targets.T).double().square()
        return {
            f"{part}_root_mean_squared_error": squares[:, :, rows].mean(dim=2).sqrt().mean(dim=1)
            for part, rows in self._slices.items()
        }
