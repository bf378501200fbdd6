from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autopytorch_lite.errors import DataError
from benchmarks.tabular.__main__ import main
from benchmarks.tabular.parts import ENSEMBLE
from benchmarks.tabular.worth import WHOLE, losses_of_systems, worth_table


@pytest.mark.parametrize("table", ["iris", "diabetes"])
def test_parts_of_a_kept_run_are_left_out_and_the_whole_has_the_loss_of_its_row(
    data_folder: Path, tmp_path: Path, table: str
) -> None:
    arguments = ("--tables", table, "--n-trials", "4", "--systems", "ours-no-refit", "--keep-runs")
    fitted = CliRunner().invoke(main, [str(data_folder), "--out", str(tmp_path), *arguments])
    assert fitted.exit_code == 0, fitted.output
    result = CliRunner().invoke(main, ["parts", str(tmp_path), str(data_folder)])
    assert result.exit_code == 0, result.output

    row = json.loads((tmp_path / "results.jsonl").read_text())
    told = json.loads((tmp_path / "parts.jsonl").read_text())
    losses = told["losses"]
    assert (told["table"], told["seed"]) == (table, 0)
    assert losses[WHOLE] == pytest.approx(row["metrics"][row["metric"]], rel=1e-6)
    families = set(losses) - {WHOLE, ENSEMBLE, "networks", "boosting"}
    assert len(families) >= 2
    assert all(loss > 0 for loss in losses.values())
    assert any(losses[name] != losses[WHOLE] for name in families)
    assert "| an ensemble (the best model instead) |" in result.output


def test_the_table_tells_growths_of_the_loss_most_first() -> None:
    losses = [
        {WHOLE: 0.1, ENSEMBLE: 0.11, "linear": 0.1},
        {WHOLE: 2.0, ENSEMBLE: 2.2, "linear": 1.8, "catboost": 3.0},
    ]
    header, _, catboost, ensemble, linear = worth_table(losses, "without")
    assert header.startswith("| without | loss |")
    assert catboost == "| catboost | +50.0 % | +50.0 % to +50.0 % | +50.0 % | 1 of 1 | 0 |"
    assert ensemble == f"| {ENSEMBLE} | +10.0 % | +10.0 % to +10.0 % | +10.0 % | 2 of 2 | 0 |"
    assert linear == "| linear | -5.1 % | -10.0 % to +0.0 % | -5.1 % | 0 of 2 | 1 |"


def test_systems_are_compared_with_the_whole_one_where_both_have_a_result() -> None:
    def row(table: str, system: str, auc: float | None) -> dict[str, Any]:
        found = {"table": table, "system": system, "seed": 0, "metric": "roc_auc", "metrics": {"roc_auc": auc}}
        return {**found, "status": "failed" if auc is None else "ok"}

    rows = [
        row("a", "ours-all", 0.9),
        row("a", "ours-bohb", 0.8),
        row("b", "ours-all", None),
        row("b", "ours-bohb", 0.9),
    ]
    assert losses_of_systems(rows, "ours-all") == [{WHOLE: pytest.approx(0.1), "ours-bohb": pytest.approx(0.2)}]
    with pytest.raises(DataError, match="no result of ours-neural"):
        losses_of_systems(rows, "ours-neural")


def test_validation_losses_of_a_moment_are_compared_where_there_were_ensembles() -> None:
    def row(system: str, *trajectory: tuple[float, float]) -> dict[str, Any]:
        return {"table": "a", "system": system, "seed": 0, "status": "ok", "facts": {"trajectory": trajectory}}

    rows = [row("ours-all", (1, 0.5), (4, 0.3)), row("ours-bohb", (2, 0.4), (3, 0.35)), row("ours-random", (6, 0.2))]
    rows.append({"table": "a", "system": "hgb", "seed": 0, "status": "ok", "facts": {}})
    assert losses_of_systems(rows, "ours-all", 3.5) == [{WHOLE: 0.5, "ours-bohb": 0.35}]
    assert losses_of_systems(rows, "ours-all", 60) == [{WHOLE: 0.3, "ours-bohb": 0.35, "ours-random": 0.2}]


def test_runs_that_were_not_kept_are_missed(data_folder: Path, tmp_path: Path) -> None:
    fitted = CliRunner().invoke(main, [str(data_folder), "--out", str(tmp_path), "--tables", "iris", "--n-trials", "1"])
    assert fitted.exit_code == 0, fitted.output
    result = CliRunner().invoke(main, ["parts", str(tmp_path), str(data_folder), "--system", "ours-all"])
    assert result.exit_code == 1
    assert "holds no run of ours-all; --keep-runs keeps them" in result.output
