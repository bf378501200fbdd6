from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autopytorch_lite.errors import DataError, HistoryError
from benchmarks.tabular.results import Results, RowKey, comparison, read_rows

CONFIG = {"constraint": {"time_limit_s": 60}}


def row(table: str, system: str, seed: int, log_loss: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    metrics = {"log_loss": log_loss, "accuracy": accuracy, "balanced_accuracy": accuracy, "roc_auc": 0.9}
    cost = {"fit_seconds": 10.0, "predict_seconds": 1.0, "overrun_seconds": None, "peak_memory_mb": 500.0, "facts": {}}
    key = {"table": table, "system": system, "seed": seed}
    return {**key, "task": "binary", "status": "ok", "reason": "", "metrics": metrics, **cost, **changes}


def failed(table: str, system: str, seed: int) -> dict[str, Any]:
    key = {"table": table, "system": system, "seed": seed}
    return {**key, "task": "binary", "status": "failed", "reason": "MemoryError: too large", "traceback": ""}


def test_rows_survive_the_process_and_count_as_done(tmp_path: Path) -> None:
    key = RowKey("adult", "hgb", 0)
    Results(tmp_path, CONFIG).append(key, row(*key, 0.3, 0.87))
    again = Results(tmp_path, CONFIG)
    assert again.is_done(key, "a revision")
    assert not again.is_done(RowKey("adult", "hgb", 1), "a revision")
    assert again.rows[key]["metrics"]["log_loss"] == 0.3


def test_a_torn_last_row_is_cut_off_and_appending_goes_on(tmp_path: Path) -> None:
    results = Results(tmp_path, CONFIG)
    for seed in range(2):
        results.append(RowKey("adult", "hgb", seed), row("adult", "hgb", seed, 0.3, 0.87))
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text()[:-20])
    again = Results(tmp_path, CONFIG)
    assert list(again.rows) == [RowKey("adult", "hgb", 0)]
    again.append(RowKey("adult", "hgb", 1), row("adult", "hgb", 1, 0.3, 0.87))
    assert len(Results(tmp_path, CONFIG).rows) == 2


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"table": "a", "system": "hgb", "seed": 0}\n{"table"\n')
    with pytest.raises(HistoryError, match=r"Line 2 of .*results\.jsonl"):
        Results(tmp_path, CONFIG)


def test_results_under_another_constraint_are_not_mixed(tmp_path: Path) -> None:
    Results(tmp_path, CONFIG)
    with pytest.raises(HistoryError, match="holds results under"):
        Results(tmp_path, {"constraint": {"time_limit_s": 120}})


def test_a_row_of_another_revision_or_of_a_missing_environment_is_measured_again(tmp_path: Path) -> None:
    results = Results(tmp_path, CONFIG)
    old, absent = RowKey("adult", "flaml", 0), RowKey("adult", "tabm", 0)
    results.append(old, row(*old, 0.3, 0.87, revision="a"))
    results.append(absent, {**failed(*absent), "status": "unavailable", "revision": "a"})
    assert results.is_done(old, "a")
    assert not results.is_done(old, "b")
    assert not results.is_done(absent, "a")


def test_forgotten_systems_are_gone_from_the_file(tmp_path: Path) -> None:
    results = Results(tmp_path, CONFIG)
    for name in ("hgb", "ours-all"):
        results.append(RowKey("adult", name, 0), row("adult", name, 0, 0.3, 0.87))
    results.forget(["ours-all"])
    assert [row["system"] for row in read_rows(tmp_path)] == ["hgb"]
    assert not results.is_done(RowKey("adult", "ours-all", 0), "")
    results.forget(["hgb"])
    with pytest.raises(DataError, match="holds no results"):
        read_rows(tmp_path)


def test_results_that_tell_no_metric_were_made_for_log_loss(tmp_path: Path) -> None:
    Results(tmp_path, CONFIG)
    Results(tmp_path, {"constraint": {"time_limit_s": 60, "binary_metric": "log_loss"}})
    with pytest.raises(HistoryError, match="holds results under"):
        Results(tmp_path, {"constraint": {"time_limit_s": 60, "binary_metric": "roc_auc"}})


def test_a_row_is_compared_by_the_metric_that_was_told() -> None:
    rows = [row("a", "hgb", 0, 0.4, 0.8, metric="roc_auc"), row("a", "ours-all", 0, 0.2, 0.8, metric="roc_auc")]
    assert "lower loss on 0 of 1" in comparison(rows)


def test_done_is_written_last_and_removed_by_a_new_start(tmp_path: Path) -> None:
    results = Results(tmp_path, CONFIG)
    results.append(RowKey("adult", "hgb", 0), row("adult", "hgb", 0, 0.3, 0.87))
    assert not (tmp_path / "DONE").exists()
    results.finish()
    assert (tmp_path / "DONE").exists()
    Results(tmp_path, CONFIG)
    assert not (tmp_path / "DONE").exists()


def test_losses_are_compared_seed_by_seed_with_the_baseline() -> None:
    rows = [
        row("adult", "hgb", 0, 0.40, 0.80),
        row("adult", "ours-all", 0, 0.20, 0.90),
        row("adult", "hgb", 1, 0.20, 0.90),
        row("adult", "ours-all", 1, 0.20, 0.80, overrun_seconds=1.5, facts={"evaluations": {"ok": 5, "crashed": 1}}),
    ]
    line = next(line for line in comparison(rows).splitlines() if line.startswith("adult  ours-all"))
    # loss ratios 0.5 and 1, error ratios 0.5 and 2
    assert " ".join(line.split()) == "adult ours-all 2/2 0.2 -25.0 % 0.8500 +25.0 % 0.9000 10.0 1.5 500 6"


def test_the_summary_is_a_geometric_mean_over_tables() -> None:
    rows = [row("a", "hgb", 0, 0.4, 0.8), row("b", "hgb", 0, 0.1, 0.9)]
    rows += [row("a", "ours-all", 0, 0.2, 0.8), row("b", "ours-all", 0, 0.2, 0.9)]
    assert "ours-all: loss +0.0 %, error +0.0 % against hgb" in comparison(rows)
    assert comparison(rows).endswith("lower loss on 1 of 2")


def test_a_failure_is_a_row_and_not_a_hole() -> None:
    text = comparison([row("adult", "hgb", 0, 0.3, 0.87), failed("adult", "ours-all", 0)])
    assert "adult  ours-all    0/1  failed" in text
    assert "failed: adult ours-all seed 0: MemoryError: too large" in text


def test_a_perfect_baseline_leaves_the_ratio_open() -> None:
    text = comparison([row("car", "hgb", 0, 0.01, 1.0), row("car", "ours-all", 0, 0.02, 0.99)])
    assert "+100.0 %" in text
    assert "error  against" in text
