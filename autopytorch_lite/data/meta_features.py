"""Numbers that describe a data set."""

from __future__ import annotations

import numpy as np

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.types import DatasetInfo


def meta_features(dataset: Dataset) -> dict[str, float]:
    """Simple meta-features of a data set, all finite.

    Returns:
        n_rows, n_columns, n_numeric, n_categorical, n_outputs: counts after encoding (dates expanded).
        log_n_rows, log_n_columns, log_dimensionality: natural logarithms; the last of columns per row.
        categorical_share, missing_share, rows_with_missing_share: between 0 and 1.
        mean_cardinality, max_cardinality: levels of categorical columns; 0 without any.
        class_entropy (bits), class_imbalance (largest class count over smallest), majority_share, minority_share:
            0 for regression.
        target_skewness: mean over targets; 0 for classification.
        is_classification: 1 or 0.
    """
    info = dataset.info
    n_columns = info.n_numeric + info.n_categorical
    return {
        "n_rows": float(info.n_rows),
        "n_columns": float(n_columns),
        "n_numeric": float(info.n_numeric),
        "n_categorical": float(info.n_categorical),
        "n_outputs": float(info.n_outputs),
        "log_n_rows": float(np.log(info.n_rows)),
        "log_n_columns": float(np.log(n_columns)),
        "log_dimensionality": float(np.log(n_columns / info.n_rows)),
        "categorical_share": info.n_categorical / n_columns,
        "mean_cardinality": float(np.mean(info.cardinalities)) if info.cardinalities else 0.0,
        "max_cardinality": float(max(info.cardinalities, default=0)),
        "is_classification": float(info.task.is_classification),
        **_missing(dataset),
        **_classes(info),
        "target_skewness": 0.0 if info.task.is_classification else _skewness(dataset),
    }


def _missing(dataset: Dataset) -> dict[str, float]:
    missing = np.hstack([np.isnan(dataset.table.numeric), dataset.table.categorical < 0])
    return {"missing_share": float(missing.mean()), "rows_with_missing_share": float(missing.any(axis=1).mean())}


def _classes(info: DatasetInfo) -> dict[str, float]:
    names = ("class_entropy", "class_imbalance", "majority_share", "minority_share")
    if not info.task.is_classification:
        return dict.fromkeys(names, 0.0)
    shares = np.array(info.class_counts) / info.n_rows
    values = (-(shares * np.log2(shares)).sum(), shares.max() / shares.min(), shares.max(), shares.min())
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _skewness(dataset: Dataset) -> float:
    centred = dataset.y - dataset.y.mean(axis=0)
    return float(np.mean((centred**3).mean(axis=0) / centred.std(axis=0) ** 3))
