"""The report page of a search over a plain function: no table, no model, no ensemble."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ConfigSpace import ConfigurationSpace, EqualsCondition

from autopytorch_lite import ProgressBar, load, tune, write_report
from autopytorch_lite.cli import cli
from autopytorch_lite.errors import HistoryError
from autopytorch_lite.execution.base import Checkpoint, Result
from autopytorch_lite.history.store import RunDirectory, read_json
from autopytorch_lite.report.record import read_run
from autopytorch_lite.search import Hyperband, RandomSearch
from autopytorch_lite.stopping import PercentileStopping
from autopytorch_lite.types import Config


def space() -> ConfigurationSpace:
    made = ConfigurationSpace({"rate": (0.1, 1.0), "kind": ["a", "b"], "momentum": (0.0, 0.9)})
    made.add(EqualsCondition(made["momentum"], made["kind"], "a"))
    return made


def trained(config: Config, budget: int, checkpoint: Checkpoint) -> Result:
    if float(config["rate"]) > 0.9:
        raise ValueError("rate too large")
    curve: list[float] = []
    while len(curve) < budget and not checkpoint.should_stop(curve):
        curve.append(float(config["rate"]) + 1 / (len(curve) + 1))
    return Result(curve[-1], tuple(curve))


def page_of(folder: Path) -> str:
    html = write_report(folder).read_text(encoding="utf-8")
    return re.sub(r"<script.*?</script>", "", html, flags=re.S)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    rule = PercentileStopping(50, min_trials=3, grace_epochs=2)
    tune(Hyperband(space(), max_budget=9, seed=1), trained, run_dir=folder, n_trials=30, stop_trials=rule)
    return folder


def test_the_page_shows_what_there_is_and_nothing_else(run_dir: Path) -> None:
    page = page_of(run_dir)
    assert "<h1>Search by Hyperband</h1>" in page
    assert "limit of 30 evaluations, after" in page
    assert re.search(r"<h2>Best configuration</h2>.*<dt>rate</dt><dd>0\.\d+</dd>", page, flags=re.S)
    assert re.search(r"\d failed, \d+ ended early", page)
    assert "<dt>hyperparameters</dt><dd>3: kind, rate, momentum</dd>" in page
    assert "ValueError: rate too large" in page
    assert "ConfigSpace" in page, "versions"
    for absent in ("ensemble", "Held-out", "Predictions", "validation", "learner", "model", "None<", "had not ended"):
        assert absent not in page.partition("</style>")[2], absent


def test_the_leaderboard_shows_configurations_where_they_are_small(run_dir: Path, tmp_path: Path) -> None:
    headings = re.findall(r"<th[^>]*>([^<]*)</th>", page_of(run_dir))
    assert {"rate", "kind", "momentum"} <= set(headings)
    wide = ConfigurationSpace({f"x{n}": (0.0, 1.0) for n in range(9)})
    tune(RandomSearch(wide, max_budget=1), lambda config, budget, checkpoint: 1.0, run_dir=tmp_path, n_trials=2)
    assert "x3" not in re.findall(r"<th[^>]*>([^<]*)</th>", page_of(tmp_path))


def test_a_run_that_was_killed_or_interrupted_says_that_it_has_not_ended(run_dir: Path, tmp_path: Path) -> None:
    def interrupted(config: Config, budget: int, checkpoint: Checkpoint) -> float:
        if checkpoint.config_id == 2:
            raise KeyboardInterrupt
        return 1.0

    assert read_run(run_dir).is_done
    result = tune(RandomSearch(space(), max_budget=1), interrupted, run_dir=tmp_path)
    assert result.reason == "interrupted"
    assert not read_run(tmp_path).is_done
    assert "had not ended when the page was written; 1 evaluation had no result" in page_of(tmp_path)
    RunDirectory(tmp_path).ended.unlink()
    assert not read_run(tmp_path).is_done


def test_commands_work_on_such_a_run_or_say_why_not(run_dir: Path) -> None:
    def call(*arguments: Any) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    assert call("report", run_dir).output.strip().endswith("report.html")
    board = call("leaderboard", run_dir)
    assert board.exit_code == 0
    assert "learner" not in board.output
    assert call("resume", run_dir).exit_code == 1
    with pytest.raises(HistoryError, match="no model"):
        load(run_dir)
    assert read_json(RunDirectory(run_dir).run)["versions"]["numpy"]


def test_a_progress_bar_is_a_callback(capsys: pytest.CaptureFixture[str]) -> None:
    tune(RandomSearch(space(), max_budget=1), lambda *_: 1.0, n_trials=4, callbacks=[ProgressBar()])
    assert capsys.readouterr().err.endswith("search ended: 4 evaluations, best loss 1.000 (limit of 4 evaluations)\n")
