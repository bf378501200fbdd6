"""The report: one self-contained HTML page about a run, made from the files of its directory only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from autopytorch_lite.history.summary import elapsed_s, incumbent, open_proposals, proposals
from autopytorch_lite.history.trial import Status
from autopytorch_lite.report import html
from autopytorch_lite.report.figures import panels
from autopytorch_lite.report.record import RunRecord, read_run
from autopytorch_lite.report.tables import (
    evaluations,
    failures,
    incumbents,
    leaderboard,
    leaderboard_cells,
    without_repeats,
)
from autopytorch_lite.report.words import counted, duration, loss_words, measured, metric_words, number

LEADERBOARD_ROWS = 20
MAX_LEADERBOARD_ROWS = 500
MAX_COLUMNS = 200
MAX_NAMES = 12
MAX_CONFIGURATION_COLUMNS = 6
_LEFT = frozenset({"learner", "status", "origin"})


def write_report(run_dir: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a run, finished or still running.

    Args:
        run_dir: the run directory; only its files are read.
        path: where to; by default `report.html` in the run directory. Replaced in one step if it exists.

    Returns:
        The path written.

    Raises:
        HistoryError: the folder is no run directory, or its history is damaged.
    """
    target = Path(path) if path is not None else Path(run_dir) / "report.html"
    page = render(read_run(run_dir))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(target)
    return target


def render(run: RunRecord) -> str:
    """The page as text: HTML with everything it needs inside, plotly.js once."""
    sections = panels(run)
    n_open = len(open_proposals(run.lines))
    return html.render(
        "report.html.jinja",
        panels=[panel for section in sections.values() for panel in section],
        title=_title(run),
        written=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        is_done=run.is_done,
        n_open=counted(n_open, "evaluation") if n_open else "",
        tiles=_tiles(run),
        summary=_summary(run),
        data=_facts(run),
        best=_best(run),
        columns=_columns(run),
        loss_label="validation loss" if run.metric else run.loss_label,
        leaderboard=_leaderboard(run),
        drawn={name: [html.drawn(panel) for panel in section] for name, section in sections.items()},
        failures=failures(run.lines).to_dict("records"),
        arguments=_arguments(run),
        versions=run.about.get("versions", {}),
    )


def _title(run: RunRecord) -> str:
    if run.task is None:
        return f"Search by {run.about.get('searcher', {}).get('name', 'an unnamed searcher')}"
    names = run.target_names
    of = f" of {', '.join(names)}" if names and names != ["target"] else ""
    return f"{run.task.value.capitalize()} {'classification' if run.task.is_classification else ''}".strip() + of


def _tiles(run: RunRecord) -> list[dict[str, str]]:
    """The few numbers at the top of the page."""
    ended = evaluations(run.lines)
    n_failed = sum(line.failed for line in ended)
    n_stopped = sum(line.status is Status.STOPPED for line in ended)
    tiles = [
        *_loss_tiles(run),
        {
            "label": "evaluations",
            "value": number(len(ended)),
            "note": (f"{n_failed} failed" if n_failed else "none failed")
            + (f", {n_stopped} ended early" if n_stopped else ""),
        },
        {"label": "search time", "value": duration(elapsed_s(run.lines)), "note": _limit_words(run)},
    ]
    if run.holdout is not None and run.holdout.get("metrics"):
        tiles.insert(0, _holdout_tile(run))
    return tiles


def _loss_tiles(run: RunRecord) -> list[dict[str, str]]:
    if run.ensemble is not None:
        size = counted(len(run.ensemble["members"]), "model")
        predict_ms = run.ensemble.get("predict_ms")
        size += "" if predict_ms is None else f", up to {predict_ms:.3g} ms for a row"
        best = run.ensemble.get("best_single") or {}
        return [
            {"label": f"ensemble, {run.loss_label}", "value": measured(run.ensemble["loss"]), "note": f"{size}"},
            {
                "label": f"best single model, {run.loss_label}",
                "value": measured(best.get("loss")),
                "note": f"configuration {best.get('config_id', '–')} at {best.get('budget', '–')} epochs",
            },
        ]
    found = incumbents(run.lines)
    if not found:
        return [{"label": run.loss_label, "value": "–", "note": "no result yet"}]
    key = found[-1].key
    note = f"configuration {key.config_id} at {counted(key.budget, 'epoch')}"
    what = f"best {run.loss_label}" if run.task is None else f"best model so far, {run.loss_label}"
    return [{"label": what, "value": measured(found[-1].loss), "note": note}]


def _holdout_tile(run: RunRecord) -> dict[str, str]:
    holdout = run.holdout or {}
    metrics = dict(holdout.get("metrics", {}))
    first = next((name for name in ("accuracy", "r2", *metrics) if name in metrics), None)
    return {
        "label": f"held-out {metric_words(first) if first else 'score'}",
        "value": measured(metrics.get(first) if first else None),
        "note": f"on {counted(int(holdout.get('rows', 0)), 'row')} never searched on",
    }


def _limit_words(run: RunRecord) -> str:
    if run.task is None:
        return ""
    limit = run.about.get("arguments", {}).get("time_limit")
    return f"of {duration(float(limit))} allowed" if limit else ""


def _summary(run: RunRecord) -> list[dict[str, str]]:
    """Held-out metrics, if any, one tile each."""
    if run.holdout is None:
        return []
    return [
        {"label": metric_words(name), "value": measured(value), "note": ""}
        for name, value in run.holdout.get("metrics", {}).items()
    ]


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    """What was searched on or over, and why the search ended."""
    facts = _space_facts(run) if run.task is None else _data_facts(run)
    if run.ended is not None:
        facts.append(("search ended", f"{run.ended['reason']}, after {duration(run.ended['seconds'])}"))
    return facts


def _space_facts(run: RunRecord) -> list[tuple[str, str]]:
    names = [str(entry["name"]) for entry in (run.space or {}).get("hyperparameters", ())]
    shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    facts = [("hyperparameters", f"{len(names)}: {shown}")] if names else []
    budgets = sorted({key.budget for key in proposals(run.lines)})
    if budgets:
        facts.append(("budgets", f"{', '.join(map(str, budgets))} {'epoch' if budgets == [1] else 'epochs'}"))
    return facts


def _best(run: RunRecord) -> list[tuple[str, str]]:
    """The incumbent's configuration; empty where an ensemble is what matters."""
    found = incumbent(run.lines)
    if found is None or run.ensemble is not None:
        return []
    return [(name, number(value)) for name, value in found.config.items()]


def _data_facts(run: RunRecord) -> list[tuple[str, str]]:
    data = run.dataset
    kinds = Counter(str(column.get("kind", "")) for column in data.get("columns", ()))
    facts = [
        ("rows", number(data.get("n_rows"))),
        ("columns", f"{number(data.get('n_columns'))} ({', '.join(f'{n} {kind}' for kind, n in kinds.most_common())})"),
    ]
    if run.classes:
        shown = ", ".join(run.classes[:12]) + (", …" if len(run.classes) > 12 else "")
        facts.append(("classes", f"{len(run.classes)}: {shown}"))
    if "n_missing" in data:
        facts.append(("missing cells", number(data["n_missing"])))
    facts.append(("metric", metric_words(run.metric)))
    facts.append(("validation", _resampling_words(str(data.get("resampling", "auto")))))
    return facts


def _resampling_words(resampling: str) -> str:
    return "chosen by the size of the table" if resampling == "auto" else resampling


def _columns(run: RunRecord) -> dict[str, Any]:
    columns = run.dataset.get("columns", [])
    return {"rows": columns[:MAX_COLUMNS], "n_left_out": max(0, len(columns) - MAX_COLUMNS)}


def _leaderboard(run: RunRecord) -> dict[str, Any]:
    frame = without_repeats(leaderboard(run.lines, run.ensemble), run.metric)
    if run.ensemble is None:
        frame = frame.drop(columns="weight")
    frame = _with_configurations(frame, run) if run.task is None else frame
    headings, rows = leaderboard_cells(frame.head(MAX_LEADERBOARD_ROWS))
    headings[headings.index("loss")] = loss_words(run.metric)
    return {
        "headings": [{"text": text, "left": name in _LEFT} for text, name in zip(headings, frame.columns, strict=True)],
        "rows": list(_table_rows(frame, rows)),
        "has_members": run.ensemble is not None,
        "n_shown": LEADERBOARD_ROWS,
        "n_left_out": max(0, len(frame) - MAX_LEADERBOARD_ROWS),
    }


def _with_configurations(frame: pd.DataFrame, run: RunRecord) -> pd.DataFrame:
    """A leaderboard with a column for each hyperparameter after the loss, where there are few."""
    configs = {key.config_id: proposal.config for key, proposal in proposals(run.lines).items()}
    names = list(dict.fromkeys(name for config in configs.values() for name in config))
    if len(names) > MAX_CONFIGURATION_COLUMNS:
        return frame
    at = list(frame.columns).index("loss") + 1
    for position, name in enumerate(name for name in names if name not in frame.columns):
        values = [configs[config_id].get(name) for config_id in frame["config_id"]]
        frame.insert(at + position, name, [number(value) for value in values])
    return frame


def _table_rows(frame: pd.DataFrame, rows: list[list[str]]) -> Iterator[dict[str, Any]]:
    heaviest = float(frame["weight"].max()) if "weight" in frame and len(frame) else 0.0
    for (_, values), cells in zip(frame.iterrows(), rows, strict=False):
        weight = float(values.get("weight", 0.0) or 0.0)
        yield {
            "cells": [
                {"text": text, "left": name in _LEFT, "bar": weight / heaviest if name == "weight" and weight else 0}
                for text, name in zip(cells, frame.columns, strict=True)
            ],
            "failed": values["status"] != Status.OK.value,
            "member": weight > 0,
        }


def _arguments(run: RunRecord) -> list[tuple[str, str]]:
    if run.task is None:
        arguments = dict(run.about.get("searcher", {}))
        arguments = {"searcher": arguments.pop("name", None), **arguments}
    else:
        arguments = {"seed": run.about.get("seed"), **run.about.get("arguments", {})}
    if isinstance(portfolio := arguments.get("portfolio"), list):
        arguments["portfolio"] = counted(len(portfolio), "configuration") if portfolio else None
    return [
        (name, number(value) if isinstance(value, float | None) else str(value)) for name, value in arguments.items()
    ]
