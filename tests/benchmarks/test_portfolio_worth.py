"""What parts of a search are worth, from rows of replayed searches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autopytorch_lite.errors import DataError
from benchmarks.portfolio.worth import WHOLE as WHOLE_SEARCH
from benchmarks.portfolio.worth import by_part, summary, worth, worth_of


def row(table: str, loss: float | None, *without: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    normalised = 1.0 if loss is None else loss / 10
    facts = {"table": table, "time": 60.0, "searcher": "freeze_thaw", "ensemble_size": 25, "n_entries": 20}
    return {**facts, "seed": seed, "without": list(without), "loss": loss, "normalised": normalised, **more}


WHOLE = [row("a", 1.0), row("b", 4.0), row("a", 2.0, seed=1)]


def test_losses_without_a_part_are_compared_table_by_table() -> None:
    found = by_part([*WHOLE, row("a", 2.0, "linear"), row("a", 4.0, "linear", seed=7), row("b", 2.0, "linear")], 60)
    without = worth_of(found[("without", "linear"),], found[WHOLE_SEARCH])
    assert without.normalised.mean == pytest.approx(((0.3 - 0.15) + (0.2 - 0.4)) / 2), "means over seeds"
    assert without.normalised.low == pytest.approx(-0.2)
    assert without.normalised.high == pytest.approx(0.15)
    assert without.ratio == pytest.approx(math.sqrt(math.sqrt(8 / 2) * 0.5))
    assert (without.n_worse, without.n_tables, without.n_searches) == (1, 2, 3)


def test_each_part_has_a_line_the_worthiest_first() -> None:
    rows = [
        *WHOLE,
        row("a", 1.1, "linear", "tabm"),
        row("a", 3.0, searcher="bohb"),
        row("a", 5.0, n_entries=0, searcher="random"),
        row("a", 0.9, ensemble_size=1),
        row("a", None, "neural"),
        row("a", 9.0, "neural", time=5.0),
    ]
    lines = [line.strip("| ").split(" | ") for line in summary(rows, 60)[2:]]
    assert [line[0] for line in lines] == [
        "without neural",
        "searcher random, without portfolio",
        "searcher bohb",
        "without linear, without tabm",
        "ensemble of 1",
    ]
    assert lines[0][1] == "+inf %", "a search that found nothing"
    assert lines[1][1:] == ["+253.6 %", "+0.3500", "+0.3500 to +0.3500", "1 of 1", "1"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "first row"),
        ([row("a", 1.0, "linear")], "first row"),
        ([row("a", 1.0, n_entries=0)], "first row"),
        (WHOLE, "nothing to compare"),
        ([*WHOLE, row("c", 1.0, "linear")], "60 s on c"),
    ],
)
def test_a_search_is_compared_with_a_whole_one_only(rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        summary(rows, 60)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "object of JSON"), ("[]", "lacks table"), ("3", "object of JSON"), ("{}", "lacks table, time")],
)
def test_a_file_of_something_else_is_named_by_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(WHOLE[0]) + "\n" + text)
    result = CliRunner().invoke(worth, [str(path)])
    assert result.exit_code == 1
    assert "Line 2 of" in result.output
    assert said in result.output.replace("\n", " ")
