from dataclasses import replace
from pathlib import Path

import pytest

from autopytorch_lite.report.record import RunRecord, read_run
from autopytorch_lite.report.summary import ensemble_text, failures_text, holdout_text
from autopytorch_lite.types import Task

EMPTY = RunRecord(Path("nowhere"), {"task": "binary", "metric": "log_loss", "dataset": {}}, [], None, None, False)


@pytest.mark.parametrize("text_of", [ensemble_text, failures_text, holdout_text])
def test_a_run_with_nothing_to_tell_says_nothing(text_of):
    assert text_of(EMPTY) == ""


def test_a_finished_run_is_summed_up(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.MULTICLASS])
    heading, *members = ensemble_text(run).splitlines()
    assert heading.startswith("Ensemble of 5 models: validation log loss 0.")
    assert len(members) == 5 and members[0].startswith("  0.333  configuration ")
    assert holdout_text(run) == "Held-out score on 150 rows: accuracy 0.9510, log loss 0.1700, balanced accuracy 0.9490"
    n_failed = sum(getattr(line, "error", "") != "" for line in run.lines)
    assert failures_text(run).startswith(f"{n_failed} of ") == (n_failed > 0)


def test_models_of_all_rows_are_counted(finished_runs: dict[Task, Path]):
    run = read_run(finished_runs[Task.MULTICLASS])
    assert run.ensemble is not None and "all rows" not in ensemble_text(run)
    one = replace(run, ensemble={**run.ensemble, "refitted": [{"config_id": 0, "budget": 1}]})
    assert "\n  1 of them is trained again on all rows\n" in ensemble_text(one)


@pytest.mark.parametrize(
    ("temperature", "shift", "said"),
    [
        (0.7, 0.0, "surer (temperature 0.70)"),
        (1.3, -0.2, "less sure (temperature 1.30) and lower for the second class (log odds -0.20)"),
        (1.0, 1.1, "higher for the second class (log odds +1.10)"),
        (1.01, 0.01, None),
    ],
)
def test_a_calibration_worth_a_line_is_told(finished_runs: dict[Task, Path], temperature, shift, said):
    run = read_run(finished_runs[Task.MULTICLASS])
    text = ensemble_text(replace(run, ensemble={**run.ensemble, "temperature": temperature, "shift": shift}))
    assert f"  its probabilities are made {said} than the mean of its models" in text if said else "made" not in text
