"""From encoded tables to what a network reads: a dense float32 table, and the codes of embedded columns."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.errors import DivergedError
from autopytorch_lite.pipeline.components.embedding import EmbeddedColumns
from autopytorch_lite.pipeline.components.encoding import Encoding, encoded_widths, missing_as_level
from autopytorch_lite.pipeline.components.feature_preprocessing import FeatureStep
from autopytorch_lite.pipeline.fast_transforms import FittedTransform, of_codes, of_numbers
from autopytorch_lite.pipeline.serialize import dump_objects, load_objects
from autopytorch_lite.types import Array, FloatArray, IntArray

INPUT_BOUND = 1e100
"""Numbers beyond are cut before anything is computed, so that no square overflows."""

SCALED_BOUND = 1e3
"""Scaled values beyond are cut: a column that left its training range by so much says no more by its size."""

OUTPUT_BOUND = 1e6
"""Unscaled and transformed values beyond are cut, so that float32 and squared losses hold them."""

CHUNK_ROWS = 8192
"""Rows transformed at once; bounds the memory taken besides the result."""


@dataclass(frozen=True)
class PreprocessingSteps:
    """What the graph built, not yet fitted.

    Attributes:
        imputer: numeric (n, p) with gaps -> (n, p) without.
        encoding: for categorical columns that are not embedded; None where the table has none.
        scaler: (n, p) -> (n, p), or None.
        features: transformation of the whole dense table, or None.
        embedded: columns left to the network.
    """

    imputer: Any
    encoding: Encoding | None
    scaler: Any | None
    features: FeatureStep | None
    embedded: EmbeddedColumns

    def classes(self) -> tuple[type, ...]:
        """The classes of what is fitted: the ones that a file of fitted parts may hold."""
        parts = (self.imputer, self.encoding.transformer if self.encoding else None, self.scaler)
        of_features = (self.features.transformer,) if self.features else ()
        return tuple(type(part) for part in parts if part is not None) + of_features


class TabularPreprocessor:
    """Imputation, encoding, scaling and transformation, fitted on training rows only.

    Every output is finite: |scaled value| <= `SCALED_BOUND`, |any value| <= `OUTPUT_BOUND`, undefined values are zero.

    Attributes:
        n_dense: columns of the dense table; known once fitted or restored.
        widths: the columns of the dense table that each feature has, in order; they sum to `n_dense`. What a
            transformation of the whole table makes has one each.
    """

    n_dense: int

    def __init__(self, steps: PreprocessingSteps, cardinalities: tuple[int, ...]):
        self._steps = steps
        self._cardinalities = np.asarray(cardinalities, dtype=np.int64)
        embedded = set(steps.embedded.columns)
        self._encoded = [j for j in range(len(cardinalities)) if j not in embedded]
        self._imputer: FittedTransform | None = None
        self._encoder: FittedTransform | None = None
        self._scaler: FittedTransform | None = None
        self._features: Any = None
        self._digest: str | None = None

    def fit(self, table: EncodedTable, y: Array, *, seed: int) -> TabularPreprocessor:
        """Learn means, levels, scales and projections from training rows; the same seed gives the same fit.

        Args:
            table: the rows.
            y: their class codes or targets, as `Rows.y`; only an encoding that learns from targets reads them.
            seed: of everything random.
        """
        with quiet():
            self._fit_columns(table, y, seed)
            if self._steps.features is not None:
                self._features = self._fit_features(self._steps.features, table, seed)
            self.n_dense = self._dense(table.numeric[:1], table.categorical[:1]).shape[1]
        return self

    def transform(self, table: EncodedTable) -> tuple[FloatArray, IntArray]:
        """The dense table, float32 (n, n_dense), and the codes of embedded columns, int64 (n, q), -1 for missing."""
        return table.derived(self._fingerprint, lambda: self._transformed(table, None))

    def training(self, table: EncodedTable, y: Array) -> tuple[FloatArray, IntArray]:
        """As `transform`, for the very rows of the fit: what was learned from targets does not tell a row its own."""
        if self._encoder is None or self._steps.encoding is None or not self._steps.encoding.learns_targets:
            return self.transform(table)
        with quiet():
            encoded = self._encoder.fitted.fit_transform(self._codes(table.categorical), y)
        return self._transformed(table, encoded)

    def _transformed(self, table: EncodedTable, encoded: FloatArray | None) -> tuple[FloatArray, IntArray]:
        """Both parts, chunk by chunk; `encoded` are the categorical columns, shape (n, w), if they are known."""
        dense = np.empty((len(table), self.n_dense), dtype=np.float32)
        with quiet():
            for start in range(0, len(table), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                known = None if encoded is None else encoded[rows]
                dense[rows] = self._dense(table.numeric[rows], table.categorical[rows], known)
        codes = table.categorical[:, list(self._steps.embedded.columns)]
        return dense, np.ascontiguousarray(codes, dtype=np.int64)

    @property
    def widths(self) -> tuple[int, ...]:
        """See the class."""
        of_codes = () if self._features is not None or self._scales_codes else self._widths_of_codes()
        return (1,) * (self.n_dense - sum(of_codes)) + of_codes

    def save(self, path: Path) -> None:
        """Write the fitted parts."""
        dump_objects(path, self._parts() | {"n_dense": self.n_dense})

    def load(self, path: Path) -> TabularPreprocessor:
        """Inverse of `save`, on a preprocessor of the same steps."""
        parts = load_objects(path, self._steps.classes())
        self._imputer, self._scaler = (
            None if parts[n] is None else of_numbers(parts[n]) for n in ("imputer", "scaler")
        )
        self._encoder = None if parts["encoder"] is None else self._of_codes(parts["encoder"])
        self._features, self.n_dense = parts["features"], parts["n_dense"]
        return self

    def _parts(self) -> dict[str, Any]:
        """What was fitted, as scikit-learn's objects."""
        fast = {"imputer": self._imputer, "encoder": self._encoder, "scaler": self._scaler}
        fitted = {name: None if part is None else part.fitted for name, part in fast.items()}
        return fitted | {"features": self._features}

    def _fingerprint(self) -> str:
        """Equal for preprocessors that make the same of every table."""
        if self._digest is None:
            self._digest = joblib.hash((self._parts(), self._steps.embedded.columns, self._scales_codes))
        return self._digest

    def _fit_columns(self, table: EncodedTable, y: Array, seed: int) -> None:
        if table.numeric.shape[1]:
            self._imputer = of_numbers(self._steps.imputer.fit(_cut(table.numeric, INPUT_BOUND)))
        encoding = self._steps.encoding
        if self._encoded and encoding is not None and encoding.transformer is not None:
            encoder = _seeded(encoding.transformer, seed)
            self._encoder = self._of_codes(encoder.fit(self._codes(table.categorical), y))
        numbers = self._numbers(table.numeric, table.categorical)
        if numbers.shape[1] and self._steps.scaler is not None:
            self._scaler = of_numbers(self._steps.scaler.fit(numbers))

    def _fit_features(self, step: FeatureStep, table: EncodedTable, seed: int) -> Any | None:
        """The fitted transformation, or None where it leaves these rows as they are."""
        sample = _sample_rows(table, step.max_fit_rows, seed)
        X = self._columns(sample.numeric, sample.categorical).astype(np.float64)
        arguments = step.arguments(X) if X.shape[1] else None
        if arguments is None:
            return None
        transformer = _seeded(step.transformer(**arguments), seed)
        try:
            return transformer.fit(X)
        except (ValueError, np.linalg.LinAlgError) as error:
            if isinstance(error, ValueError) and "infs or NaNs" not in str(error):
                raise
            name = type(transformer).__name__
            raise DivergedError(f"{name} must find a finite solution, and found none on these rows: {error}") from error

    def _dense(self, numeric: FloatArray, categorical: IntArray, encoded: FloatArray | None = None) -> FloatArray:
        X = self._columns(numeric, categorical, encoded)
        if self._features is None:
            return X
        return _finite(self._features.transform(X.astype(np.float64)), OUTPUT_BOUND)

    def _columns(self, numeric: FloatArray, categorical: IntArray, encoded: FloatArray | None = None) -> FloatArray:
        """Imputed, encoded and scaled columns, float32 (n, d)."""
        numbers = self._numbers(numeric, categorical)
        if self._scaler is not None:
            numbers = self._scaler.transform(numbers)
        numbers = _finite(numbers, OUTPUT_BOUND if self._scaler is None else SCALED_BOUND)
        if self._scales_codes or not self._encoded:
            return numbers
        codes = self._encode(categorical) if encoded is None else encoded
        return np.hstack([numbers, _finite(codes, OUTPUT_BOUND)])

    def _numbers(self, numeric: FloatArray, categorical: IntArray) -> FloatArray:
        """What the scaler sees, float64: imputed numeric columns, and encoded ones that are to be scaled."""
        numbers = numeric if self._imputer is None else self._imputer.transform(_cut(numeric, INPUT_BOUND))
        return np.hstack([numbers, self._encode(categorical)]) if self._scales_codes and self._encoded else numbers

    def _of_codes(self, encoder: Any) -> FittedTransform:
        return of_codes(encoder, self._cardinalities[self._encoded])

    def _widths_of_codes(self) -> tuple[int, ...]:
        return () if self._encoder is None else encoded_widths(self._encoder.fitted)

    @property
    def _scales_codes(self) -> bool:
        return self._steps.encoding is not None and self._steps.encoding.scaled

    def _encode(self, categorical: IntArray) -> FloatArray:
        """Numbers for the columns that are not embedded."""
        codes = self._codes(categorical)
        return codes.astype(np.float64) if self._encoder is None else self._encoder.transform(codes)

    def _codes(self, categorical: IntArray) -> IntArray:
        """Codes of the columns that are not embedded, int64; missing becomes one above the largest level."""
        return missing_as_level(categorical[:, self._encoded], self._cardinalities[self._encoded])


def _seeded(transformer: Any, seed: int) -> Any:
    """The transformer, with the seed if it takes one."""
    if "random_state" in transformer.get_params():
        transformer.set_params(random_state=seed % 2**32)
    return transformer


class _IgnoredWarnings:
    """A block without warnings that several threads may be in at once; the one that leaves last restores the filters.

    Python's own block, left by two threads in the order in which they came, would leave the filters of one behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._caught.__exit__(None, None, None)


_IGNORED_WARNINGS = _IgnoredWarnings()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence about constant columns, solvers that stop early, rare classes and overflow."""
    with _IGNORED_WARNINGS, np.errstate(all="ignore"):
        yield


def _sample_rows(table: EncodedTable, max_rows: int | None, seed: int) -> EncodedTable:
    if max_rows is None or len(table) <= max_rows:
        return table
    rng = np.random.default_rng(seed)
    return table.take(np.sort(rng.choice(len(table), size=max_rows, replace=False)))


def _cut(values: FloatArray, bound: float) -> FloatArray:
    """Values within +-bound; NaN stays."""
    return np.clip(values, -bound, bound)


def _finite(values: FloatArray, bound: float) -> FloatArray:
    """Values within +-bound as float32; NaN becomes zero."""
    return np.nan_to_num(np.clip(values, -bound, bound), nan=0.0, copy=False).astype(np.float32)
