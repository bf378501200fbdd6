from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from autopytorch_lite.metrics import Metric
from autopytorch_lite.types import Task
from benchmarks.learners import Measured, contributions, main, markdown


def row(table: str, learner: str, loss: float) -> Measured:
    return Measured(table, learner, loss, fit_s=2.0, predict_s=0.5, megabytes=1.0, weight=0.5, worth=0.01)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_losses_are_averaged_over_seeds_and_ranked_by_table() -> None:
    rows = [row("a", "x", 0.2), row("a", "x", 0.4), row("a", "y", 0.1), row("b", "x", 0.5)]
    header, _, x, y = markdown(rows).splitlines()
    assert cells(header) == ["learner", "a", "b", "mean rank", "weight", "worth %", "fit s", "predict s", "MB"]
    assert cells(x) == ["x", "0.3", "0.5", "1.5", "0.5", "+1.0", "6.0", "1.5", "3.0"]
    assert cells(y) == ["y", "0.1", "–", "1", "0.5", "+1.0", "2.0", "0.5", "1.0"]


def test_what_the_others_lack_has_weight_and_worth() -> None:
    """One learner knows the first half of the classes, one the second, one nothing: the first two need each other."""
    y = np.arange(400) % 2
    sure, unsure = np.where(y[:, None] == [0, 1], 0.99, 0.01), np.full((400, 2), 0.5)
    is_early = (np.arange(400) < 200)[:, None]
    predictions = {"early": np.where(is_early, sure, unsure), "late": np.where(is_early, unsure, sure), "no": unsure}
    shares = contributions(predictions, y, Metric("neg_log_loss", Task.BINARY, 2))
    assert shares["early"][0] == pytest.approx(0.5, abs=0.05)
    assert shares["early"][1] > 0.1 < shares["late"][1]
    assert shares["no"] == (0.0, pytest.approx(0.0, abs=1e-9))


def test_learners_are_measured_on_unseen_rows(data_folder: Path) -> None:
    arguments = [str(data_folder), "--tables", "cancer", "--learners", "linear,extra_trees", "--max-rows", "300"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    losses = {cells(line)[0]: float(cells(line)[1]) for line in result.stdout.splitlines()[2:]}
    assert losses.keys() == {"linear", "extra_trees"}
    assert all(0 < loss < 0.3 for loss in losses.values())


def test_an_unknown_learner_is_one_line(data_folder: Path) -> None:
    result = CliRunner().invoke(main, [str(data_folder), "--learners", "lineal"])
    assert result.exit_code == 1
    assert "did you mean 'linear'?" in result.output
