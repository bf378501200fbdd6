from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from benchmarks.tabular import main


def run(folder: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [str(folder), "--out", str(out), *arguments])


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_both_systems_are_measured_on_the_same_unseen_rows(data_folder: Path, tmp_path: Path) -> None:
    arguments = ("--tables", "iris", "--n-trials", "2", "--time", "60", "--learners", "neural")
    result = run(data_folder, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    baseline, ours = rows(tmp_path)
    assert (baseline["system"], ours["system"]) == ("hgb", "ours-neural")
    for row in (baseline, ours):
        assert row["status"] == "ok", row["reason"]
        assert (row["n_train"], row["n_test"]) == (100, 50)
        assert set(row["metrics"]) == {"accuracy", "balanced_accuracy", "log_loss", "roc_auc"}
        assert row["fit_seconds"] > 0
        assert row["peak_memory_mb"] > 50
    assert baseline["metrics"]["accuracy"] > 0.8
    assert baseline["overrun_seconds"] is None
    assert ours["overrun_seconds"] < 5
    assert sum(ours["facts"]["evaluations"].values()) == 2
    assert (tmp_path / "DONE").exists()
    assert "iris   ours-neural" in result.output

    again = run(data_folder, tmp_path, *arguments)
    assert "seed 0" not in again.output
    assert len(rows(tmp_path)) == 2


def test_a_system_that_fails_is_a_row_and_the_others_go_on(data_folder: Path, tmp_path: Path) -> None:
    arguments = ("--tables", "diabetes", "--n-trials", "1", "--learners", "shaped_lmp")
    result = run(data_folder, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    baseline, ours = rows(tmp_path)
    assert set(baseline["metrics"]) == {"rmse", "r2"}
    assert ours["status"] == "failed"
    assert "shaped_lmp" in ours["reason"]
    assert "Traceback" in ours["traceback"]
    assert "failed: diabetes ours-shaped_lmp seed 0" in result.output


def test_a_misuse_is_told_before_anything_runs(data_folder: Path, tmp_path: Path) -> None:
    assert run(data_folder, tmp_path / "a").exit_code == 2
    unknown = run(data_folder, tmp_path / "b", "--time", "5", "--tables", "irs")
    assert unknown.exit_code == 1
    assert "did you mean 'iris'" in unknown.output
    assert not (tmp_path / "b").exists()
