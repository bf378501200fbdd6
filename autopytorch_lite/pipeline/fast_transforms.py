"""Fitted transformers of scikit-learn without its checks, which take most of the time of a single row.

What comes out is the same to the last bit. Inputs are what the preprocessor has prepared: float64 without infinities,
or codes within the levels that were counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, QuantileTransformer, StandardScaler

from autopytorch_lite.pipeline.components.encoding import TargetStatistics, encoded_widths
from autopytorch_lite.pipeline.components.scaling import NoisyQuantileTransformer
from autopytorch_lite.types import Array, FloatArray, IntArray

MAX_TABLE_CELLS = 5_000_000
"""Largest table of a code's outputs; an encoder that needs a larger one encodes rows itself."""

_EDGE = 1e-7
"""Values so close to the outermost quantiles are at the edge; scikit-learn's number."""


@dataclass(frozen=True)
class FittedTransform:
    """A fitted transformer and the fast way to do what its `transform` does.

    Attributes:
        fitted: scikit-learn's object, which is what is saved.
        transform: (n, p) -> (n, w), finite parts of the input unchanged.
    """

    fitted: Any
    transform: Callable[[Array], FloatArray]


def of_numbers(fitted: Any) -> FittedTransform:
    """For imputers, scalers and any other transformer of numbers; those not known here do it themselves."""
    make = _MAKERS.get(type(fitted))
    return FittedTransform(fitted, fitted.transform if make is None else make(fitted))


def of_codes(fitted: Any, cardinalities: Sequence[int] | IntArray) -> FittedTransform:
    """For encoders that treat every column for itself: their outputs for all codes of a column, looked up.

    Args:
        fitted: encoder of codes, int64 (n, q), from 0 to the column's cardinality, which stands for missing.
        cardinalities: of the columns.
    """
    owners = _owners(fitted)
    n_codes = 1 + int(np.max(cardinalities))
    if owners is None or n_codes * len(owners) > MAX_TABLE_CELLS:
        return FittedTransform(fitted, fitted.transform)
    codes = np.minimum(np.arange(n_codes)[:, None], np.asarray(cardinalities, dtype=np.int64))
    return FittedTransform(fitted, partial(_looked_up, fitted.transform(codes), owners))


def _owners(encoder: Any) -> IntArray | None:
    """For each output the column that it depends on; None where that is not known."""
    if isinstance(encoder, OneHotEncoder):
        widths = encoded_widths(encoder)
        return np.repeat(np.arange(len(widths)), widths)
    if isinstance(encoder, TargetStatistics):
        narrow, wide = np.flatnonzero(~encoder.is_wide_), np.flatnonzero(encoder.is_wide_)
        widths = () if encoder.one_hot_ is None else tuple(map(len, encoder.one_hot_.categories_))
        return np.concatenate(
            [np.repeat(narrow, widths) if len(widths) else narrow[:0], *[wide] * len(encoder.encoders_)]
        )
    return None


def _looked_up(table: FloatArray, owners: IntArray, codes: IntArray) -> FloatArray:
    return table[codes[:, owners], np.arange(len(owners))]


def _imputed(statistics: FloatArray, X: FloatArray) -> FloatArray:
    return np.where(np.isnan(X), statistics, X)


def _shifted_and_divided(shift: FloatArray, divisor: FloatArray, X: FloatArray) -> FloatArray:
    return (X - shift) / divisor


def _multiplied_and_shifted(factor: FloatArray, shift: FloatArray, X: FloatArray) -> FloatArray:
    return X * factor + shift


def _divided(divisor: FloatArray, X: FloatArray) -> FloatArray:
    return X / divisor


def _normal_quantiles(quantiles: FloatArray, references: FloatArray, X: FloatArray) -> FloatArray:
    """Ranks among `quantiles`, (n_quantiles, p), averaged over ties, as values of the normal distribution.

    Interpolating in both directions is what averages over ties.
    """
    ranks = np.empty_like(X, dtype=np.float64)
    for j, (column, of_column) in enumerate(zip(X.T, quantiles.T, strict=True)):
        down = np.interp(-column, -of_column[::-1], -references[::-1])
        ranks[:, j] = 0.5 * (np.interp(column, of_column, references) - down)
    ranks[quantiles[-1] < X + _EDGE] = 1
    ranks[quantiles[0] > X - _EDGE] = 0
    lowest, highest = ndtri([_EDGE - np.spacing(1), 1 - (_EDGE - np.spacing(1))])
    return np.clip(ndtri(ranks), lowest, highest)


def _of_imputer(fitted: SimpleImputer) -> Callable[[Array], FloatArray]:
    return partial(_imputed, fitted.statistics_) if fitted.keep_empty_features else fitted.transform


def _of_quantiles(fitted: QuantileTransformer) -> Callable[[Array], FloatArray]:
    is_known = fitted.output_distribution == "normal"
    return partial(_normal_quantiles, fitted.quantiles_, fitted.references_) if is_known else fitted.transform


_MAKERS: dict[type, Callable[[Any], Callable[[Array], FloatArray]]] = {
    SimpleImputer: _of_imputer,
    StandardScaler: lambda fitted: partial(_shifted_and_divided, fitted.mean_, fitted.scale_),
    MinMaxScaler: lambda fitted: partial(_multiplied_and_shifted, fitted.scale_, fitted.min_),
    MaxAbsScaler: lambda fitted: partial(_divided, fitted.scale_),
    QuantileTransformer: _of_quantiles,
    NoisyQuantileTransformer: _of_quantiles,
}
