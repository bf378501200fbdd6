from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from benchmarks.scale import EDGES, main, many_rows, markdown, trivial_loss


def test_each_edge_is_what_its_name_says() -> None:
    rng = np.random.default_rng(0)
    base = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": ["x", "y", "y"]}), pd.Series([0, 1, 1])
    X, y = many_rows(base, rng, 1_000)
    assert X["a"].nunique() == 1_000
    assert set(X["b"]) == {"x", "y"}
    assert (y == (X["a"] > 1.5)).all(), "noise is small"
    made = {name: edge.make(base, rng) for name, edge in EDGES.items() if name != "many_rows"}
    assert made["many_columns"][0].shape[1] == 500
    assert made["many_levels"][0]["level"].nunique() == 10_000
    assert len(made["few_rows"][0]) * 2 // 3 == 50
    assert made["many_classes"][1].nunique() == 30
    assert made["many_classes"][1].value_counts().min() < 50
    assert made["rare_class"][1].value_counts(normalize=True)["rare"] < 1 / 480


def test_the_trivial_predictor_knows_frequencies_only() -> None:
    train, test = pd.Series(["a"] * 3 + ["b"]), pd.Series(["a", "b"])
    assert np.isclose(trivial_loss(train, test, is_classification=True), -(np.log(0.75) + np.log(0.25)) / 2)
    assert trivial_loss(pd.Series([1.0, 3.0]), pd.Series([0.0, 4.0]), is_classification=False) == 2.0


def test_a_table_is_fitted_and_judged(data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "row.json"
    arguments = ["one", str(data_folder), "few_rows", "--base", "iris", "--time", "4", "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    row = json.loads(out.read_text())
    assert row["n_train"] == 50
    assert row["first_ensemble_s"] is None or row["first_ensemble_s"] < row["fit_seconds"]
    assert row["loss"] < row["trivial_loss"]


def test_lines_say_whether_limits_were_kept() -> None:
    row = {"table": "t", "time_limit": 60.0, "memory_mb": 900, "n_train": 10, "fit_seconds": 61.0, "loss": 0.1}
    row |= {"first_ensemble_s": 2.0, "statuses": {"ok": 3}, "trivial_loss": 0.4}
    failed = {"table": "u", "memory_mb": 7000, "error": "killed after 150 s"}
    lines = markdown([row | {"fit_seconds": 80.0}, row, failed, row | {"table": "v", "memory_mb": 7000}]).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["yes", "no", "no"]
    assert "75%" in lines[2]
    assert "killed after 150 s" in lines[3]
