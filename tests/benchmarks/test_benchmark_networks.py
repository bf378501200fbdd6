from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from autopytorch_lite.types import DatasetInfo, Task
from benchmarks.networks import NETWORKS, configuration, main, table_of

INFO = DatasetInfo(Task.BINARY, 100, 3, (4, 20), 2, (50, 50))


def test_every_change_takes_effect() -> None:
    """Adapting drops what is inactive without a word."""
    for name, changes in NETWORKS.items():
        config = configuration(changes, INFO)
        assert {key: config.get(key) for key in changes} == changes, name


def test_networks_are_trained_and_compared(data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    arguments = ["--tables", "iris,diabetes", "--networks", "realmlp,tabm", "--epochs", "2", "--max-rows", "100"]
    arguments += ["--set", '{"backbone:tabm:width": 32}', "--out", str(out)]
    result = CliRunner().invoke(main, [str(data_folder), *arguments])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["table"], row["network"]) for row in rows] == [
        (table, network) for table in ("iris", "diabetes") for network in ("realmlp", "tabm")
    ]
    assert all(row["loss"] > 0 and row["n_epochs"] == row["budget"] == 2 for row in rows)
    assert rows[0]["n_train"] < 67
    assert table_of(rows) in result.output


def test_unknown_networks_are_named(data_folder: Path, tmp_path: Path) -> None:
    arguments = [str(data_folder), "--networks", "tapm", "--out", str(tmp_path / "rows.jsonl")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "tabm" in result.output
