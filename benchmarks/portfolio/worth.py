"""What each part of a search is worth: replayed searches without it beside whole ones, on the same tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np

from autopytorch_lite.errors import AutoPyTorchLiteError, DataError
from benchmarks.hpo.aggregate import Interval, intervals
from benchmarks.markdown import table as markdown_table

Row = Mapping[str, Any]
Part = tuple[tuple[str, str], ...]
"""In what searches differ from whole ones: pairs of what and how; () for whole ones."""

WHOLE: Part = ()

_NEEDED = ("table", "time", "searcher", "ensemble_size", "n_entries", "without", "loss", "normalised")


def part_of(row: Row, whole: Row) -> Part:
    """In what the search of a row differs from a whole one."""
    parts = [("without", str(name)) for name in row["without"]]
    if row["searcher"] != whole["searcher"]:
        parts.append(("searcher", str(row["searcher"])))
    if not row["n_entries"] and whole["n_entries"]:
        parts.append(("without", "portfolio"))
    if row["ensemble_size"] != whole["ensemble_size"]:
        parts.append(("ensemble of", str(row["ensemble_size"])))
    return tuple(parts)


def by_part(rows: Sequence[Row], time_s: float) -> dict[Part, dict[str, list[Row]]]:
    """Part -> table -> searches of this limit that differ from whole ones in this part; whole ones under `WHOLE`.

    Args:
        rows: of `replay`; the first one is a whole search.
        time_s: the limit of the searches that are compared.

    Raises:
        DataError: the first row is not a whole search, a table has no whole one, or all are whole.
    """
    if not rows or rows[0]["without"] or not rows[0]["n_entries"]:
        raise DataError("The first row must be a search of which nothing was taken away.")
    found: dict[Part, dict[str, list[Row]]] = {WHOLE: {}}
    for row in rows:
        if row["time"] == time_s:
            found.setdefault(part_of(row, rows[0]), {}).setdefault(row["table"], []).append(row)
    if len(found) == 1:
        raise DataError(f"There is nothing to compare: no search of {time_s:g} s lacks anything.")
    lonely = sorted({table for tables in found.values() for table in tables} - found[WHOLE].keys())
    if lonely:
        raise DataError(f"There is no whole search of {time_s:g} s on {', '.join(lonely)}.")
    return found


@dataclass(frozen=True)
class Worth:
    """What losses grow by without a part.

    Attributes:
        normalised: mean difference, on the scale of `replay`.
        ratio: geometric mean of the losses' quotients; infinite if a search without the part found nothing.
        n_worse: tables on which the loss grew.
        n_tables: all.
        n_searches: without the part.
    """

    normalised: Interval
    ratio: float
    n_worse: int
    n_tables: int
    n_searches: int


def worth_of(without: Mapping[str, Sequence[Row]], whole: Mapping[str, Sequence[Row]]) -> Worth:
    """Means over seeds are compared on each table; the interval is bootstrapped, tables drawn with replacement."""
    grows = np.array([[_normalised(rows) - _normalised(whole[table])] for table, rows in without.items()])
    logs = [_log_loss(rows) - _log_loss(whole[table]) for table, rows in without.items()]
    n_searches = sum(map(len, without.values()))
    return Worth(intervals(grows)[0], math.exp(fmean(logs)), int((grows > 0).sum()), len(grows), n_searches)


def _normalised(rows: Sequence[Row]) -> float:
    return fmean(row["normalised"] for row in rows)


def _log_loss(rows: Sequence[Row]) -> float:
    return fmean(math.inf if row["loss"] is None else math.log(row["loss"]) for row in rows)


def summary(rows: Sequence[Row], time_s: float) -> list[str]:
    """Markdown: a line for each part, what is worth most first.

    Raises:
        DataError: see `by_part`.
    """
    searches = by_part(rows, time_s)
    whole = searches.pop(WHOLE)
    found = {part: worth_of(tables, whole) for part, tables in searches.items()}
    lines = [
        [
            ", ".join(map(" ".join, part)),
            f"{100 * (worth.ratio - 1):+.1f} %",
            f"{worth.normalised.mean:+.4f}",
            f"{worth.normalised.low:+.4f} to {worth.normalised.high:+.4f}",
            f"{worth.n_worse} of {worth.n_tables}",
            str(worth.n_searches),
        ]
        for part, worth in sorted(found.items(), key=lambda pair: -pair[1].normalised.mean)
    ]
    return markdown_table(["search", "loss", "normalised loss", "95 % interval", "worse on", "searches"], lines)


@click.command()
@click.argument(
    "files", metavar="ROWS...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--time", "time_s", default=60.0, show_default=True, help="Limit of the searches compared, seconds.")
def worth(files: Sequence[Path], time_s: float) -> None:
    """Compare what `replay --out ROWS` wrote, whole searches first, with searches that lack something.

    Losses are normalised as those of `replay`: 0 for an ensemble of all candidates of the pool, 1 for a bad one.
    """
    try:
        rows = [row for path in files for row in _read(path)]
        for line in summary(rows, time_s):
            click.echo(line)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error


def _read(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(text)
            missing = [name for name in _NEEDED if name not in row]
        except (ValueError, TypeError):
            missing = ["an object of JSON"]
        if missing:
            raise DataError(f"Line {number} of {path} is not a row of `replay --out`: it lacks {', '.join(missing)}.")
        rows.append(row)
    return rows
