"""A data set as a whole: validation of arguments, disk, fingerprint, meta-features."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from autopytorch_lite.data.dataset import Dataset, load_schemas, make_dataset, save_schemas
from autopytorch_lite.data.fingerprint import fingerprint
from autopytorch_lite.data.meta_features import meta_features
from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import DatasetInfo, Task


def frame(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n": rng.normal(size=n),
            "c": rng.choice(["a", "b", None], n),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 999, n), unit="h"),
        }
    )


LABELS = np.array(["no", "yes"])[np.arange(40) % 2]


def dataset(**options: object) -> Dataset:
    return make_dataset(frame(), LABELS, kind="classification", **options)


def test_facts():
    info = dataset().info
    assert info == DatasetInfo(Task.BINARY, 40, 6, (2,), 2, (20, 20), has_missing=True)
    assert DatasetInfo.from_json(json.loads(json.dumps(info.to_json()))) == info
    X = np.arange(90.0).reshape(30, 3)
    assert make_dataset(X, X[:, :2], kind="regression").info == DatasetInfo(Task.REGRESSION, 30, 3, (), 2)


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"sample_weight": np.arange(40.0), "groups": list("abcde" * 8), "resampling": 3, "seed": 5}]
)
def test_disk_round_trip(tmp_path, mmap, options):
    saved = dataset(**options)
    saved.save(tmp_path / "data")
    loaded = Dataset.load(tmp_path / "data", mmap=mmap)
    assert isinstance(loaded.table.numeric, np.memmap) == mmap
    assert loaded.schema == saved.schema and loaded.target == saved.target
    assert loaded.fingerprint == saved.fingerprint and loaded.info == saved.info
    for name in ("y", "sample_weight", "groups"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    np.testing.assert_array_equal(loaded.table.numeric, saved.table.numeric)
    np.testing.assert_array_equal(loaded.table.categorical, saved.table.categorical)
    for old, new in zip(saved.folds, loaded.folds, strict=True):
        np.testing.assert_array_equal(old.train_idx, new.train_idx)
        np.testing.assert_array_equal(old.val_idx, new.val_idx)
    if mmap:
        with pytest.raises(ValueError, match="read-only"):
            loaded.table.numeric[0, 0] = 1.0
    assert not [path for path in (tmp_path / "data").iterdir() if path.suffix not in (".npy", ".json")]


def test_a_table_of_one_kind_only_is_mapped_too(tmp_path):
    make_dataset(np.arange(20.0).reshape(10, 2), LABELS[:10], kind="classification").save(tmp_path)
    assert Dataset.load(tmp_path).table.categorical.shape == (10, 0)


def test_schemas_alone_encode_and_decode(tmp_path):
    saved = dataset()
    saved.save(tmp_path / "data")
    for path in (tmp_path / "data").glob("*.npy"):
        path.unlink()
    save_schemas(tmp_path / "model", saved.schema, saved.target)
    for folder in ("data", "model"):
        schema, target = load_schemas(tmp_path / folder)
        np.testing.assert_array_equal(schema.encode(frame()).categorical, saved.table.categorical)
        assert target.decode(saved.y).tolist() == LABELS.tolist()
    with pytest.raises(DataError, match="schema of a data set but not its rows"):
        Dataset.load(tmp_path / "model")


def test_folders_without_a_data_set(tmp_path):
    with pytest.raises(DataError, match=r"must hold a saved data set; schema.json cannot be read"):
        Dataset.load(tmp_path)
    (tmp_path / "schema.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="must have format 1, got 99"):
        load_schemas(tmp_path)


def test_fingerprint_is_of_the_data_not_of_the_division_or_storage():
    name = dataset().fingerprint
    assert len(name) == 32 and int(name, 16)
    as_objects = make_dataset(frame().astype({"c": object, "n": object}), list(LABELS), kind="classification")
    assert as_objects.fingerprint == name
    assert dataset(resampling=3, seed=7, groups=np.arange(40)).fingerprint == name
    others = [
        make_dataset(_nudged(), LABELS, kind="classification"),
        make_dataset(frame().rename(columns={"n": "m"}), LABELS, kind="classification"),
        make_dataset(frame(), LABELS[::-1], kind="classification"),
        make_dataset(frame(), np.char.upper(LABELS), kind="classification"),
        dataset(sample_weight=np.ones(40)),
    ]
    assert len({name, *(other.fingerprint for other in others)}) == 6


def _nudged() -> pd.DataFrame:
    table = frame()
    table.loc[39, "n"] += 1e-9
    return table


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np; from autopytorch_lite.data.fingerprint import fingerprint as f;"
        "print(f({'b': 1, 'a': [2]}, np.array([[0.0, np.nan]]), None))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == fingerprint({"a": [2], "b": 1}, np.array([[-0.0, -np.nan]]), None)
    assert other != fingerprint({"a": [2], "b": 1}, np.array([[0.0], [np.nan]]), None)


def test_given_validation_rows_are_the_only_fold():
    X_val = pd.DataFrame({"when": [pd.Timestamp("2021-01-01")] * 2, "c": ["b", "unseen"], "n": [1.0, 2.0], "more": 0})
    data = dataset(X_val=X_val, y_val=["yes", "no"], sample_weight=np.full(40, 3.0), groups=np.zeros(40))
    (fold,) = data.folds
    assert fold.train_idx.tolist() == list(range(40)) and fold.val_idx.tolist() == [40, 41]
    assert len(data) == len(data.y) == 42 and data.info.n_rows == 42
    assert data.table.numeric[40:, 0].tolist() == [1.0, 2.0]
    assert data.table.categorical[40:, 0].tolist() == [1, -1]
    assert data.y[40:].tolist() == [1, 0]
    assert data.sample_weight[40:].tolist() == [1, 1]
    assert data.groups[40:].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"X_val": frame(2)}, "X_val came without y_val"),
        ({"y_val": LABELS[:2]}, "y_val came without X_val"),
        ({"X_val": frame(2).drop(columns="c"), "y_val": LABELS[:2]}, "X_val does not fit X: X lacks column 'c'"),
        ({"X_val": frame(2), "y_val": LABELS[:3]}, "y_val must have as many rows as X_val: X_val has 2, y_val has 3"),
        ({"X_val": frame(2), "y_val": ["no", "maybe"]}, "y_val holds the label 'maybe'"),
        ({"X_val": frame(2), "y_val": LABELS[:2], "resampling": 5}, "resampling must be 'auto', got 5"),
        ({"sample_weight": np.ones(39)}, "sample_weight must have as many rows as X: X has 40, sample_weight has 39"),
        ({"sample_weight": np.ones((40, 2))}, r"sample_weight must be one-dimensional, got shape \(40, 2\)"),
        ({"sample_weight": np.append(np.ones(39), -1)}, "row 39 holds a negative value"),
        ({"sample_weight": np.append(np.nan, np.ones(39))}, "row 0 holds NaN"),
        ({"sample_weight": np.append(np.inf, np.ones(39))}, "row 0 holds infinity"),
        ({"sample_weight": ["heavy"] * 40}, "sample_weight must hold numbers"),
        ({"sample_weight": np.zeros(40)}, "Sample weights must contain at least one non-zero number."),
        ({"sample_weight": np.arange(40) % 2}, "at least 2 classes with rows of positive weight; only class 'yes'"),
        ({"groups": np.ones(41)}, "groups must have as many rows as X: X has 40, groups has 41"),
        ({"groups": [None] + ["a"] * 39}, "row 0 has none"),
        ({"column_kinds": {"m": "numeric"}}, "Unknown column in column_kinds 'm'"),
    ],
)
def test_arguments_that_cannot_be_used(options, words):
    with pytest.raises((DataError, UnknownNameError), match=words) as caught:
        dataset(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "y", [LABELS[:39], np.append(LABELS, "no"), list(LABELS[1:]), pd.DataFrame({"t": LABELS[:39]})]
)
def test_target_of_another_length(y):
    with pytest.raises(DataError, match=r"y must have as many rows as X: X has 40, y has (39|41)"):
        make_dataset(frame(), y, kind="classification")


@pytest.mark.parametrize(("X", "y"), [(np.ones((1, 3)), [1]), (np.ones((3, 3)), [1, 0, 1])])
def test_one_row_and_few_rows(X, y):
    with pytest.raises(DataError, match=r"n_samples=3|of one class"):
        make_dataset(X, y, kind="classification")


def test_weights_groups_and_splitter_reach_the_folds():
    weights = np.tile([0.0, 1.0, 1.0, 0.0], 10)
    assert all((weights[fold.val_idx] > 0).all() for fold in dataset(sample_weight=pd.Series(weights)).folds)
    groups = pd.Series(np.repeat(list("abcd"), 10))
    data = dataset(groups=groups)
    assert len(data.folds) == 4
    assert all(groups[fold.val_idx].nunique() == 1 for fold in data.folds)
    folds = dataset(resampling=TimeSeriesSplit(3)).folds
    assert all(fold.train_idx.max() < fold.val_idx.min() for fold in folds)


def test_anything_that_numpy_reads_as_an_array_is_taken():
    class Lazy:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype=dtype)

    X, y = np.arange(20.0).reshape(10, 2), LABELS[:10]
    lazy = make_dataset(Lazy(X), Lazy(y), kind="classification", sample_weight=Lazy(np.ones(10)))
    assert lazy.fingerprint == make_dataset(X, y, kind="classification", sample_weight=np.ones(10)).fingerprint


def test_division_in_words():
    assert dataset(resampling=0.25).describe_folds() == "holdout: 30 training and 10 validation rows"
    assert dataset(resampling=4).describe_folds() == "4 folds of about 10 validation rows"


def test_meta_features_of_a_classification():
    X = pd.DataFrame({"a": [1.0, None, 3, 4] * 2, "b": list("xxyz") * 2, "c": list("xxxx") * 2})
    found = meta_features(make_dataset(X, [0, 0, 0, 0, 0, 0, 1, 1], kind="classification"))
    expected = {
        "n_rows": 8,
        "n_columns": 3,
        "n_numeric": 1,
        "n_categorical": 2,
        "n_outputs": 2,
        "log_n_rows": math.log(8),
        "log_n_columns": math.log(3),
        "log_dimensionality": math.log(3 / 8),
        "categorical_share": 2 / 3,
        "mean_cardinality": 2,
        "max_cardinality": 3,
        "is_classification": 1,
        "missing_share": 2 / 24,
        "rows_with_missing_share": 0.25,
        "class_entropy": 0.8112781244591328,
        "class_imbalance": 3,
        "majority_share": 0.75,
        "minority_share": 0.25,
        "target_skewness": 0,
    }
    assert found == pytest.approx(expected)
    assert {type(value) for value in found.values()} == {float}


def test_meta_features_of_a_regression():
    found = meta_features(make_dataset(np.arange(8.0).reshape(4, 2), [0, 0, 0, 1.0], kind="regression"))
    assert found["target_skewness"] == pytest.approx(1.1547005383792515)
    assert found["is_classification"] == found["class_entropy"] == found["max_cardinality"] == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(4, 40), st.integers(1, 4), st.integers(2, 6), st.integers(0, 99))
def test_any_small_table_is_accepted(n_rows, n_columns, n_classes, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n_rows, n_columns)), rng.integers(0, n_classes, n_rows)
    if len(np.unique(y)) < 2:
        return
    data = make_dataset(X, y, kind="classification", seed=seed)
    assert all(math.isfinite(value) for value in meta_features(data).values())
    assert data.folds
    np.testing.assert_array_equal(data.target.decode(data.y), y)


def test_folds_give_way_to_a_holdout_where_they_would_take_too_long():
    X, y = pd.DataFrame({"a": np.arange(100.0), "b": np.arange(100) % 7}), np.arange(100) % 2
    assert len(make_dataset(X, y, kind="classification", max_cells_for_folds=400).folds) == 5
    assert len(make_dataset(X, y, kind="classification", max_cells_for_folds=399).folds) == 1
    assert len(make_dataset(X, y, kind="classification", max_cells_for_folds=1, resampling=3).folds) == 3
    assert len(make_dataset(X, y, kind="classification", max_cells_for_folds=1, X_val=X, y_val=y).folds) == 1
