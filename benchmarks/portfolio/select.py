"""The command that selects the default portfolio from the trained pool, and says what it is worth."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from autopytorch_lite.errors import AutoPyTorchLiteError, DataError, UnknownNameError
from autopytorch_lite.history.store import write_json_atomic
from autopytorch_lite.history.whole_files import replacing
from benchmarks.commands import names
from benchmarks.portfolio.cells import PoolFolder
from benchmarks.portfolio.files import PORTFOLIOS_FILE, write_portfolios
from benchmarks.portfolio.leave_one_out import (
    HORIZON_S,
    Judged,
    compared_orders,
    eligible,
    judge,
    learned_order,
    learned_without,
    summary_lines,
)
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.pool import pool as whole_pool
from benchmarks.portfolio.record import TaskRecord, read_records
from benchmarks.portfolio.tasks import open_task

MATRIX_FIELDS = ("table", "candidate", "status", "metric", "validation_loss", "unseen_loss", "cpu_seconds", "seconds")


@click.command()
@click.argument("folder", metavar="POOL", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option("--tables", default="", help="Names, separated by commas; by default all that have a row.")
@click.option("--size", default=20, show_default=True, type=click.IntRange(min=1), help="Members of the portfolio.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="File for the portfolio of all tables.")
@click.option("--date", default="", help="Noted in that file.")
def select(folder: Path, out: Path, tables: str, size: int, save: Path | None, date: str) -> None:
    """Select a portfolio from what `build` has trained in POOL, and judge it on tables that had no part in it.

    Candidates count that have a row on each of the tables. Written to --out: matrix.csv (losses and seconds),
    candidates.json, portfolios.json (of all tables, and without each one), held_out.json and results.md.
    """
    try:
        pool, records, candidates = read_pool(folder, names(tables))
        numbers = eligible(candidates)
        without = learned_without(records, numbers, size)
        whole = learned_order(records, numbers, size)
        judged = _judge_all(records, candidates, without, size)
        write_matrix(out, pool, candidates, [record.name for record in records])
        _write_portfolios(out / PORTFOLIOS_FILE, candidates, whole, without)
        write_json_atomic(out / "held_out.json", {"horizon_s": HORIZON_S, "rows": [asdict(row) for row in judged]})
        text = "\n".join([*summary_lines(judged), "", *_members(candidates, whole, without)])
        (out / "results.md").write_text(text + "\n", encoding="utf-8")
        if save is not None:
            _save(save, [candidates[number] for number in whole], pool, records, len(numbers), size, date)
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text)


def read_pool(folder: Path, wanted: Sequence[str]) -> tuple[PoolFolder, list[TaskRecord], list[Candidate]]:
    """A pool, its tables of these names or all, and the candidates that have a row on each.

    Raises:
        UnknownNameError: the pool has no such table.
        DataError: the folder is no pool, or no candidate has a row on each table.
    """
    pool = PoolFolder.open(folder)
    tables = list(dict.fromkeys(key.table for key in pool.results.rows))
    for name in wanted:
        if name not in tables:
            raise UnknownNameError("table", name, tables)
    tasks = [open_task(pool.task_folder(name)) for name in wanted or tables]
    records, candidates = read_records(pool, tasks, whole_pool())
    if not eligible(candidates):
        raise DataError(f"No candidate of {folder} has a row on each of {len(records)} tables yet.")
    return pool, records, candidates


def _judge_all(
    records: Sequence[TaskRecord], candidates: Sequence[Candidate], without: Mapping[str, Sequence[int]], size: int
) -> list[Judged]:
    networks = [number for number in eligible(candidates) if candidates[number].is_neural]
    networks_without = learned_without(records, networks, size) if networks else {name: [] for name in without}
    return [
        row
        for seed, record in enumerate(records)
        for row in judge(
            record, compared_orders(candidates, size, without[record.name], networks_without[record.name], seed)
        )
    ]


def _members(candidates: Sequence[Candidate], whole: Sequence[int], without: Mapping[str, Sequence[int]]) -> list[str]:
    """The portfolio of all tables, and how many of those without a table have each entry."""
    lines = [f"Selected from {len(eligible(candidates))} candidates on {len(without)} tables:"]
    for place, number in enumerate(whole, start=1):
        n_kept = sum(number in order for order in without.values())
        lines.append(f"{place}. {candidates[number].name} (in {n_kept} of {len(without)})")
    return lines


def _write_portfolios(
    path: Path, candidates: Sequence[Candidate], whole: Sequence[int], without: Mapping[str, Sequence[int]]
) -> None:
    def named(order: Sequence[int]) -> list[str]:
        return [candidates[number].name for number in order]

    of_others = {table: named(order) for table, order in without.items()}
    write_portfolios(path, named(whole), of_others, {c.name: c.config for c in candidates})


def write_matrix(out: Path, pool: PoolFolder, candidates: Sequence[Candidate], tables: Sequence[str]) -> None:
    """Losses and seconds of every cell, and what the candidates are."""
    text = io.StringIO()
    writer = csv.DictWriter(text, MATRIX_FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for candidate in candidates:
        for table in tables:
            row = pool.row(table, candidate) or {}
            writer.writerow({"table": table, "candidate": candidate.name} | {k: _short(v) for k, v in row.items()})
    with replacing(out / "matrix.csv") as file:
        file.write(text.getvalue().encode())
    about = {c.name: {"source": c.source, "space": c.space, "configuration": c.config} for c in candidates}
    write_json_atomic(out / "candidates.json", about)


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _save(
    path: Path,
    members: Sequence[Candidate],
    pool: PoolFolder,
    records: Sequence[TaskRecord],
    n_candidates: int,
    size: int,
    date: str,
) -> None:
    """The portfolio as a file of search_spaces."""
    provenance = {
        "command": f"python -m benchmarks.portfolio select POOL --out benchmarks/results/portfolio --size {size}",
        "date": date,
        "tables": [record.name for record in records],
        "n_candidates": n_candidates,
        **pool.config["constraint"],
    }
    description = (
        f"{len(members)} configurations selected from {n_candidates} on {len(records)} tables: in this order they "
        "lower the loss of their ensemble fastest. What an entry leaves open takes the default of the space."
    )
    content = {
        "format": 1,
        "name": path.stem,
        "description": description,
        "source": "trainings of this package; see provenance",
        "license": "Apache-2.0",
        "space": "default",
        "provenance": provenance,
        "members": [member.name for member in members],
        "configurations": [member.config for member in members],
    }
    write_json_atomic(path, content)
