"""From encoded tables to what learners beside the networks read.

`ColumnInputs` leaves columns as they are, for trees; `DenseInputs` imputes, encodes and scales them, for the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.components.embedding import EmbeddedColumns
from autopytorch_lite.pipeline.components.encoding import (
    OneHotEncoding,
    TargetEncoding,
    TargetStatistics,
    missing_as_level,
)
from autopytorch_lite.pipeline.components.imputation import MedianImputation
from autopytorch_lite.pipeline.components.scaling import Quantile, Standardize
from autopytorch_lite.pipeline.fast_transforms import FittedTransform, of_codes
from autopytorch_lite.pipeline.graph import Component
from autopytorch_lite.pipeline.hyperparameters import Categorical, Hyperparameter
from autopytorch_lite.pipeline.learner import Rows
from autopytorch_lite.pipeline.preprocessor import PreprocessingSteps, TabularPreprocessor
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.types import Array, ConfigValue, DatasetInfo, FloatArray, IntArray

FILE = "inputs.skops"

SCALING = "scaling"
ENCODING = "encoding"

VALUE_BOUND = 1e30
"""Numbers beyond are cut: libraries keep float32, and refuse what becomes infinite there."""

_SCALINGS: dict[str, tuple[Component, dict[str, ConfigValue]]] = {
    "standardize": (Standardize(), {}),
    "quantile": (Quantile(), {"split_ties": False}),
}
_ENCODINGS = {component.name: component for component in (OneHotEncoding(), TargetEncoding())}


class Inputs(ABC):
    """The step before a model. What it learns, it learns from training rows only."""

    @abstractmethod
    def fit(self, train: Rows, seed: int) -> None:
        """Learn from training rows; the same seed gives the same inputs."""

    def training(self, train: Rows) -> Array:
        """Inputs of the rows it was fitted on, or of the same rows after loading, shape (n, d)."""
        return self.transform(train.table)

    @abstractmethod
    def transform(self, table: EncodedTable) -> Array:
        """Inputs of any rows, shape (n, d)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`, which exists."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Inverse of `save`."""


class ColumnInputs(Inputs):
    """Numeric columns, then categorical ones as level codes or target statistics, float64; NaN is missing.

    A numeric column without a single training value is zero: binning needs a value. Codes of missing levels are NaN,
    statistics have a value for them.
    """

    def __init__(self, info: DatasetInfo, *, with_statistics: bool = False):
        self._cardinalities = info.cardinalities
        self._is_present: Array = np.ones(info.n_numeric, dtype=bool)
        n_classes = info.n_outputs if info.task.is_classification else 0
        self._statistics = TargetStatistics(n_classes, max_one_hot_levels=0) if with_statistics else None
        self._encoder: FittedTransform | None = None

    def fit(self, train: Rows, seed: int) -> None:
        """See `Inputs.fit`."""
        self._is_present = np.asarray(~np.isnan(train.table.numeric).all(axis=0))
        if self._statistics is not None:
            self._statistics.set_params(random_state=seed % 2**32).fit(self._levels(train.table), train.y)
            self._encoder = of_codes(self._statistics, self._cardinalities)

    def training(self, train: Rows) -> FloatArray:
        """See `Inputs.training`; the statistics of a row do not know its own target."""
        if self._statistics is None:
            return self.transform(train.table)
        return self._joined(train.table, self._statistics.fit_transform(self._levels(train.table), train.y))

    def transform(self, table: EncodedTable) -> FloatArray:
        """See `Inputs.transform`."""
        if self._encoder is not None:
            return self._joined(table, self._encoder.transform(self._levels(table)))
        return table.derived(self._name_of_columns, lambda: self._columns(table))

    def save(self, folder: Path) -> None:
        """See `Inputs.save`."""
        dump_objects(folder / FILE, {"is_present": self._is_present, "statistics": self._statistics})

    def load(self, folder: Path) -> None:
        """See `Inputs.load`."""
        parts = load_objects(folder / FILE, [TargetStatistics])
        self._is_present, self._statistics = parts["is_present"], parts["statistics"]
        self._encoder = None if self._statistics is None else of_codes(self._statistics, self._cardinalities)

    def _name_of_columns(self) -> tuple[str, bytes]:
        return "columns", self._is_present.tobytes()

    def _columns(self, table: EncodedTable) -> FloatArray:
        return self._joined(table, np.where(table.categorical < 0, np.nan, table.categorical))

    def _joined(self, table: EncodedTable, categories: FloatArray) -> FloatArray:
        numeric = np.clip(np.where(self._is_present, table.numeric, 0.0), -VALUE_BOUND, VALUE_BOUND)
        return np.hstack([numeric, categories])

    def _levels(self, table: EncodedTable) -> IntArray:
        return missing_as_level(table.categorical, self._cardinalities)


class DenseInputs(Inputs):
    """Imputed, encoded and scaled columns, float64, without gaps."""

    def __init__(self, steps: PreprocessingSteps, info: DatasetInfo):
        self._preprocessor = TabularPreprocessor(steps, info.cardinalities)

    def fit(self, train: Rows, seed: int) -> None:
        """See `Inputs.fit`."""
        self._preprocessor.fit(train.table, train.y, seed=seed)

    def training(self, train: Rows) -> FloatArray:
        """See `Inputs.training`; an encoding that learns from targets does not tell a row its own."""
        return self._preprocessor.training(train.table, train.y)[0].astype(np.float64)

    def transform(self, table: EncodedTable) -> FloatArray:
        """See `Inputs.transform`."""
        return self._preprocessor.transform(table)[0].astype(np.float64)

    def save(self, folder: Path) -> None:
        """See `Inputs.save`."""
        self._preprocessor.save(folder / FILE)

    def load(self, folder: Path) -> None:
        """See `Inputs.load`."""
        self._preprocessor.load(folder / FILE)


def dense_hyperparameters(info: DatasetInfo) -> tuple[Hyperparameter, ...]:
    """What `dense_inputs` lets be chosen: scaling of numbers, encoding of categories where there are any."""
    scaling = Categorical(SCALING, tuple(_SCALINGS))
    return (scaling, Categorical(ENCODING, tuple(_ENCODINGS))) if info.n_categorical else (scaling,)


def split_dense(values: Mapping[str, ConfigValue]) -> tuple[dict[str, ConfigValue], dict[str, ConfigValue]]:
    """The values of `dense_hyperparameters`, and the others."""
    dense = {name: value for name, value in values.items() if name in (SCALING, ENCODING)}
    return dense, {name: value for name, value in values.items() if name not in dense}


def dense_inputs(values: Mapping[str, ConfigValue], info: DatasetInfo) -> DenseInputs:
    """Unfitted inputs, from the values of `dense_hyperparameters`."""
    scaling, own_values = _SCALINGS[str(values[SCALING])]
    steps = PreprocessingSteps(
        imputer=MedianImputation().build({}, info),
        encoding=_ENCODINGS[str(values[ENCODING])].build({}, info) if info.n_categorical else None,
        scaler=scaling.build(own_values, info),
        features=None,
        embedded=EmbeddedColumns(),
    )
    return DenseInputs(steps, info)
