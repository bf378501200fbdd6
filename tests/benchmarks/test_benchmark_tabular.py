from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.types import Task
from benchmarks.tables import Split, read_manifest, split
from benchmarks.tabular.__main__ import main
from benchmarks.tabular.fits import Constraint, measure
from benchmarks.tabular.systems import DRIVERS, GROUPS, REQUIREMENTS, SYSTEMS, System, expand, find_system


def run(folder: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [str(folder), "--out", str(out), *arguments])


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_both_systems_are_measured_on_the_same_unseen_rows(data_folder: Path, tmp_path: Path) -> None:
    arguments = ("--tables", "iris", "--n-trials", "2", "--time", "60", "--learners", "neural", "--keep-runs")
    result = run(data_folder, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    baseline, ours = rows(tmp_path)
    assert (baseline["system"], ours["system"]) == ("hgb", "ours-neural")
    for row in (baseline, ours):
        assert row["status"] == "ok", row["reason"]
        assert row["metric"] == "log_loss"
        assert (row["n_train"], row["n_test"]) == (100, 50)
        assert set(row["metrics"]) == {"accuracy", "balanced_accuracy", "log_loss", "roc_auc"}
        assert row["fit_seconds"] > 0
        assert row["predict_10k_seconds"] > row["predict_row_ms"] / 1000 > 0
        assert row["wall_seconds"] > row["fit_seconds"] + row["predict_10k_seconds"]
        assert row["peak_memory_mb"] > 50
    assert baseline["metrics"]["accuracy"] > 0.8
    assert baseline["overrun_seconds"] is None
    assert ours["overrun_seconds"] < 5
    assert sum(ours["facts"]["evaluations"].values()) == 2
    assert ours["facts"]["trajectory"][-1][1] > 0
    assert (tmp_path / "runs" / "iris_ours-neural_0" / "history.jsonl").exists()
    assert (tmp_path / "DONE").exists()
    assert "(`ours-neural`)" in result.output

    again = run(data_folder, tmp_path, *arguments)
    assert "seed 0" not in again.output
    assert rows(tmp_path) == [baseline, ours]


def test_a_system_that_fails_is_a_row_and_the_others_go_on(data_folder: Path, tmp_path: Path) -> None:
    arguments = ("--tables", "diabetes", "--n-trials", "1", "--systems", "hgb,catboost,ours-shaped_lmp,mlp")
    result = run(data_folder, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    baseline, absent, ours, perceptron = rows(tmp_path)
    assert set(baseline["metrics"]) == set(perceptron["metrics"]) == {"rmse", "r2"}
    assert perceptron["metrics"]["r2"] > 0
    assert absent["status"] == "unavailable"
    assert "Environment 'boosting' is missing" in absent["reason"]
    assert ours["status"] == "failed"
    assert "shaped_lmp" in ours["reason"]
    assert "Traceback" in ours["traceback"]
    assert "- ours-shaped_lmp, diabetes seed 0: UnknownNameError" in result.output


def test_a_misuse_is_told_before_anything_runs(data_folder: Path, tmp_path: Path) -> None:
    assert run(data_folder, tmp_path / "a").exit_code == 2
    for option, name, close in (("--tables", "irs", "iris"), ("--systems", "flam", "flaml"), ("--again", "hgg", "hgb")):
        unknown = run(data_folder, tmp_path / "b", "--time", "5", option, name)
        assert unknown.exit_code == 1
        assert f"did you mean {close!r}" in unknown.output
    assert not (tmp_path / "b").exists()


def test_another_searcher_takes_the_place_of_our_own(data_folder: Path) -> None:
    data = split(read_manifest(data_folder)[1], 0)
    system = System("", "ours", options={"learners": "hist_gradient_boosting", "searcher": "random", "portfolio": None})
    row = measure(system, data, 0, Constraint(60, n_trials=1))
    assert row["status"] == "ok", row["reason"]
    assert row["facts"]["origins"] == {"random": 1}
    assert row["metrics"]["roc_auc"] > 0.9


def test_a_fit_is_killed_long_after_its_limit_and_models_without_one_much_later() -> None:
    constraint = Constraint(120)
    assert constraint.kill_after_s(find_system("flaml")) == 300
    assert constraint.kill_after_s(find_system("tabm")) == 3600
    assert Constraint(None, 5).kill_after_s(find_system("ours-all")) is None


def a_driver(tmp_path: Path, body: str) -> System:
    """A system whose driver runs this as `fit(job)`."""
    script = tmp_path / "drive_x.py"
    code = f"import sys\nsys.path.insert(0, {str(DRIVERS.resolve())!r})\nfrom driver_protocol import Fitted, serve\n"
    script.write_text(f"{code}import numpy as np\n\ndef fit(job):\n    {body}\n\nserve(fit)\n")

    class Scripted(System):
        script = property(lambda self: tmp_path / "drive_x.py")  # type: ignore[assignment]

    return Scripted("", "x")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return Fitted(lambda X: np.full((len(X), 3), 0.5))", "probabilities must sum to 1"),
        ("return Fitted(lambda X: np.full((len(X), 3), np.nan))", "must be finite"),
        ("raise ValueError('no', 'more')", "ValueError: ('no', 'more')"),
        ("import os; os._exit(4)", "died with exit code 4"),
    ],
)
def test_what_cannot_be_scored_is_told_in_one_line(body: str, reason: str, data_folder: Path, tmp_path: Path) -> None:
    data = split(read_manifest(data_folder)[0], 0)
    row = measure(a_driver(tmp_path, body), data, 0, Constraint(60))
    assert row["status"] == "failed"
    assert reason in row["reason"]


def test_predictions_count_although_the_process_dies_later(data_folder: Path, tmp_path: Path) -> None:
    """The speed of predicting is measured last; who is killed there has predicted."""
    body = (
        "n = []\n    def predict(X):\n        n.append(1)\n        if len(n) > 1: import os; os._exit(5)\n"
        "        return np.full((len(X), 3), 1 / 3)\n    return Fitted(predict)"
    )
    row = measure(a_driver(tmp_path, body), split(read_manifest(data_folder)[0], 0), 0, Constraint(60))
    assert row["status"] == "ok"
    assert row["predict_row_ms"] is None
    assert row["metrics"]["log_loss"] == pytest.approx(np.log(3))


def test_a_run_that_was_kept_is_not_continued(data_folder: Path, tmp_path: Path) -> None:
    """Ours continues a run directory that holds a run, with more time than the others got."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.jsonl").touch()
    data = split(read_manifest(data_folder)[0], 0)
    measure(a_driver(tmp_path, "raise ValueError"), data, 0, Constraint(60), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Categories keep their levels, texts become categories, and a level called NA is not missing."""
    frame = pd.DataFrame(
        {
            "number": [0.1, np.nan, 1 / 3, 4.0, 5.0],
            "whole": [1, 2, 3, 4, 5],
            "flag": [True, False, True, True, True],
            "code": pd.Categorical([3, 1, None, 3, 3], categories=[1, 2, 3]),
            "text": ["NA", "b, c", None, "d", "d"],
        }
    )
    data = Split(Task.REGRESSION, frame[:3], frame[3:], pd.Series([1.0, 2, 3]), pd.Series([4.0, 5.0]))
    body = (
        "d = {name: str(kind) for name, kind in job.X.dtypes.items()}\n"
        "    facts = dict(dtypes=d, rows=job.X.astype(object).where(job.X.notna(), None).values.tolist(),"
        " levels=[list(job.X[name].cat.categories) for name in ('code', 'text')])\n"
        "    return Fitted(lambda X: np.zeros(len(X)), facts)"
    )
    row = measure(a_driver(tmp_path, body), data, 0, Constraint(60))
    assert row["status"] == "ok", row["reason"]
    facts = row["facts"]
    assert facts["dtypes"] == {
        "number": "float64", "whole": "int64", "flag": "bool", "code": "category", "text": "category",
    }  # fmt: skip
    assert facts["rows"] == [[0.1, 1, True, "3", "NA"], [None, 2, False, "1", "b, c"], [1 / 3, 3, True, None, None]]
    assert facts["levels"] == [["1", "2", "3"], ["NA", "b, c", "d"]]


def test_every_system_has_a_driver_and_every_environment_a_system() -> None:
    assert {system.environment for system in SYSTEMS.values() if system.environment} == set(REQUIREMENTS)
    assert all(system.script.exists() for system in SYSTEMS.values())
    assert {name for group in GROUPS.values() for name in group} == set(SYSTEMS)
    assert expand(["hgb", "comparison"])[0] == "hgb"
    assert len(expand(["hgb", "comparison"])) == len(GROUPS["comparison"])
    with pytest.raises(UnknownNameError, match="did you mean 'autogluon-best'"):
        expand(["autogluon-bst"])


def test_a_revision_changes_with_options_and_not_with_the_title() -> None:
    one, other = System("a", "sklearn", options={"model": "hgb"}), System("b", "sklearn", options={"model": "hgb"})
    assert one.revision() == other.revision() != System("a", "sklearn", options={"model": "mlp"}).revision()


def test_classes_come_in_the_order_of_their_numbers() -> None:
    protocol = runpy.run_path(str(DRIVERS / "driver_protocol.py"))
    X = pd.DataFrame({"a": [1.0, 2.0]})
    job = protocol["Job"](Path(), {}, "multiclass", "log_loss", 4, None, None, 1, 0, X, np.array([0, 3]))
    fitted = protocol["Fitted"](lambda X: [[0.3, 0.7], [0.6, 0.4]], classes=[3, 0])
    assert protocol["_in_order"](fitted, job, X).tolist() == [[0.7, 0, 0, 0.3], [0.4, 0, 0, 0.6]]
