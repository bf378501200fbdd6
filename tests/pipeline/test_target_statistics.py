from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from autopytorch_lite.data.schema import EncodedTable
from autopytorch_lite.pipeline.components.embedding import EmbeddedColumns
from autopytorch_lite.pipeline.components.encoding import MAX_STATISTICS_CLASSES, TargetEncoding, TargetStatistics
from autopytorch_lite.pipeline.components.imputation import MeanImputation
from autopytorch_lite.pipeline.preprocessor import PreprocessingSteps, TabularPreprocessor
from autopytorch_lite.types import DatasetInfo, Task

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 300, size=(900, 1))
NOISE = RNG.integers(0, 2, size=900)


def test_levels_are_ordered_by_their_targets() -> None:
    codes = np.repeat(np.arange(20), 30)[:, None]
    y = np.repeat(np.arange(20) % 5, 30).astype(float)
    encoded = TargetStatistics().fit(codes, y).transform(np.arange(5)[:, None])
    assert encoded.shape == (5, 1)
    assert (np.diff(encoded[:, 0]) > 0).all()


def test_an_unseen_level_is_average() -> None:
    codes = np.repeat(np.arange(20), 30)[:, None]
    y = np.repeat(np.arange(20.0), 30)
    encoded = TargetStatistics().fit(codes, y).transform(np.array([[99]]))
    np.testing.assert_allclose(encoded, 0, atol=1e-12)


def test_training_rows_do_not_see_their_own_targets() -> None:
    """Levels of three rows each with random classes: averages that know a row's own class would seem to predict it."""
    statistics = TargetStatistics(n_classes=2)
    honest = statistics.fit_transform(LEVELS, NOISE)
    leaking = statistics.transform(LEVELS)
    accuracies = [LogisticRegression().fit(X, NOISE).score(X, NOISE) for X in (honest, leaking)]
    assert accuracies[0] < 0.6 < 0.7 < accuracies[1]


def test_the_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    first, again = (TargetStatistics(2, random_state=3).fit_transform(LEVELS, NOISE) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (TargetStatistics(2, random_state=4).fit_transform(LEVELS, NOISE) != first).any()


@pytest.mark.parametrize(("n_classes", "width"), [(2, 1), (5, 5), (40, MAX_STATISTICS_CLASSES)])
def test_width_follows_the_classes_up_to_a_bound(n_classes: int, width: int) -> None:
    y = np.arange(900) % n_classes
    assert TargetStatistics(n_classes).fit_transform(LEVELS, y).shape == (900, width)


def test_narrow_columns_keep_their_one_hot_code() -> None:
    codes = np.column_stack([LEVELS[:, 0], np.arange(900) % 3])
    encoded = TargetStatistics(2).fit_transform(codes, NOISE)
    np.testing.assert_array_equal(encoded[:, :3], np.eye(3)[codes[:, 1]])
    assert encoded.shape == (900, 4)


def test_every_regression_target_has_its_statistic() -> None:
    y = np.column_stack([LEVELS[:, 0], -LEVELS[:, 0]]).astype(float)
    encoded = TargetStatistics().fit_transform(LEVELS, y)
    assert np.corrcoef(encoded.T)[0, 1] < -0.99


def test_it_applies_where_a_column_has_many_levels() -> None:
    def info(*cardinalities: int) -> DatasetInfo:
        return DatasetInfo(Task.BINARY, 100, 0, cardinalities, 2, (50, 50))

    assert not TargetEncoding().applies(info(2, 10))
    assert TargetEncoding().applies(info(2, 11))


def preprocessor_of(info: DatasetInfo) -> TabularPreprocessor:
    steps = PreprocessingSteps(
        MeanImputation().build({}, info), TargetEncoding().build({}, info), None, None, EmbeddedColumns()
    )
    return TabularPreprocessor(steps, info.cardinalities)


def test_a_preprocessor_goes_on_after_loading_as_before(tmp_path: Path) -> None:
    """Training rows are encoded anew when a training is continued; they must come out the same."""
    info = DatasetInfo(Task.BINARY, 900, 0, (301,), 2, (450, 450))
    table = EncodedTable(np.zeros((900, 0)), LEVELS.astype(np.int32))
    fitted = preprocessor_of(info).fit(table, NOISE, seed=5)
    fitted.save(tmp_path / "parts.skops")
    loaded = preprocessor_of(info).load(tmp_path / "parts.skops")
    training = fitted.training(table, NOISE)[0]
    np.testing.assert_array_equal(loaded.training(table, NOISE)[0], training)
    np.testing.assert_array_equal(loaded.transform(table)[0], fitted.transform(table)[0])
    assert (training != fitted.transform(table)[0]).any()
