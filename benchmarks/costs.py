"""What evaluations cost: trainings of every family of learners over tables of many sizes, and the prior fitted to them.

OMP_NUM_THREADS=1 python -m benchmarks.costs measure ROWS.jsonl --seconds 900
python -m benchmarks.costs from-pool POOL ROWS.jsonl --only catboost
python -m benchmarks.costs fit ROWS.jsonl --out autopytorch_lite/execution/costs.json

Tables are made up, or those of a pool of `benchmarks.portfolio build`; each training is an evaluation as in a search,
on one thread, in seconds of processor time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import click
import numpy as np
import pandas as pd
from scipy.optimize import least_squares, nnls

from autopytorch_lite.data.dataset import Dataset, make_dataset
from autopytorch_lite.errors import AutoPyTorchLiteError, DataError
from autopytorch_lite.execution.costs import FamilyCosts
from autopytorch_lite.execution.evaluate import run_objective
from autopytorch_lite.execution.tabular import TabularObjective
from autopytorch_lite.execution.work import FAMILIES, Sizes, family_of, work
from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.trial import Proposal
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import TRADITIONAL as COMPONENTS
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import choice_name
from autopytorch_lite.search.brackets import rungs
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.settings import installed_only, resolve_budgets
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.types import Array, Config, DatasetInfo, FloatArray
from benchmarks.portfolio.cells import PoolFolder
from benchmarks.portfolio.pool import pool as candidates
from benchmarks.portfolio.tasks import open_task
from search_spaces import load_ranges, with_edits

MAX_CELLS = 2_000_000
"""Rows x columns x classes of a table that is made up."""
MAX_SECONDS = 5.0
"""A training that the rows measured so far predict to take longer is left out."""
MIN_ROWS = 6
"""Evaluations from which costs can be fitted."""
NEGLIGIBLE_S = 1e-4
"""Kinds of operations that never take longer together are left out."""
MIN_DEVIATION = 0.2
"""No family is believed to be predicted better, standard deviation of the log of seconds."""

Row: TypeAlias = Mapping[str, Any]
"""One evaluation: family, table (a number), amounts of work, seconds."""


@click.group()
def main() -> None:
    """Measure trainings, and fit the prior of the predicted costs to them."""


@main.command()
@click.argument("rows", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seconds", default=900.0, show_default=True, help="Stop after so long.")
@click.option("--seed", default=0, show_default=True, help="Of tables and configurations.")
@click.option("--only", default=",".join(FAMILIES), show_default=True, help="Which families.")
def measure(rows: Path, seconds: float, seed: int, only: str) -> None:
    """Append trainings of every family to ROWS, a file of JSON lines."""
    end = time.monotonic() + seconds
    known = read_rows(rows) if rows.exists() else []
    rng = np.random.default_rng([seed, len(known)])
    number = max((row["table"] for row in known), default=-1)
    while time.monotonic() < end:
        number += 1
        for row in measured(number, rng, only.split(","), known, end):
            known.append(row)
            with rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            click.echo(f"{number:4d} {row['family']:24s} {row['seconds']:8.2f} s", err=True)


@main.command()
@click.argument("folder", metavar="POOL", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("rows", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--only", default=",".join(FAMILIES), show_default=True, help="Which families.")
def from_pool(folder: Path, rows: Path, only: str) -> None:
    """Replace these families' trainings in ROWS by those of POOL, every rung an evaluation."""
    wanted = set(only.split(","))
    try:
        others = [row for row in (read_rows(rows) if rows.exists() else []) if row["family"] not in wanted]
        added = list(pooled(PoolFolder.open(folder), wanted, max((row["table"] for row in others), default=-1) + 1))
        if not added:
            raise DataError(f"{folder} must hold trainings of {only}; {rows} stays as it is.")
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    with replacing(rows) as file:
        file.write("".join(json.dumps(row) + "\n" for row in [*others, *added]).encode())
    click.echo(f"{len(added)} evaluations", err=True)


@main.command()
@click.argument("rows", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the prior.")
@click.option("--note", default="", help="Where the rows were measured, kept in the file.")
def fit(rows: Path, out: Path | None, note: str) -> None:
    """Fit the prior to ROWS, and print how well it predicts tables that it was not fitted to."""
    try:
        known = read_rows(rows)
        click.echo(report(known))
    except AutoPyTorchLiteError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        families = {name: asdict(costs) for name, costs in fitted(known).items()}
        content = {"format": 1, "source": f"python -m benchmarks.costs, {len(known)} evaluations", "note": note}
        out.write_text(json.dumps(content | {"families": families}, indent=1) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """The evaluations in a file.

    Raises:
        DataError: a line is none.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [{name: row[name] for name in ("family", "table", "amounts", "seconds")} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} must hold evaluations, one JSON object a line: {error!r}.") from error


# Measuring ------------------------------------------------------------------------------------------


def measured(
    number: int, rng: np.random.Generator, wanted: Sequence[str], known: Sequence[Row], end: float
) -> Iterator[Row]:
    """Evaluations of a configuration of each family on one table, begun at the lowest rung and mostly continued."""
    dataset = made_table(rng, largest=MAX_CELLS / 30 if number < 3 else MAX_CELLS)
    min_budget, max_budget = resolve_budgets({"min_budget": None, "max_budget": None}, {}, dataset.info)
    sizes, costs = Sizes.of(dataset, max_budget), fitted(known)
    with TemporaryDirectory() as folder:
        dataset.save(Path(folder) / "data")
        objective = TabularObjective(
            data_folder=str(Path(folder) / "data"),
            fingerprint=dataset.fingerprint,
            graph=default_graph(),
            metric=resolve_metric(None, dataset.info.task, dataset.info.n_outputs),
            seed=number,
            max_budget=max_budget,
        )
        for config_id, family in enumerate(rng.permutation(families(dataset.info, wanted))):
            config = drawn(str(family), dataset, rng)
            resume_from: int | None = None
            for budget in rungs(min_budget, max_budget, 3)[:2]:
                todo = work(config, sizes, budget, resume_from)
                too_long = todo.family in costs and costs[todo.family].predict(todo.amounts) > MAX_SECONDS
                if too_long or time.monotonic() > end:
                    break
                start = time.process_time()
                line = run_objective(objective, Proposal(config_id, config, budget, resume_from), TrialFiles(folder))
                if not line.ok:
                    break
                yield {**asdict(todo), "table": number, "seconds": time.process_time() - start}
                resume_from = budget


def pooled(pool: PoolFolder, wanted: Collection[str], first: int) -> Iterator[Row]:
    """What a pool's successful trainings of these families took, rung by rung; its tables are numbered from `first`."""
    known = {candidate.name: candidate for candidate in candidates()}
    tables = list(dict.fromkeys(key.table for key in pool.results.rows))
    tasks = {name: open_task(pool.task_folder(name)) for name in tables}
    for key, row in pool.results.rows.items():
        candidate, task = known.get(key.system), tasks[key.table]
        config = None if candidate is None or row["status"] != "ok" else candidate.fitted(task.info)
        if config is None or family_of(config) not in wanted:
            continue
        sizes, resume_from = Sizes.of(task.dataset, task.max_budget), None
        for rung in row["rungs"]:
            todo = work(config, sizes, rung["budget"], resume_from)
            yield {**asdict(todo), "table": first + tables.index(key.table), "seconds": rung["cpu_seconds"]}
            resume_from = rung["budget"]


def families(info: DatasetInfo, wanted: Sequence[str]) -> list[str]:
    """Of the families wanted those that the table can have, as far as their packages are installed."""
    missing = {c.name for c in COMPONENTS if not (c.is_installed() and c.applies(info))}
    return [family for family in wanted if family not in missing]


def drawn(family: str, dataset: Dataset, rng: np.random.Generator) -> Config:
    """A random configuration of a family, in the default space but for what is excluded there."""
    learner, _, backbone = family.partition(":")
    edits: dict[str, Any] = {choice_name("learner"): [learner]}
    if backbone:
        edits[choice_name("backbone")] = [backbone]
    ranges = installed_only(with_edits(load_ranges("default"), edits))
    space = compile_space(default_graph(), ranges, dataset.info)
    return ConfigurationSampler(space).sample(rng, lambda config: False)


def made_table(rng: np.random.Generator, largest: float) -> Dataset:
    """A table of random size: numbers and categories of which some matter, and a target with noise.

    Args:
        rng: of everything.
        largest: rows x columns x classes that it may have.
    """
    n_rows = int(np.exp(rng.uniform(np.log(200), np.log(60_000))))
    n_columns = int(np.exp(rng.uniform(np.log(4), np.log(400))))
    n_classes = int(rng.choice([0, 2, 2, 3, 5, 10, 30]))
    n_columns = int(max(3, min(n_columns, largest / n_rows / max(n_classes, 1))))
    n_rows = int(min(n_rows, largest / n_columns / max(n_classes, 1)))
    n_categorical = int(rng.binomial(n_columns, rng.choice([0.0, 0.3, 1.0], p=[0.5, 0.35, 0.15])))
    numbers = rng.standard_normal((n_rows, n_columns - n_categorical)).round(int(rng.integers(1, 5)))
    levels = [int(np.exp(rng.uniform(np.log(2), np.log(300)))) for _ in range(n_categorical)]
    codes = [rng.integers(0, n, n_rows) for n in levels]
    frame = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(numbers.shape[1])])
    frame = frame.assign(**{f"c{i}": pd.Categorical([f"level {v}" for v in of]) for i, of in enumerate(codes)})
    signal = _signal(numbers, codes, rng)
    if n_classes:
        y = pd.qcut(signal, n_classes, labels=False, duplicates="drop")
        return make_dataset(frame, y, kind="classification", seed=0, max_cells_for_folds=60 * 30_000)
    return make_dataset(frame, signal, kind="regression", seed=0, max_cells_for_folds=60 * 30_000)


def _signal(numbers: FloatArray, codes: Sequence[Array], rng: np.random.Generator) -> FloatArray:
    """A sum of some columns, a product and noise, shape (n_rows,)."""
    columns = [*numbers.T, *((code % 7) - 3.0 for code in codes)]
    chosen = rng.permutation(len(columns))[:8]
    total = sum(rng.normal() * columns[i] for i in chosen) + columns[chosen[0]] * columns[chosen[-1]]
    return np.asarray(total + 0.5 * rng.standard_normal(len(total)))


# Fitting --------------------------------------------------------------------------------------------


def fitted(rows: Sequence[Row]) -> dict[str, FamilyCosts]:
    """Costs of each family that has enough rows. Networks share what operations take but for a factor by backbone."""
    costs: dict[str, FamilyCosts] = {}
    for own in _grouped(rows, lambda row: row["family"].partition(":")[0]):
        if len(own) >= MIN_ROWS:
            seconds = operation_seconds(own)
            costs |= {of[0]["family"]: _family_costs(of, seconds) for of in _grouped(own, lambda row: row["family"])}
    return costs


def _grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def operation_seconds(rows: Sequence[Row]) -> dict[str, float]:
    """Seconds of each kind of operation, none negative, with the smallest errors of the log of the sum.

    Relative errors, which are linear in the seconds, say where to begin and which kinds take no time.
    """
    kinds = sorted({kind for row in rows for kind in row["amounts"]})
    amounts = np.array([[row["amounts"].get(kind, 0.0) for kind in kinds] for row in rows])
    seconds = np.array([row["seconds"] for row in rows])
    units = np.maximum(amounts.max(axis=0), 1e-300)
    start, _ = nnls((amounts / units) / seconds[:, None], np.ones(len(rows)))
    used = np.flatnonzero(start > 0)
    scaled = (amounts / units)[:, used]

    def errors(logs: FloatArray) -> FloatArray:
        return np.asarray(np.log(scaled @ np.exp(logs)) - np.log(seconds))

    found = least_squares(errors, np.log(start[used]), loss="soft_l1")
    most = dict(zip(used, np.exp(found.x), strict=True))  # seconds of the largest amount
    return {kinds[i]: float(s / units[i]) for i, s in most.items() if s > NEGLIGIBLE_S}


def _family_costs(rows: Sequence[Row], seconds: Mapping[str, float]) -> FamilyCosts:
    """The seconds of operations times the median of what the family's evaluations took beyond them."""
    plain = FamilyCosts(seconds, 0.0, 0.0)
    surprises = np.array([np.log(row["seconds"] / plain.predict(row["amounts"])) for row in rows])
    middle = float(np.median(surprises))
    factors = {kind: float(f"{value * np.exp(middle):.4g}") for kind, value in seconds.items()}
    return FamilyCosts(factors, *_deviations(surprises - middle, [row["table"] for row in rows]))


def _deviations(surprises: FloatArray, tables: Sequence[int]) -> tuple[float, float]:
    """Standard deviations of surprises between tables and within a table, by analysis of variance."""
    groups = [surprises[np.array(tables) == table] for table in sorted(set(tables))]
    n_within = max(len(surprises) - len(groups), 1)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / n_within
    between = max(float(np.mean(surprises**2)) - within, 0.0)
    return _deviation(between), _deviation(within)


def _deviation(variance: float) -> float:
    return float(f"{max(variance**0.5, MIN_DEVIATION):.3g}")


def report(rows: Sequence[Row], n_parts: int = 5) -> str:
    """How well families are predicted on tables that the costs were not fitted to, as a Markdown table."""
    ratios: dict[str, list[float]] = {}
    for part in range(n_parts):
        costs = fitted([row for row in rows if row["table"] % n_parts != part])
        for row in (row for row in rows if row["table"] % n_parts == part and row["family"] in costs):
            ratio = row["seconds"] / costs[row["family"]].predict(row["amounts"])
            ratios.setdefault(row["family"], []).append(ratio)
    lines = ["| family | evaluations | median ratio | within 2x | within 4x |", "|---" * 5 + "|"]
    lines += [_report_line(name, values) for name, values in sorted(ratios.items())]
    return "\n".join([*lines, _report_line("all", [ratio for values in ratios.values() for ratio in values])])


def _report_line(name: str, ratios: Iterable[float]) -> str:
    logs = np.log(list(ratios))
    shares = (f"{(np.abs(logs) < np.log(factor)).mean():.0%}" for factor in (2, 4))
    return f"| {name} | {len(logs)} | {np.exp(np.median(logs)):.2f} | " + " | ".join(shares) + " |"


if __name__ == "__main__":
    main()
