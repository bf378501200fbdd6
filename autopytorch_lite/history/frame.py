"""The history as a tidy pandas frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from autopytorch_lite.history.summary import open_proposals, proposals
from autopytorch_lite.history.trial import Finished, Line, Proposal

COLUMNS = (
    "config_id",
    "budget",
    "status",
    "loss",
    "seconds",
    "origin",
    "bracket",
    "rung",
    "resume_from",
    "started_s",
    "finished_s",
    "error",
    "curve",
)


def history_frame(lines: Iterable[Line], *, include_open: bool = False) -> pd.DataFrame:
    """One row per evaluation, in order of their end.

    Args:
        lines: the history.
        include_open: also one row with status "open" for each proposal that has no result: it is still running, or
            was interrupted and will be repeated when the run is continued.

    Returns:
        Frame with the columns `COLUMNS`, then "metric:NAME" for every metric (in the metric's own direction) and
        "config:NAME" for every hyperparameter (missing where it is inactive). A cancelled evaluation is a row of its
        own besides the one of its repetition. Numbers that are absent are NaN; `bracket`, `rung` and `resume_from`
        are nullable integers.
    """
    lines = list(lines)
    by_key = proposals(lines)
    rows = [_row(line, by_key[line.key]) for line in lines if isinstance(line, Finished)]
    if include_open:
        rows += [_open_row(proposal) for proposal in open_proposals(lines)]
    frame = pd.DataFrame(rows, columns=_columns(rows))
    integers = dict.fromkeys(("bracket", "rung", "resume_from"), "Int64")
    return frame.astype({"config_id": "int64", "budget": "int64", "loss": "float64", **integers})


def _row(line: Finished, proposal: Proposal) -> dict[str, Any]:
    return {
        **_proposal_cells(proposal),
        "status": line.status.value,
        "loss": line.loss,
        "seconds": line.seconds,
        "started_s": line.started_s,
        "finished_s": line.finished_s,
        "error": line.error,
        "curve": line.curve,
        **{f"metric:{name}": value for name, value in line.metrics.items()},
    }


def _open_row(proposal: Proposal) -> dict[str, Any]:
    return {**_proposal_cells(proposal), "status": "open", "error": "", "curve": ()}


def _proposal_cells(proposal: Proposal) -> dict[str, Any]:
    return {
        "config_id": proposal.config_id,
        "budget": proposal.budget,
        "origin": proposal.origin,
        "bracket": proposal.bracket,
        "rung": proposal.rung,
        "resume_from": proposal.resume_from,
        **{f"config:{name}": value for name, value in proposal.config.items()},
    }


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    metrics = [name for name in names if name.startswith("metric:")]
    config = [name for name in names if name.startswith("config:")]
    return [*COLUMNS, *metrics, *config]
