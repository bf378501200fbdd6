from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from autopytorch_lite.execution.costs import load_prior
from autopytorch_lite.execution.work import FAMILIES
from benchmarks.costs import Row, drawn, fitted, made_table, main, report

TRUTH = {"fit": 0.02, "cells": 3e-8, "trees": 1e-3}


def rows(n: int = 60, noise: float = 0.1, seed: int = 0) -> list[Row]:
    """Evaluations that take what `TRUTH` says; every third is of the same table."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        amounts = {"fit": 1.0, "cells": 10 ** rng.uniform(4, 8), "trees": 10 ** rng.uniform(1, 3), "other": 1e3}
        seconds = sum(TRUTH.get(kind, 0.0) * amount for kind, amount in amounts.items())
        row = {"family": "f", "table": number // 3, "amounts": amounts}
        made.append(row | {"seconds": seconds * np.exp(noise * rng.standard_normal())})
    return made


def test_what_operations_take_is_found_and_what_takes_nothing_is_left_out() -> None:
    costs = fitted(rows())["f"]
    assert costs.seconds["cells"] == pytest.approx(TRUTH["cells"], rel=0.2)
    assert costs.seconds["trees"] == pytest.approx(TRUTH["trees"], rel=0.2)
    assert costs.seconds.get("other", 0.0) < 1e-4
    assert 0.4 <= fitted(rows(noise=0.5))["f"].configuration_deviation <= 0.65


def test_networks_share_factors_but_for_a_multiple() -> None:
    slow = [row | {"family": "neural:slow", "seconds": 3 * row["seconds"]} for row in rows(seed=1)]
    costs = fitted([row | {"family": "neural:quick"} for row in rows()] + slow)
    assert costs.keys() == {"neural:quick", "neural:slow"}
    for kind, seconds in costs["neural:quick"].seconds.items():
        assert costs["neural:slow"].seconds[kind] == pytest.approx(3 * seconds, rel=0.1)


def test_predictions_are_judged_on_tables_that_were_left_out() -> None:
    last = report(rows()).splitlines()[-1]
    assert last.startswith("| all | 60 | ")
    assert last.endswith("| 100% | 100% |")


def test_trainings_are_measured_and_fitted(tmp_path: Path) -> None:
    path, prior = tmp_path / "rows.jsonl", tmp_path / "prior.json"
    result = CliRunner().invoke(main, ["measure", str(path), "--seconds", "1"])
    assert result.exit_code == 0, result.output
    measured = [json.loads(line) for line in path.read_text().splitlines()]
    assert measured
    assert all(row["seconds"] > 0 and row["family"] in FAMILIES for row in measured)
    path.write_text("\n".join(json.dumps(row) for row in rows()))
    result = CliRunner().invoke(main, ["fit", str(path), "--out", str(prior), "--note", "made up"])
    assert result.exit_code == 0, result.output
    assert load_prior(prior).keys() == {"f"}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"family": "linear"}')
    result = CliRunner().invoke(main, ["fit", str(path)])
    assert result.exit_code == 1
    assert "rows.jsonl must hold evaluations" in result.output


def test_tables_and_configurations_vary() -> None:
    rng = np.random.default_rng(0)
    tables = [made_table(rng, largest=50_000) for _ in range(6)]
    assert len({(len(table), table.info.n_numeric, table.info.n_categorical) for table in tables}) == 6
    assert drawn("linear", tables[0], rng) != drawn("linear", tables[0], rng)
