from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autopytorch_lite.errors import DataError
from benchmarks.tabular.__main__ import main
from benchmarks.tabular.figures import anytime_figure
from benchmarks.tabular.summary import summarise


def row(table: str, system: str, auc: float | None, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A result by ROC AUC; None: it failed."""
    key = {"table": table, "system": system, "seed": seed, "task": "binary", "metric": "roc_auc"}
    if auc is None:
        return {**key, "status": "failed", "reason": "MemoryError: too\nlarge", "traceback": "", **changes}
    metrics = {"accuracy": 0.8, "log_loss": 0.4, "roc_auc": auc}
    cost = {"fit_seconds": 10.0, "overrun_seconds": 1.0, "peak_memory_mb": 500.0, "predict_row_ms": 2.0, "facts": {}}
    return {**key, "status": "ok", "reason": "", "metrics": metrics, **cost, **changes}


ROWS = [
    row("a", "hgb", 0.8),
    row("a", "flaml", 0.9, overrun_seconds=3.0),
    row("a", "tabm", 0.7),
    row("b", "hgb", 0.8),
    row("b", "hgb", 0.6, seed=1),  # the others have no second seed
    row("b", "flaml", None),
    row("b", "tabm", 0.9),
    row("c", "hgb", 0.8),  # the others have no such table
    row("a", "catboost", None, status="unavailable"),
]


def test_the_comparison_is_made_of_what_all_have() -> None:
    summary = summarise(ROWS)
    assert summary.tables == ("a", "b")
    assert set(summary.compared) == {"hgb", "flaml", "tabm"}
    of = {entry.name: entry for entry in summary.entries}
    assert {name: of[name].rank.mean for name in summary.compared} == {"hgb": 2, "flaml": 2, "tabm": 2}  # type: ignore[union-attr]
    assert [entry.name for entry in summary.entries] == [*summary.compared, "catboost"]
    assert of["catboost"].rank is None
    assert (of["hgb"].n_ok, of["hgb"].n_rows) == (4, 4)
    assert of["flaml"].overrun_seconds == 3.0
    column = summary.losses[:, summary.compared.index("hgb")]
    assert column == pytest.approx([0.2, 0.2])


def test_a_failure_on_one_seed_is_a_failure_on_the_table() -> None:
    rows = [row("a", name, 0.9, seed) for name in ("hgb", "tabm") for seed in range(2)]
    rows[-1] = row("a", "tabm", None, 1)
    summary = summarise(rows)
    assert summary.compared == ("hgb", "tabm")
    assert summary.wins[0][1].mean == 1


def test_systems_are_listed_by_mean_rank() -> None:
    rows = [row("a", name, auc) for name, auc in (("hgb", 0.7), ("mlp", 0.8), ("tabm", 0.9))]
    assert [entry.name for entry in summarise(rows).entries] == ["tabm", "mlp", "hgb"]


def test_nothing_in_common_is_no_comparison() -> None:
    summary = summarise([row("a", "hgb", 0.9), row("b", "tabm", 0.9)])
    assert summary.tables == summary.compared == ()
    assert [entry.name for entry in summary.entries] == ["hgb", "tabm"]
    with pytest.raises(DataError):
        summarise([])


def test_tables_and_page_are_made_from_the_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    result = CliRunner().invoke(main, ["table", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "results.md").read_text()
    assert "| b | 1 - roc_auc |" in text
    assert "**0.1**" in text
    assert "- flaml, b seed 0: MemoryError: too large" in text
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["losses"][1][summary["compared"].index("flaml")] is None
    page = (tmp_path / "page.html").read_text()
    assert page.count("plotly.js v") == 1
    assert "critical difference 2.34" in page
    only = CliRunner().invoke(main, ["table", str(tmp_path), "--systems", "hgb,tabm"])
    assert "flaml" not in only.output
    wrong = CliRunner().invoke(main, ["table", str(tmp_path), "--systems", "tabn"])
    assert "did you mean 'tabm'" in wrong.output


def test_losses_over_time_are_scaled_by_table() -> None:
    trajectories = {
        "ours-all": {"a": [(1.0, 0.5), (10.0, 0.3)], "b": [(1.0, -3.0)]},
        "ours-bohb": {"a": [(2.0, 0.7), (100.0, 0.5)]},
    }
    first, second = anytime_figure(trajectories).data
    # on table a: 0.3 is 0 and 0.7 is 1; nothing before 2 s is 1 as well
    assert (first.y[0], first.y[-1]) == (pytest.approx(0.5), 0)
    assert (second.y[0], second.y[-1]) == (1, pytest.approx(0.5))
