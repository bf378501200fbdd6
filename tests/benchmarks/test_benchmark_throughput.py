from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.throughput import import_seconds, main, rates


def test_rates_count_what_succeeded_and_only_the_epochs_trained() -> None:
    history = pd.DataFrame(
        {
            "status": ["ok", "crashed", "ok", "cancelled"],
            "budget": [5, 5, 15, 15],
            "resume_from": pd.array([None, None, 5, None], dtype="Int64"),
            "finished_s": [10.0, 12.0, 30.0, 60.0],
        }
    )
    measured = rates(history)
    assert measured == {
        "n_evaluations": 2,
        "n_failed": 1,
        "n_epochs": 15,
        "evaluations_per_minute": 4.0,
        "epochs_per_minute": 30.0,
    }


def test_importing_the_package_is_quick() -> None:
    assert import_seconds(repeats=1) < 1


def test_the_speed_of_a_search_is_measured(data_folder: Path) -> None:
    arguments = [str(data_folder), "--table", "cancer", "--space", "lcbench", "--seconds", "30", "--n-trials", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    measured = json.loads(result.output)
    assert measured["n_evaluations"] == 2
    assert 0 < measured["first_result_seconds"] < measured["fit_seconds"] < 35
    assert measured["evaluations_per_minute"] == pytest.approx(
        measured["epochs_per_minute"] / measured["n_epochs"] * measured["n_evaluations"]
    )
