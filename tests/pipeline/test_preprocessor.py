from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.components.embedding import EmbeddedColumns, LearnedEmbedding
from autopytorch_lite.pipeline.components.encoding import MAX_LEVELS, MIN_LEVELS, OneHotEncoding, OrdinalEncoding
from autopytorch_lite.pipeline.components.feature_preprocessing import (
    MAX_ITERATIVE_ROWS,
    PREPROCESSING,
    FeatureStep,
    KernelPCAStep,
    TruncatedSVDStep,
)
from autopytorch_lite.pipeline.components.imputation import MeanImputation, MedianImputation, MostFrequentImputation
from autopytorch_lite.pipeline.components.scaling import CLIP, MinMax, Quantile, SmoothClipping, Standardize
from autopytorch_lite.pipeline.preprocessor import OUTPUT_BOUND, SCALED_BOUND, PreprocessingSteps, TabularPreprocessor
from autopytorch_lite.types import DatasetInfo, FloatArray, Task


def info_of(cardinalities: tuple[int, ...] = (), n_numeric: int = 1) -> DatasetInfo:
    return DatasetInfo(Task.BINARY, 100, n_numeric, cardinalities, 2, (50, 50))


def steps(info: DatasetInfo, **changes: Any) -> PreprocessingSteps:
    plain = PreprocessingSteps(
        imputer=MeanImputation().build({}, info),
        encoding=OneHotEncoding().build({}, info) if info.n_categorical else None,
        scaler=None,
        features=None,
        embedded=EmbeddedColumns(),
    )
    return replace(plain, **changes)


def numbers(*columns: list[float]) -> EncodedTable:
    numeric = np.array(columns, dtype=np.float64).T
    return EncodedTable(numeric, np.zeros((len(numeric), 0), dtype=np.int32))


def codes(*columns: list[int]) -> EncodedTable:
    categorical = np.array(columns, dtype=np.int32).T
    return EncodedTable(np.zeros((len(categorical), 0)), categorical)


def fitted(table: EncodedTable, cardinalities: tuple[int, ...] = (), **changes: Any) -> TabularPreprocessor:
    info = info_of(cardinalities, table.numeric.shape[1])
    return TabularPreprocessor(steps(info, **changes), cardinalities).fit(table, np.arange(len(table)) % 2, seed=0)


@pytest.mark.parametrize(
    ("component", "filled"), [(MeanImputation(), 3.0), (MedianImputation(), 2.0), (MostFrequentImputation(), 1.0)]
)
def test_gaps_are_filled_from_training_rows(component: Any, filled: float) -> None:
    preprocessor = fitted(numbers([1, 1, 2, 4, 7]), imputer=component.build({}, info_of()))
    dense, _ = preprocessor.transform(numbers([np.nan, 100]))
    assert dense[:, 0].tolist() == [filled, 100]


def test_scaling_is_learned_from_training_rows() -> None:
    preprocessor = fitted(numbers([0, 10]), scaler=MinMax().build({}, info_of()))
    dense, _ = preprocessor.transform(numbers([5, 20]))
    assert dense[:, 0].tolist() == [0.5, 2.0]


def test_one_hot_has_a_level_for_missing_and_none_for_the_unseen() -> None:
    preprocessor = fitted(codes([0, 1, -1, 0]), cardinalities=(3,))
    dense, _ = preprocessor.transform(codes([0, 1, 2, -1]))
    assert dense.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_widths_say_which_columns_a_feature_has() -> None:
    """Levels beyond the limit share a column, and features made of all columns have one each."""
    many = codes([*range(MAX_LEVELS + 50)] * 2, [0, 1] * (MAX_LEVELS + 50))
    table = EncodedTable(np.zeros((len(many), 2)), many.categorical)
    preprocessor = fitted(table, cardinalities=(MAX_LEVELS + 50, 2))
    assert preprocessor.widths == (1, 1, MAX_LEVELS, 2)
    assert sum(preprocessor.widths) == preprocessor.n_dense
    ordinal = fitted(table, (MAX_LEVELS + 50, 2), encoding=OrdinalEncoding().build({}, info_of()))
    assert ordinal.widths == (1, 1, 1, 1)
    svd = TruncatedSVDStep().build({"target_dim": 10}, info_of())
    assert fitted(table, (MAX_LEVELS + 50, 2), features=svd).widths == (1,) * 10


def test_smooth_clipping_puts_quartiles_near_one_half_and_bends_outliers() -> None:
    column = [*np.linspace(-1, 1, 101).tolist(), 1e6]
    preprocessor = fitted(
        numbers(column, [0.0] * 101 + [5.0], [2.0] * 102), scaler=SmoothClipping().build({}, info_of())
    )
    dense, _ = preprocessor.transform(numbers([0.01, 0.51, 1e9], [0.0, 5.0, -5.0], [2.0, 3.0, 1.0]))
    np.testing.assert_allclose(dense[:2, 0], [0.0, 0.5], atol=0.02)
    assert 2.99 < dense[2, 0] <= CLIP
    np.testing.assert_allclose(dense[:, 1], [0, 2 / np.sqrt(1 + 4 / 9), -2 / np.sqrt(1 + 4 / 9)], rtol=1e-6)
    assert dense[:, 2].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("split_ties", "lowest"), [(False, -5.2), (True, -0.67)])
def test_quantiles_of_a_column_of_many_zeros(split_ties: bool, lowest: float) -> None:
    """Half of the rows are zero: the edge of the normal distribution, or the middle of their share, its quartile."""
    rng = np.random.default_rng(0)
    table = numbers([0.0] * 200 + rng.uniform(1, 2, 200).tolist())
    scaler = Quantile().build({"split_ties": split_ties}, replace(info_of(), n_rows=400))
    dense, _ = fitted(table, scaler=scaler).transform(numbers([0.0]))
    assert dense[0, 0] == pytest.approx(lowest, abs=0.1)


def test_one_hot_is_not_scaled_but_ordinal_codes_are() -> None:
    table, info = codes([0, 1, 2, -1]), info_of((3,), 0)
    scaler = MinMax().build({}, info)
    one_hot, _ = fitted(table, (3,), scaler=scaler).transform(table)
    ordinal, _ = fitted(table, (3,), scaler=scaler, encoding=OrdinalEncoding().build({}, info)).transform(table)
    assert set(one_hot.ravel().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(ordinal[:, 0], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)


@pytest.mark.parametrize(("n_columns", "width"), [(1, MAX_LEVELS), (1000, MIN_LEVELS)])
def test_one_hot_width_is_bounded(n_columns: int, width: int) -> None:
    encoder = OneHotEncoding().build({}, info_of((5000,) * n_columns)).transformer
    levels = np.arange(5000).reshape(-1, 1)
    assert encoder.fit(levels).transform(levels[:1]).shape[1] == width


def test_embedded_columns_are_left_to_the_network() -> None:
    table = codes([0, 1, -1], [2, 1, 0])
    preprocessor = fitted(table, (2, 3), embedded=EmbeddedColumns((0,), (1,)))
    dense, left = preprocessor.transform(table)
    assert left.dtype == np.int64
    assert left[:, 0].tolist() == [0, 1, -1]
    assert dense.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_a_table_of_embedded_columns_only_has_no_dense_column() -> None:
    table = codes([0, 1, 1])
    dense, left = fitted(table, (2,), embedded=EmbeddedColumns((0,), (1,))).transform(table)
    assert dense.shape == (3, 0)
    assert left.shape == (3, 1)


def test_embedding_takes_columns_with_enough_levels() -> None:
    values = {"min_unique_values_for_embedding": 4} | {f"dimension_reduction_{j}": 0.5 for j in range(3)}
    built = LearnedEmbedding().build(values, info_of((3, 4, 101)))
    assert built == EmbeddedColumns((1, 2), (2, 50))


@pytest.mark.parametrize("scaled", [True, False])
def test_output_is_finite_and_bounded(scaled: bool) -> None:
    table = numbers([1e300, -1e300, 0, np.nan], [np.inf, 1, 2, 3], [5, 5, 5, 5], [np.nan] * 4, [1e-300, 2e-300, 0, 0])
    preprocessor = fitted(table, scaler=Standardize().build({}, info_of()) if scaled else None)
    extreme = numbers([1e308], [-np.inf], [1e9], [1e9], [1.0])
    for rows in (table, extreme):
        dense, _ = preprocessor.transform(rows)
        assert dense.dtype == np.float32
        assert dense.flags.c_contiguous
        assert np.isfinite(dense).all()
        assert np.abs(dense).max() <= (SCALED_BOUND if scaled else OUTPUT_BOUND)


def _matrix(n_rows: int, n_columns: int) -> FloatArray:
    return np.random.default_rng(1).normal(size=(n_rows, n_columns))


def _table(X: FloatArray) -> EncodedTable:
    return EncodedTable(X, np.zeros((len(X), 0), dtype=np.int32))


@pytest.mark.parametrize("X", [_matrix(30, 1), np.ones((30, 3)), _matrix(3, 5), np.hstack([_matrix(30, 2)] * 2)])
@pytest.mark.parametrize("component", PREPROCESSING[1:], ids=lambda c: c.name)
@pytest.mark.filterwarnings("error")
def test_features_of_awkward_tables(component: Any, X: FloatArray) -> None:
    """One column, constant columns, fewer rows than columns, collinear columns: used to fail in the solvers."""
    values = {h.name: h.default_value for h in component.hyperparameters(info_of())}
    table = _table(X)
    dense, _ = fitted(table, features=component.build(values, info_of())).transform(table)
    assert np.isfinite(dense).all()
    assert dense.shape[1] >= 1


def test_truncated_svd_keeps_one_column_less() -> None:
    table = _table(_matrix(50, 6))
    preprocessor = fitted(table, features=TruncatedSVDStep().build({"target_dim": 128}, info_of()))
    assert preprocessor.n_dense == 5


def test_costly_features_are_fitted_on_a_sample() -> None:
    seen: list[int] = []

    def arguments(X: FloatArray) -> None:
        seen.append(len(X))

    table = _table(_matrix(MAX_ITERATIVE_ROWS + 1, 1))
    fitted(table, features=FeatureStep(Doubler, arguments, MAX_ITERATIVE_ROWS))
    fitted(table, features=FeatureStep(Doubler, arguments, None))
    assert seen == [MAX_ITERATIVE_ROWS, MAX_ITERATIVE_ROWS + 1]


def test_same_seed_same_features() -> None:
    values = {"n_components": 20, "kernel": "rbf", "gamma": 0.1}
    table = _table(_matrix(1500, 3))
    outputs = [fitted(table, features=KernelPCAStep().build(values, info_of())).transform(table)[0] for _ in range(2)]
    np.testing.assert_array_equal(*outputs)


def test_chunks_do_not_show() -> None:
    table = _table(_matrix(20_000, 2))
    preprocessor = fitted(table, scaler=Standardize().build({}, info_of()))
    whole, _ = preprocessor.transform(table)
    part, _ = preprocessor.transform(table.take(slice(9000, 9003)))
    np.testing.assert_array_equal(whole[9000:9003], part)


class Doubler(TransformerMixin, BaseEstimator):
    """A transformer of a user."""

    def fit(self, X: FloatArray, y: None = None) -> Doubler:
        self.factor_ = 2.0
        return self

    def transform(self, X: FloatArray) -> FloatArray:
        return X * self.factor_


def test_loading_trusts_the_classes_of_its_own_steps(tmp_path: Path) -> None:
    table = numbers([1, 2, 3])
    own = {"features": FeatureStep(Doubler, lambda X: {})}
    fitted(table, **own).save(tmp_path / "own.skops")
    loaded = TabularPreprocessor(steps(info_of(), **own), ()).load(tmp_path / "own.skops")
    assert loaded.transform(table)[0][:, 0].tolist() == [2, 4, 6]


def test_loading_refuses_other_classes(tmp_path: Path) -> None:
    fitted(numbers([1, 2, 3]), features=FeatureStep(Doubler, lambda X: {})).save(tmp_path / "theirs.skops")
    with pytest.raises(Exception, match="Doubler"):
        TabularPreprocessor(steps(info_of()), ()).load(tmp_path / "theirs.skops")
