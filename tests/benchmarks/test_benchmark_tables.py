from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Task
from benchmarks.tables import Table, choose, read_manifest, split


def test_the_manifest_lists_the_tables(data_folder: Path) -> None:
    tables = read_manifest(data_folder)
    assert [(table.name, table.task) for table in tables] == [
        ("iris", Task.MULTICLASS),
        ("cancer", Task.BINARY),
        ("diabetes", Task.REGRESSION),
    ]


def test_tables_are_chosen_by_name_in_the_order_asked_for(data_folder: Path) -> None:
    tables = read_manifest(data_folder)
    assert [table.name for table in choose(tables, ["diabetes", "iris"])] == ["diabetes", "iris"]
    assert choose(tables, []) == tables
    with pytest.raises(UnknownNameError, match="'cancr'; did you mean 'cancer'"):
        choose(tables, ["cancr"])


def test_categorical_columns_of_the_manifest_become_categories(data_folder: Path) -> None:
    X, y = read_manifest(data_folder)[0].read()
    assert isinstance(X["petal_group"].dtype, pd.CategoricalDtype)
    assert [name for name in X if isinstance(X[name].dtype, pd.CategoricalDtype)] == ["petal_group"]
    assert "target" not in X
    assert y.name == "target"


def test_a_split_is_seeded_disjoint_and_stratified(data_folder: Path) -> None:
    iris = read_manifest(data_folder)[0]
    first, again, other = split(iris, 0), split(iris, 0), split(iris, 1)
    assert (len(first.X_train), len(first.X_test)) == (100, 50)
    assert list(first.X_test.index) == list(again.X_test.index) != list(other.X_test.index)
    assert set(first.X_train.index).isdisjoint(first.X_test.index)
    assert first.y_test.value_counts().max() - first.y_test.value_counts().min() <= 1


def test_a_class_of_one_row_is_split_without_strata(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(9), "y": [0] * 4 + [1] * 4 + [2]}).to_csv(tmp_path / "t.csv", index=False)
    data = split(Table("t", tmp_path / "t.csv", Task.MULTICLASS, "y"), 0)
    assert len(data.y_train) == 6


def test_columns_that_the_file_lacks_are_named(data_folder: Path) -> None:
    table = Table("iris", data_folder / "iris.csv.gz", Task.MULTICLASS, "target", ("colour",))
    with pytest.raises(DataError, match="colour"):
        table.read()


@pytest.mark.parametrize("content", [None, "{", json.dumps([{"name": "a"}]), json.dumps([{"task": "ranking"}])])
def test_a_missing_or_wrong_manifest_is_an_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_manifest(tmp_path)
