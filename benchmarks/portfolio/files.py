"""The file of portfolios for honest comparisons: of all tables, and for each table of all others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autopytorch_lite.errors import DataError
from autopytorch_lite.history.store import write_json_atomic
from autopytorch_lite.types import Config

PORTFOLIOS_FILE = "portfolios.json"
_FORMAT = 1


def write_portfolios(
    path: Path, of_all: Sequence[str], without: Mapping[str, Sequence[str]], configurations: Mapping[str, Config]
) -> None:
    """Keep portfolios, as names of configurations.

    Args:
        path: the file.
        of_all: the portfolio of all tables, in order.
        without: for each table the portfolio of all others.
        configurations: what names stand for; only those in use are kept.
    """
    used = {name for order in (of_all, *without.values()) for name in order}
    content = {
        "format": _FORMAT,
        "all": list(of_all),
        "without": {table: list(order) for table, order in without.items()},
        "configurations": {name: configurations[name] for name in sorted(used)},
    }
    write_json_atomic(path, content)


def read_portfolio(path: Path, table: str) -> list[Config]:
    """The portfolio to be used on a table: that of all others; of all tables, where it had no part in any.

    Raises:
        DataError: the file is missing or not what `write_portfolios` writes.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        portfolio = [content["configurations"][name] for name in content["without"].get(table, content["all"])]
        found = content["format"]
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path} must be what `benchmarks.portfolio select` writes: {error!r}.") from error
    if found != _FORMAT:
        raise DataError(f"This version reads portfolios of format {_FORMAT}; {path} has {found!r}.")
    return portfolio
