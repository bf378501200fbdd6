"""Portfolios as files: the shipped one, and those of users."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from autopytorch_lite.errors import PortfolioError, SpaceError
from autopytorch_lite.portfolio import PerformanceMatrix, Portfolio, leave_one_task_out, select
from autopytorch_lite.search import BOHB
from search_spaces import load_portfolio, portfolio_path, prior_path
from tests.portfolio.test_selection import matrix_of
from tests.search.spaces import flat_space, tree_space

PAGE = Path(__file__).parents[2] / "docs" / "portfolios.md"


def small() -> PerformanceMatrix:
    return matrix_of(np.random.default_rng(0).random((4, 10)), provenance={"source": "a test"})


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    portfolio = select(small(), 3, name="mine", provenance={"date": "2026-11-21"}, license="MIT", space_name="lcbench")
    portfolio.save(tmp_path / "mine.json")
    assert Portfolio.load(tmp_path / "mine.json") == portfolio
    assert portfolio.provenance == {"date": "2026-11-21", "matrix": {"source": "a test"}}
    assert load_portfolio(tmp_path / "mine.json") == list(portfolio)
    assert BOHB(flat_space(), portfolio=portfolio).ask().config == portfolio[0]


def test_it_says_what_it_promises() -> None:
    expected = select(small(), 3).expected
    assert expected.budget == 50
    assert expected.tasks == small().tasks
    assert list(expected.regret) == sorted(expected.regret, reverse=True)
    np.testing.assert_allclose(expected.held_out_regret, leave_one_task_out(small(), 3).mean(), atol=1e-6)
    assert select(small().with_tasks(["task1"]), 3).expected.held_out_regret == ()


def test_a_space_it_does_not_fit_is_refused_by_the_hyperparameter(tmp_path: Path) -> None:
    portfolio = select(small(), 3, name="mine")
    portfolio.save(tmp_path / "mine.json")
    with pytest.raises(SpaceError, match=r"portfolio 'mine' .*entry 0 .*'batch_size'"):
        portfolio.check(tree_space())
    with pytest.raises(SpaceError, match="'batch_size'"):
        Portfolio.load(tmp_path / "mine.json", tree_space())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 1; .*p.json has 2"),
        ({"configurations": None}, "p.json"),
        ({"definition": {}}, "p.json is damaged"),
        ({"expected": {"budget": 3}}, "p.json is damaged"),
        ({"provenance": {}, "definition": None}, "p.json is damaged"),
    ],
)
def test_a_wrong_file_is_refused_by_name(change: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    select(small(), 3).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PortfolioError, match=message):
        Portfolio.load(path)


def test_files_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("[1,")
    for name in ("text.json", "absent.json"):
        with pytest.raises(PortfolioError, match=name):
            Portfolio.load(tmp_path / name)
    with pytest.raises(PortfolioError, match="what its space is"):
        Portfolio.load(portfolio_path("default"))


def test_provenance_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(PortfolioError, match="provenance"):
        select(small(), 2, provenance={"who": object()}).save(tmp_path / "p.json")


def test_the_shipped_files_belong_together() -> None:
    matrix, portfolio = PerformanceMatrix.load(prior_path("lcbench")), Portfolio.load(portfolio_path("lcbench"))
    assert (len(portfolio), len(matrix.tasks), matrix.budgets) == (16, 28, (2, 6, 17, 52))
    assert portfolio.space == matrix.space
    assert {name: matrix.space[name].upper for name in ("num_layers", "max_units")} == {
        "num_layers": 4,
        "max_units": 1024,
    }
    assert np.isfinite(matrix.losses).all()
    assert matrix.provenance["license"] == portfolio.license == "Apache-2.0"
    assert all(config in matrix.configs for config in portfolio)
    assert prior_path("lcbench").stat().st_size < 400_000


def test_the_shipped_portfolio_is_what_the_shipped_matrix_gives() -> None:
    matrix, portfolio = PerformanceMatrix.load(prior_path("lcbench")), Portfolio.load(portfolio_path("lcbench"))
    assert select(matrix, 16).configs == portfolio.configs
    assert select(matrix, 16).expected == portfolio.expected


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of docs/portfolios.md, one after another, as a reader would type it."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks) >= 4
    assert names["portfolio"].expected.held_out_regret
    assert (tmp_path / "mine.json").is_file()
