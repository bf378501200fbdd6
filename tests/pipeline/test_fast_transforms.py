"""What is computed without scikit-learn's checks is what scikit-learn computes, to the last bit."""

import pickle

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from autopytorch_lite.pipeline import fast_transforms
from autopytorch_lite.pipeline.components.encoding import OneHotEncoding, TargetStatistics
from autopytorch_lite.pipeline.components.scaling import NoisyQuantileTransformer, SmoothClippingScaler
from autopytorch_lite.pipeline.fast_transforms import of_codes, of_numbers
from autopytorch_lite.types import DatasetInfo, Task

RNG = np.random.default_rng(0)
TRAIN = np.column_stack([
    RNG.normal(size=300), RNG.integers(0, 4, 300), np.full(300, 2.0), 1e6 * RNG.exponential(size=300),
    RNG.random(300) < 0.9,
]).astype(np.float64)  # fmt: skip
NEW = np.vstack([TRAIN[:40] + 0.01, TRAIN[:40], 100 * TRAIN[:5], -TRAIN[5:9], np.zeros((1, 5))])
SCALERS = [
    StandardScaler(),
    MinMaxScaler(),
    MaxAbsScaler(),
    QuantileTransformer(n_quantiles=50, output_distribution="normal", random_state=0),
    QuantileTransformer(n_quantiles=50),
    NoisyQuantileTransformer(n_quantiles=50, output_distribution="normal", random_state=0),
    SmoothClippingScaler(),
    PowerTransformer(),
]
CARDINALITIES = (3, 40, 12, 200)
CODES = np.column_stack([RNG.integers(0, n_levels - 1, 400) for n_levels in CARDINALITIES])
ALL_CODES = np.minimum(np.arange(201)[:, None], CARDINALITIES)


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_numbers(scaler):
    fitted = scaler.fit(TRAIN)
    before, expected = NEW.copy(), fitted.transform(NEW.copy())
    np.testing.assert_array_equal(of_numbers(fitted).transform(NEW), expected)
    np.testing.assert_array_equal(NEW, before)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_gaps(strategy):
    gaps = np.where(RNG.random(TRAIN.shape) < 0.3, np.nan, TRAIN)
    gaps[:, 3] = np.nan
    fitted = SimpleImputer(strategy=strategy, keep_empty_features=True).fit(gaps)
    np.testing.assert_array_equal(of_numbers(fitted).transform(gaps), fitted.transform(gaps))


def encoders():
    info = DatasetInfo(Task.BINARY, 400, 0, CARDINALITIES, 2, (200, 200))
    yield OneHotEncoding().build({}, info).transformer.fit(CODES)
    for n_classes in (0, 2, 3):
        y = RNG.normal(size=(400, 2)) if n_classes == 0 else RNG.integers(0, n_classes, 400)
        yield TargetStatistics(n_classes).fit(CODES, y)
        yield TargetStatistics(n_classes, max_one_hot_levels=0).fit(CODES, y)
    yield TargetStatistics(2, max_one_hot_levels=1000).fit(CODES, RNG.integers(0, 2, 400))


@pytest.mark.parametrize("encoder", list(encoders()), ids=lambda encoder: type(encoder).__name__)
def test_every_code_of_every_column(encoder):
    fast = of_codes(encoder, CARDINALITIES)
    assert fast.transform != encoder.transform
    expected = encoder.transform(ALL_CODES)
    np.testing.assert_array_equal(fast.transform(ALL_CODES), expected)
    assert fast.transform(ALL_CODES).dtype == expected.dtype
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fast)).transform(ALL_CODES), expected)


def test_an_encoder_with_too_large_a_table_encodes_rows_itself(monkeypatch):
    encoder = next(encoders())
    monkeypatch.setattr(fast_transforms, "MAX_TABLE_CELLS", 100)
    fast = of_codes(encoder, CARDINALITIES)
    assert fast.transform == encoder.transform
