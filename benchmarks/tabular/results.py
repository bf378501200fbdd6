"""Rows of results on disk, one JSON line each, and what is read from them: which are done, and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from autopytorch_lite.errors import DataError, HistoryError
from autopytorch_lite.types import Task
from benchmarks.scores import error_rate, loss_of, metric_of
from benchmarks.tabular.systems import BASELINE

Row = dict[str, Any]


class RowKey(NamedTuple):
    """What a row is about."""

    table: str
    system: str
    seed: int


def key_of(row: Row) -> RowKey:
    """What a row is about."""
    return RowKey(row["table"], row["system"], row["seed"])


def run_dir(out: Path, key: RowKey) -> Path:
    """Where `--keep-runs` leaves the run of a row, in a folder of results."""
    return out / "runs" / "_".join(map(str, key))


_EARLIER = {"binary_metric": "log_loss"}
"""What constraints were that did not tell it yet."""


class Results:
    """A folder with config.json, results.jsonl (appended to), and DONE, which is written last.

    Args:
        folder: made if absent.
        config: what was asked for. Its "constraint" must equal the one of a folder that exists already.

    Raises:
        HistoryError: the folder holds results under another constraint, or a damaged row.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "DONE").unlink(missing_ok=True)
        self._check_constraint(config)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        self._path = folder / "results.jsonl"
        self.rows = _read_rows(self._path)

    def is_done(self, key: RowKey, revision: str) -> bool:
        """Whether nothing is left to do: there is a row, a failure included, of this revision of the system.

        A system that was unavailable is tried again. A row that tells no revision counts.
        """
        row = self.rows.get(key)
        return row is not None and row["status"] != "unavailable" and row.get("revision", revision) == revision

    def forget(self, systems: Collection[str]) -> None:
        """Drop the rows of these systems, so that they are measured again."""
        kept = {key: row for key, row in self.rows.items() if key.system not in systems}
        if len(kept) == len(self.rows):
            return
        self.rows = kept
        unfinished = self._path.with_suffix(".part")
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), encoding="utf-8")
        unfinished.replace(self._path)

    def append(self, key: RowKey, row: Row) -> None:
        """Keep one row; it is on disk when this returns."""
        full = {**key._asdict(), **row}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(full) + "\n")
        self.rows[key] = full

    def finish(self) -> None:
        """Write DONE."""
        (self._folder / "DONE").touch()

    def _check_constraint(self, config: Mapping[str, Any]) -> None:
        path = self._folder / "config.json"
        if not path.exists():
            return
        before = json.loads(path.read_text(encoding="utf-8"))["constraint"]
        if _EARLIER | before != _EARLIER | config["constraint"]:
            raise HistoryError(f"{self._folder} holds results under {before}, not {config['constraint']}: use another.")


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder of results.

    Raises:
        DataError: it holds none.
        HistoryError: a row is damaged.
    """
    rows = list(_read_rows(folder / "results.jsonl").values())
    if not rows:
        raise DataError(f"{folder} holds no results.")
    return rows


def _read_rows(path: Path) -> dict[RowKey, Row]:
    """The rows on disk; a torn last line is cut off, so that its evaluation is repeated."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            rows[key_of(row)] = row
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(f"Line {number} of {path} is damaged: {error}.") from error
    return rows


def comparison(rows: Iterable[Row]) -> str:
    """A readable table: means over seeds, and for each system how its losses compare with the baseline's.

    Relative numbers are mean differences over the seeds that both systems finished: -10 % means a tenth less loss. The
    last lines give the geometric mean over tables.
    """
    rows = list(rows)
    if not rows:
        raise DataError("There are no results to compare.")
    names = list(dict.fromkeys((row["table"], row["system"]) for row in rows))
    baselines = {(row["table"], row["seed"]): row for row in rows if row["system"] == BASELINE and is_ok(row)}
    cells, ratios = [], {}
    for table, system in names:
        mine = [row for row in rows if (row["table"], row["system"]) == (table, system)]
        loss, error = (_mean_ratio(mine, baselines, measure) for measure in (row_loss, _error))
        ratios[table, system] = (loss, error)
        cells.append(_cells(table, system, mine, loss, error))
    lines = _aligned([_HEADER, *cells])
    return "\n".join([*lines, "", *_summary(ratios), *_failures(rows)])


_HEADER = (
    "table", "system", "seeds", "loss", "loss vs hgb", "accuracy/R2", "error vs hgb", "AUC", "fit s", "over s",
    "peak MB", "evaluations",
)  # fmt: skip


def _cells(table: str, system: str, rows: list[Row], loss: float, error: float) -> tuple[str, ...]:
    good = [row for row in rows if is_ok(row)]
    if not good:
        return (table, system, f"0/{len(rows)}", "failed", *[""] * (len(_HEADER) - 4))
    return (
        table,
        system,
        f"{len(good)}/{len(rows)}",
        _number(_mean(row_loss(row) for row in good), ".4g"),
        _percent(loss),
        _number(_mean(1 - _error(row) for row in good), ".4f"),
        _percent(error),
        _number(_mean(row["metrics"].get("roc_auc") for row in good), ".4f"),
        _number(_mean(row["fit_seconds"] for row in good), ".1f"),
        _number(
            max((row["overrun_seconds"] for row in good if row["overrun_seconds"] is not None), default=None), ".1f"
        ),
        _number(max(row["peak_memory_mb"] for row in good), ".0f"),
        _number(_mean(sum(row["facts"].get("evaluations", {}).values()) or None for row in good), ".0f"),
    )


def _summary(ratios: Mapping[tuple[str, str], tuple[float, float]]) -> list[str]:
    lines = []
    for system in dict.fromkeys(system for _, system in ratios if system != BASELINE):
        pairs = [ratio for (_, other), ratio in ratios.items() if other == system]
        loss, error = (_geometric_mean([pair[i] for pair in pairs]) for i in (0, 1))
        n_better = sum(pair[0] < 1 for pair in pairs)
        lines.append(
            f"{system}: loss {_percent(loss)}, error {_percent(error)} against {BASELINE} "
            f"(geometric means over tables), lower loss on {n_better} of {len(pairs)}"
        )
    return lines


def _failures(rows: Iterable[Row]) -> list[str]:
    failed = [row for row in rows if not is_ok(row)]
    return [f"failed: {row['table']} {row['system']} seed {row['seed']}: {row['reason']}" for row in failed]


def is_ok(row: Row) -> bool:
    """Whether there is something to compare."""
    return bool(row["status"] == "ok")


def row_loss(row: Row) -> float:
    """The loss that a row is compared by, lower is better."""
    metric = row.get("metric") or metric_of(Task(row["task"]), _EARLIER["binary_metric"])
    return loss_of(row["metrics"], metric)


def _error(row: Row) -> float:
    return error_rate(row["metrics"])


def _mean_ratio(rows: Iterable[Row], baselines: Mapping[tuple[str, int], Row], measure: Any) -> float:
    """Mean over seeds of a system's measure divided by the baseline's; NaN where there is nothing to divide."""
    pairs = [(row, baselines.get((row["table"], row["seed"]))) for row in rows if is_ok(row)]
    ratios = [measure(row) / measure(base) for row, base in pairs if base is not None and measure(base) > 0]
    return fmean(ratios) if ratios else math.nan


def _geometric_mean(ratios: Iterable[float]) -> float:
    logs = [math.log(ratio) for ratio in ratios if ratio > 0]
    return math.exp(fmean(logs)) if logs else math.nan


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _percent(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{100 * (ratio - 1):+.1f} %"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines: the first two columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
