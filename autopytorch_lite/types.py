"""Words that every layer shares: task, configuration, facts about a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ConfigValue: TypeAlias = str | int | float | bool
Config: TypeAlias = dict[str, ConfigValue]
"""One point of the joint space: full hyperparameter name -> value; inactive names are absent."""

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Whether targets are class codes."""
        return self is not Task.REGRESSION


@dataclass(frozen=True)
class DatasetInfo:
    """The facts about a data set that components and the space may depend on; plain data, JSON both ways.

    Attributes:
        task: what is predicted.
        n_rows: rows available for training and validation together.
        n_numeric: numeric columns after encoding (datetimes are expanded to parts).
        cardinalities: number of known levels of each categorical column, in order.
        n_outputs: classes (2 for binary) or regression targets.
        class_counts: rows per class; empty for regression.
        has_missing: whether any cell is missing.
    """

    task: Task
    n_rows: int
    n_numeric: int
    cardinalities: tuple[int, ...]
    n_outputs: int
    class_counts: tuple[int, ...] = ()
    has_missing: bool = False

    @property
    def n_categorical(self) -> int:
        """Number of categorical columns."""
        return len(self.cardinalities)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self) | {"task": self.task.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DatasetInfo:
        """Inverse of `to_json`."""
        return cls(
            task=Task(data["task"]),
            n_rows=int(data["n_rows"]),
            n_numeric=int(data["n_numeric"]),
            cardinalities=tuple(data["cardinalities"]),
            n_outputs=int(data["n_outputs"]),
            class_counts=tuple(data["class_counts"]),
            has_missing=bool(data["has_missing"]),
        )
