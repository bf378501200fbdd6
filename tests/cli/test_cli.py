"""The commands on a real, tiny run: one search in a process of its own, then everything that can be done with it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_iris

from autopytorch_lite import AutoTabularClassifier
from autopytorch_lite.cli import cli
from autopytorch_lite.cli.search import _restored_split
from autopytorch_lite.errors import DataError

TINY_SPACE = {
    "format": 1,
    "name": "tiny",
    "description": "Small networks, for tests.",
    "extends": "paper",
    "edits": {
        "backbone:__choice__": "shaped_mlp",
        "backbone:shaped_mlp:num_layers": {"low": 1, "high": 2},
        "backbone:shaped_mlp:max_units": {"low": 64, "high": 80},
        "preprocessing:__choice__": "none",
    },
}
COMMANDS = ("fit", "resume", "predict", "leaderboard", "report", "space")
Invoke = Callable[..., Result]


def in_process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autopytorch_lite", *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # traced, it takes twice as long; the commands run in this one too
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def invoke() -> Invoke:
    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    iris = load_iris(as_frame=True)
    frame = iris.data.assign(
        size=np.where(iris.data.iloc[:, 0] > 5.8, "large", "small"), species=iris.target_names[iris.target]
    )
    frame.to_csv(folder / "iris.csv", index=False)
    (folder / "tiny.json").write_text(json.dumps(TINY_SPACE))
    return folder


@pytest.fixture(scope="session")
def fitted(workspace: Path) -> subprocess.CompletedProcess[str]:
    options = ["--trials", 3, "--max-budget", 2, "--min-budget", 1, "--jobs", 1, "--seed", 0, "--holdout", 0.2]
    return in_process("fit", "iris.csv", "--target", "species", "--space", "tiny.json", "--portfolio", "none",
                      "--out", "run", *options, cwd=workspace)  # fmt: skip


@pytest.fixture(scope="session")
def run_dir(workspace: Path, fitted: subprocess.CompletedProcess[str]) -> Path:
    assert fitted.returncode == 0, fitted.stderr
    return workspace / "run"


def test_fit_prints_results_on_stdout_and_progress_on_stderr(fitted: subprocess.CompletedProcess[str], run_dir: Path):
    assert "Leaderboard: 3 of 3 evaluations" in fitted.stdout
    assert re.search(r"Ensemble of \d models?: validation log loss \d", fitted.stdout)
    assert re.search(r"Held-out score on 30 rows: accuracy \d.*log loss", fitted.stdout)
    assert re.search(r"Report: .*report\.html", fitted.stdout)
    assert "new best" not in fitted.stdout
    assert "Classification of 'species': 150 rows, 5 columns (decided by" in fitted.stderr
    assert "new best" in fitted.stderr and "search ended: 3 evaluations" in fitted.stderr


def test_fit_leaves_a_whole_run_directory(run_dir: Path):
    names = {path.name for path in run_dir.iterdir()}
    assert {"run.json", "space.json", "history.jsonl", "ensemble.json", "holdout.json", "report.html", "DONE"} <= names
    holdout = json.loads((run_dir / "holdout.json").read_text())
    assert holdout["rows"] == 30
    assert json.loads((run_dir / "run.json").read_text())["dataset"]["n_rows"] == 120


def test_held_out_rows_are_scored_as_predict_predicts_them(run_dir: Path):
    from autopytorch_lite.estimator import load

    recorded = json.loads((run_dir / "holdout.json").read_text())["metrics"]["accuracy"]
    before = Path.cwd()
    os.chdir(run_dir.parent)
    try:
        plan, split = _restored_split(run_dir)
    finally:
        os.chdir(before)
    assert plan is not None and split is not None
    assert (load(run_dir).predict(split.held_X) == split.held_y.to_numpy()).mean() == pytest.approx(recorded)


def test_a_directory_that_holds_something_is_refused(invoke: Invoke, workspace: Path, run_dir: Path, tmp_path: Path):
    refused = invoke("fit", workspace / "iris.csv", "--target", "species", "--out", run_dir)  # all rows: other data
    assert refused.exit_code == 1
    assert f"{run_dir} belongs to another data set" in refused.stderr
    (tmp_path / "mine.txt").touch()
    refused = invoke("fit", workspace / "iris.csv", "--target", "species", "--out", tmp_path)
    assert refused.exit_code == 1
    assert "not empty and holds no run" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_misuse_is_one_line_on_standard_error(workspace: Path):
    for arguments in (["fit", "iris.csv"], ["fit", "--no-such-option"], ["predict", "nowhere", "iris.csv"]):
        command = [sys.executable, "-m", "autopytorch_lite", *arguments]
        done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("Error: ")


def test_leaderboard_for_people_and_for_programs(invoke: Invoke, run_dir: Path, tmp_path: Path):
    people = invoke("leaderboard", run_dir, "--top", 2)
    assert people.exit_code == 0
    assert "Leaderboard: 2 of 3 evaluations" in people.stdout
    programs = invoke("leaderboard", run_dir, "--csv")
    (tmp_path / "board.csv").write_text(programs.stdout)
    frame = pd.read_csv(tmp_path / "board.csv")
    assert len(frame) == 3 and frame["loss"].is_monotonic_increasing
    assert set(frame["learner"]) == {"neural: shaped_mlp"}


def test_report_writes_where_it_is_told(invoke: Invoke, run_dir: Path, tmp_path: Path):
    done = invoke("report", run_dir, "--out", tmp_path / "page.html")
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "page.html"))
    assert "held-out accuracy" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_predict_gives_labels_under_the_name_of_the_target(
    invoke: Invoke, workspace: Path, run_dir: Path, tmp_path: Path
):
    out = tmp_path / "new" / "labels.csv"
    assert invoke("predict", run_dir, workspace / "iris.csv", "--out", out).exit_code == 0
    labels = pd.read_csv(out)
    assert list(labels) == ["species"] and len(labels) == 150
    assert set(labels["species"]) <= {"setosa", "versicolor", "virginica"}


def test_predict_gives_probabilities_on_standard_output(invoke: Invoke, workspace: Path, run_dir: Path, tmp_path: Path):
    pd.read_csv(workspace / "iris.csv").drop(columns="species").head(7).to_csv(tmp_path / "new.csv", index=False)
    done = invoke("predict", run_dir, tmp_path / "new.csv", "--proba")
    (tmp_path / "out.csv").write_text(done.stdout)
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame) == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(frame.sum(axis=1), 1.0, rtol=1e-6)
    assert len(frame) == 7


def test_predictions_are_written_as_parquet_too_but_not_as_anything(
    invoke: Invoke, workspace: Path, run_dir: Path, tmp_path: Path
):
    pytest.importorskip("pyarrow")
    assert invoke("predict", run_dir, workspace / "iris.csv", "--out", tmp_path / "p.parquet").exit_code == 0
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == 150
    refused = invoke("predict", run_dir, workspace / "iris.csv", "--out", tmp_path / "p.xlsx")
    assert refused.exit_code == 1 and ".csv or .parquet" in refused.stderr


def test_a_missing_column_fails_with_one_line_and_debug_shows_the_traceback(
    invoke: Invoke, workspace: Path, run_dir: Path, tmp_path: Path
):
    pd.read_csv(workspace / "iris.csv").drop(columns="size").to_csv(tmp_path / "new.csv", index=False)
    failed = invoke("predict", run_dir, tmp_path / "new.csv")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: ") and "size" in failed.stderr
    assert failed.stderr.count("\n") == 1 and failed.stdout == ""
    shown = invoke("predict", run_dir, tmp_path / "new.csv", "--debug")
    assert shown.exit_code == 1 and type(shown.exception).__name__ == "DataError"


def test_resume_continues_and_scores_the_held_out_rows_again(workspace: Path, run_dir: Path):
    more = in_process("resume", "run", "--trials", 5, "--jobs", 1, "--quiet", cwd=workspace)
    assert more.returncode == 0, more.stderr
    assert "of 5 evaluations" in more.stdout and "Held-out score on 30 rows" in more.stdout
    assert more.stderr == ""


def test_rules_end_the_search_and_resume_replaces_them(invoke: Invoke, workspace: Path, tmp_path: Path):
    run_dir = tmp_path / "run"
    options = ["--portfolio", "none", "--min-budget", 1, "--max-budget", 1, "--jobs", 1, "--seed", 0, "--quiet"]
    rules = ["--stop", "TargetLoss:value=0", "--stop", "MaxEvaluations:n=2", "--stop-trials", 90]
    done = invoke("fit", workspace / "iris.csv", "--target", "species", "--space", workspace / "tiny.json",
                  "--out", run_dir, *options, *rules)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    arguments = json.loads((run_dir / "run.json").read_text())["arguments"]
    assert [rule["rule"] for rule in arguments["stop"]] == ["TargetLoss", "MaxEvaluations"]
    assert arguments["stop_trials"]["percentile"] == 90
    assert json.loads((run_dir / "ended.json").read_text())["reason"] == "limit of 2 evaluations"
    for changes, reason in (
        (["--stop", "NoImprovement:n_evaluations=1,seconds=1e6"], "no improvement in 1 evaluation"),
        (["--stop", "none", "--trials", 5], "limit of 5 evaluations"),
    ):
        more = invoke("resume", run_dir, *changes, "--jobs", 1, "--quiet")
        assert more.exit_code == 0, more.stderr
        assert json.loads((run_dir / "ended.json").read_text())["reason"] == reason


def test_the_space_of_a_run_and_of_a_name(invoke: Invoke, run_dir: Path):
    of_run = invoke("space", run_dir)
    assert of_run.exit_code == 0 and "backbone:shaped_mlp:max_units" in of_run.stdout
    assert "64 .. 80" in of_run.stdout
    by_name = invoke("space", "paper", "--task", "binary", "--categorical", 2)
    assert "embedding:learned:dimension_reduction_1" in by_name.stdout
    assert "embedding:learned:dimension_reduction_2" not in by_name.stdout
    assert "paper" in invoke("space", "--list").stdout


def test_the_paper_space_shows_every_row_of_the_papers_table(invoke: Invoke):
    shown = invoke("space", "paper").stdout
    names = (
        "batch_size", "sgd:momentum", "adam:learning_rate", "shaped_mlp:num_layers", "max_shake_drop_probability",
        "truncated_svd:target_dim", "mixup:alpha", "min_unique_values_for_embedding", "dimension_reduction_0",
    )  # fmt: skip
    assert [name for name in names if name not in shown] == []
    assert "10 .. 256" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("fit",), 2, "Missing argument 'TABLE'"),
        (("fit", "sklearn:iris", "--time", "-3"), 2, "-3.0 is not in the range"),
        (("fit", "sklearn:iris", "--holdout", "1.5"), 2, "is not in the range"),
        (("fit", "sklearn:iris", "--resampling", "often"), 2, "a number of folds"),
        (("fit", "sklearn:iris", "--column-kind", "size"), 2, "COLUMN=numeric"),
        (("fit", "sklearn:iris", "--stop", "NoImprovemnt:seconds=3"), 2, "did you mean 'NoImprovement'?"),
        (("fit", "sklearn:iris", "--stop", "NoImprovement:seconds=soon"), 2, "not 'NoImprovement:seconds=soon'"),
        (("fit", "sklearn:iris", "--stop", "TargetLoss"), 2, "TargetLoss needs 'value'"),
        (("fit", "sklearn:iris", "--stop-trials", "100"), 2, "is not in the range"),
        (("fit", "sklearn:irsi"), 1, "did you mean 'iris'?"),
        (("fit", "sklearn:iris", "--target", "spezies"), 1, "Unknown target column"),
        (("fit", "absent.csv", "--target", "y"), 1, "absent.csv"),
        (("leaderboard", "absent"), 2, "does not exist"),
        (("space", "papper"), 1, "did you mean 'paper'?"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_misuse_and_failure_have_their_own_exit_status(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    message: str,
):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert (result.exit_code, message in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_target_lists_its_columns(invoke: Invoke, workspace: Path):
    misused = invoke("fit", workspace / "iris.csv")
    assert misused.exit_code == 2 and "species" in misused.stderr


def test_a_folder_without_a_run_is_named(invoke: Invoke, tmp_path: Path):
    for command in (["leaderboard"], ["report"], ["resume"], ["space"]):
        failed = invoke(*command, tmp_path)
        assert failed.exit_code == 1 and str(tmp_path) in failed.stderr, command


@pytest.mark.parametrize(("flags", "refit"), [([], "auto"), (["--refit"], True), (["--no-refit"], False)])
def test_whether_models_are_trained_again_is_the_estimators_choice_unless_said(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], refit: object
):
    asked = []

    def fit(self: AutoTabularClassifier, X: object, y: object) -> None:
        asked.append(self.refit)
        raise DataError("enough")

    monkeypatch.setattr(AutoTabularClassifier, "fit", fit)
    assert invoke("fit", "sklearn:breast_cancer", "--out", tmp_path / "run", *flags).exit_code == 1
    assert asked == [refit]


def test_every_command_has_help_with_an_example(invoke: Invoke):
    assert all(command in invoke("--help").stdout for command in COMMANDS)
    for command in COMMANDS:
        shown = invoke(command, "--help")
        assert shown.exit_code == 0 and f"autopytorch-lite {command}" in shown.stdout.partition("Example")[2]


def test_help_is_quick_because_nothing_heavy_is_imported(tmp_path: Path):
    code = (
        "import sys; from autopytorch_lite.cli import cli; cli(['--help'], standalone_mode=False);"
        "print([name for name in ('torch', 'sklearn', 'pandas', 'numpy', 'plotly', 'rich') if name in sys.modules])"
    )
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert time.perf_counter() - start < 5  # about 0.2 s on an idle machine


def test_the_version_is_printed(invoke: Invoke):
    assert invoke("--version").stdout.strip()


def test_a_quiet_fit_of_numbers_says_nothing_but_results(
    invoke: Invoke, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=120), "b": rng.choice(["u", "v"], 120)})
    frame.assign(y=2 * frame["a"] + rng.normal(size=120)).to_csv("numbers.csv", index=False)
    done = invoke("fit", "numbers.csv", "--target", "y", "--space", workspace / "tiny.json", "--portfolio", "none",
                  "--trials", 2, "--min-budget", 1, "--max-budget", 2, "--jobs", 1, "--seed", 0, "--holdout", 0.2,
                  "--column-kind", "b=categorical", "--learners", "neural,shaped_mlp", "--quiet",
                  "--max-predict-ms-per-row", 5000)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "ms for one row" in done.stdout
    assert re.search(r"Held-out score on 24 rows: RMSE .*R²", done.stdout)
    assert done.stderr == ""
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert run_dir.name.startswith("numbers-")
    refused = invoke("predict", run_dir, "numbers.csv", "--proba")
    assert refused.exit_code == 2 and "--proba is for classification" in refused.stderr
    frame.assign(y=0.0).to_csv("numbers.csv", index=False)
    assert _restored_split(run_dir) == (None, None)
