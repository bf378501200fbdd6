"""What a run found, as tables: leaderboard, failures by kind, incumbents over time; and their text for terminals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autopytorch_lite.history.summary import closed, proposals
from autopytorch_lite.history.trial import Finished, Line, Proposal, Status, TrialKey
from autopytorch_lite.pipeline.graph import learner_of
from autopytorch_lite.report.words import metric_words, number

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS_BEFORE = ("rank", "config_id", "budget", "learner", "loss", "weight")
_COLUMNS_AFTER = ("seconds", "status", "origin")
_NOT_MEASURED = frozenset({"rank", "config_id", "budget", "weight", "seconds", "n"})
_RIGHT_ALIGNED_EXCEPT = frozenset({"learner", "status", "origin", "kind", "first error"})


@dataclass(frozen=True)
class Incumbent:
    """One incumbent: from `seconds` of search time on, this trial was the best on the largest budget evaluated."""

    seconds: float
    key: TrialKey
    loss: float


def evaluations(lines: Iterable[Line]) -> list[Finished]:
    """Evaluations that ended, well or badly, in the order of their ends; of a trial that ended twice, the last."""
    last = {line.key: line for line in closed(lines)}
    return sorted(last.values(), key=lambda line: line.finished_s)


def leaderboard(lines: Iterable[Line], ensemble: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Every evaluation that ended, best validation loss first, failures last.

    Args:
        lines: the history of a run, in file order.
        ensemble: content of ensemble.json, or None while there is none.

    Returns:
        One row per (configuration, budget). Columns: rank (1 is best, missing for failures), config_id, budget
        (epochs), learner, loss (lower is better), weight in the ensemble (0 for those outside, missing without an
        ensemble), every recorded metric under its own name and in its own direction, seconds, status, origin.
    """
    lines = list(lines)
    proposed = proposals(lines)
    weights = ensemble_weights(ensemble)
    rows = [_leaderboard_row(line, proposed.get(line.key), weights) for line in evaluations(lines)]
    metrics = sorted({name for row in rows for name in row} - {*_COLUMNS_BEFORE, *_COLUMNS_AFTER})
    frame = pd.DataFrame(rows, columns=[*_COLUMNS_BEFORE, *metrics, *_COLUMNS_AFTER])
    frame["loss"] = frame["loss"].astype(float)
    frame["failed"] = frame["status"] != Status.OK.value
    frame = frame.sort_values(["failed", "loss", "config_id", "budget"], ignore_index=True)
    n_ok = int((~frame.pop("failed")).sum())
    frame["rank"] = pd.array([*range(1, n_ok + 1), *[pd.NA] * (len(frame) - n_ok)], dtype="Int64")
    return frame


def _leaderboard_row(
    line: Finished, proposal: Proposal | None, weights: Mapping[TrialKey, float] | None
) -> dict[str, object]:
    return {
        **line.metrics,
        "config_id": line.key.config_id,
        "budget": line.key.budget,
        "learner": learner_of(proposal.config) if proposal else "",
        "loss": line.loss,
        "weight": np.nan if weights is None else weights.get(line.key, 0.0),
        "seconds": line.seconds,
        "status": line.status.value,
        "origin": proposal.origin if proposal else "",
    }


def ensemble_weights(ensemble: Mapping[str, Any] | None) -> dict[TrialKey, float] | None:
    """Weights of an ensemble.json by trial key, heaviest first; None without an ensemble."""
    if ensemble is None:
        return None
    members = sorted(ensemble["members"], key=lambda member: -member["weight"])
    return {TrialKey(int(m["config_id"]), int(m["budget"])): float(m["weight"]) for m in members}


def failures(lines: Iterable[Line]) -> pd.DataFrame:
    """Evaluations without a result, one row per kind, most frequent first.

    Returns:
        Columns: kind (a status), n, first error (of the first such evaluation), first traceback (text, may be empty).
    """
    failed = [line for line in evaluations(lines) if line.failed]
    rows = []
    for kind, n in Counter(line.status for line in failed).most_common():
        of_kind = [line for line in failed if line.status is kind]
        traced = next((line for line in of_kind if line.traceback), of_kind[0])
        rows.append({"kind": kind.value, "n": n, "first error": traced.error, "first traceback": traced.traceback})
    return pd.DataFrame(rows, columns=["kind", "n", "first error", "first traceback"])


def incumbents(lines: Iterable[Line]) -> list[Incumbent]:
    """The incumbents in the order they took over.

    The incumbent is the best finished trial on the largest budget evaluated so far, so the loss may rise once, when the
    first trial on a larger budget ends.
    """
    found: list[Incumbent] = []
    for line in evaluations(lines):
        if not line.ok or line.loss is None:
            continue
        best = found[-1] if found else None
        larger = best is None or line.key.budget > best.key.budget
        if larger or (best is not None and line.key.budget == best.key.budget and line.loss < best.loss):
            found.append(Incumbent(line.finished_s, line.key, float(line.loss)))
    return found


def without_repeats(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A leaderboard without columns that say nothing: the optimised metric where it repeats the loss, no learners."""
    same = [name for name in frame.columns if str(name).removeprefix("neg_") == metric.removeprefix("neg_")]
    empty = [] if frame["learner"].any() else ["learner"]
    return frame.drop(columns=[*(same if metric.startswith("neg_") else ()), *empty])


def leaderboard_cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of a leaderboard (or any frame of this module) as text, ready to print or to put in a page."""
    columns = [_column_cells(str(name), list(frame[name])) for name in frame.columns]
    return [metric_words(str(name)) for name in frame.columns], [list(row) for row in zip(*columns, strict=True)]


def _column_cells(name: str, values: Sequence[Any]) -> list[str]:
    """Cells of one column; losses and metrics get the same number of decimals all the way down."""
    present = [value for value in values if not _is_absent(value)]
    is_measured = name not in _NOT_MEASURED and all(isinstance(value, float) for value in present)
    n_decimals = _decimals(present) if is_measured and present else None
    return [_cell(name, value, n_decimals) for value in values]


def _decimals(values: Sequence[float]) -> int:
    """Decimals that give a typical value of these four significant digits or a little more."""
    finite = [abs(value) for value in values if np.isfinite(value)]
    typical = float(np.median(finite)) if finite else 1.0
    return max(0, 4 - max(0, int(np.floor(np.log10(max(typical, 1e-12))))))


def _is_absent(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _cell(name: str, value: Any, n_decimals: int | None) -> str:
    if _is_absent(value):
        return "–"
    if name == "weight":
        return f"{value:.3f}" if value > 0 else ""
    if name == "seconds":
        return f"{value:.1f}"
    return number(value) if n_decimals is None else f"{value:.{n_decimals}f}"


def to_text(frame: pd.DataFrame) -> str:
    """A frame of this module as aligned plain text, one line per row."""
    headings, rows = leaderboard_cells(frame)
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    left = [name in _RIGHT_ALIGNED_EXCEPT for name in frame.columns]
    return "\n".join(_aligned(row, widths, left) for row in [headings, *rows])


def _aligned(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    padded = (
        cell.ljust(width) if to_left else cell.rjust(width)
        for cell, width, to_left in zip(cells, widths, left, strict=True)
    )
    return "  ".join(padded).rstrip()


def to_rich(frame: pd.DataFrame, title: str | None = None) -> RenderableType:
    """A frame of this module as a rich table: ensemble members bold, failures dim."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headings, rows = leaderboard_cells(frame)
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", header_style="bold")
    for name, heading in zip(frame.columns, headings, strict=True):
        table.add_column(
            heading, justify="left" if name in _RIGHT_ALIGNED_EXCEPT else "right", no_wrap=name != "learner"
        )
    for position, row in enumerate(rows):
        table.add_row(*(Text(cell) for cell in row), style=_row_style(frame, position))
    return table


def _row_style(frame: pd.DataFrame, position: int) -> str | None:
    row = frame.iloc[position]
    if row.get("status", Status.OK.value) != Status.OK.value:
        return "dim"
    weight = row.get("weight", 0.0)
    return "bold" if weight is not None and weight > 0 else None


def print_table(frame: pd.DataFrame, *, title: str | None = None, stream: IO[str] | None = None) -> None:
    """Print a frame of this module: a rich table in a terminal, aligned plain text elsewhere.

    Args:
        frame: what `leaderboard` or `failures` gave, or rows of it.
        title: a line above the table.
        stream: where to; standard output if None.
    """
    from rich.console import Console

    console = Console(file=stream)
    if console.is_terminal:
        console.print(to_rich(frame, title))
        return
    text = to_text(frame)
    console.file.write(f"{title}\n{text}\n" if title else f"{text}\n")
