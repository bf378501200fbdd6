"""What a trial records of the time that one row takes."""

import time

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.data.dataset import make_dataset
from autopytorch_lite.pipeline import latency
from autopytorch_lite.pipeline.latency import MAX_SECONDS, N_CALLS, raw_rows, read_twice, row_ms


class Sleeper:
    """Takes some milliseconds for a row, and much longer for the first one, as models that load something do."""

    def __init__(self, ms):
        self.ms, self.n_calls, self.n_rows = ms, 0, []

    def predict(self, table):
        self.n_calls += 1
        self.n_rows.append(len(table))
        time.sleep((300 if self.n_calls == 1 else self.ms) / 1000)


@pytest.fixture(scope="module")
def dataset():
    X = pd.DataFrame({"a": np.arange(60.0), "b": pd.Categorical(["x", "y"] * 30)})
    return make_dataset(X, np.arange(60) % 2, kind="classification", resampling=0.3, seed=0)


def test_a_trial_records_reading_and_predicting_apart(dataset, monkeypatch):
    monkeypatch.setattr(latency, "MAX_SECONDS", 10.0)
    learner = Sleeper(2.0)
    read_ms, predict_ms = row_ms(learner, dataset.schema, raw_rows(dataset.schema, dataset.table))
    assert 0 < read_ms < 100
    assert 2.0 <= predict_ms < 100, "the first call does not count"
    assert set(learner.n_rows) == {1}
    assert learner.n_calls == 1 + N_CALLS


def test_a_slow_model_is_called_twice_only(dataset):
    learner = Sleeper(3 * 1000 * MAX_SECONDS)
    _, predict_ms = row_ms(learner, dataset.schema, raw_rows(dataset.schema, dataset.table))
    assert learner.n_calls == 2
    assert predict_ms >= learner.ms


def test_a_row_is_read_as_the_schema_reads_it(dataset):
    row = dataset.schema.decode(dataset.table.take(slice(7, 8)))
    first_s, again_s, table = read_twice(dataset.schema, row)
    assert min(first_s, again_s) > 0
    assert len(table) == 1
    expected = dataset.table.take(slice(7, 8))
    np.testing.assert_array_equal(table.numeric, expected.numeric)
    np.testing.assert_array_equal(table.categorical, expected.categorical)


def test_raw_rows_are_like_those_of_a_file(dataset):
    rows = raw_rows(dataset.schema, dataset.table.take(slice(0, 3)))
    assert [len(row) for row in rows] == [1, 1, 1]
    pd.testing.assert_frame_equal(pd.concat(rows), dataset.schema.decode(dataset.table.take(slice(0, 3))))
    table = np.arange(24.0).reshape(8, 3)
    for X, is_frame in ((table, False), (pd.DataFrame(table, columns=list("abc")), True)):
        of_numbers = make_dataset(X, table[:, 0], kind="regression", resampling=0.3)
        row = raw_rows(of_numbers.schema, of_numbers.table)[2]
        assert isinstance(row, pd.DataFrame) == is_frame
        assert np.asarray(row).tolist() == [[6.0, 7.0, 8.0]]
        if is_frame:
            assert len(row._mgr.blocks) == 3
