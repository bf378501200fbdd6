"""The report: one self-contained HTML page about a run, made from the files of its directory only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from autopytorch_lite.history.summary import elapsed_s, open_proposals
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
from autopytorch_lite.report.theme import Panel
from autopytorch_lite.report.words import counted, duration, loss_words, measured, metric_words, number

LEADERBOARD_ROWS = 20
MAX_LEADERBOARD_ROWS = 500
MAX_COLUMNS = 200
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
    html = render(read_run(run_dir))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_text(html, encoding="utf-8")
    unfinished.replace(target)
    return target


def render(run: RunRecord) -> str:
    """The page as text: HTML with everything it needs inside, plotly.js once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("autopytorch_lite.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    sections = panels(run)
    n_open = len(open_proposals(run.lines))
    any_drawn = any(panel.figure is not None for section in sections.values() for panel in section)
    return environment.get_template("report.html.jinja").render(
        title=_title(run),
        written=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        is_done=run.is_done,
        n_open=counted(n_open, "evaluation") if n_open else "",
        tiles=_tiles(run),
        summary=_summary(run),
        data=_data_facts(run),
        columns=_columns(run),
        leaderboard=_leaderboard(run),
        panels={name: [_drawn(panel) for panel in section] for name, section in sections.items()},
        failures=failures(run.lines).to_dict("records"),
        arguments=_arguments(run),
        versions=run.about.get("versions", {}),
        plotly_js=Markup(get_plotlyjs()) if any_drawn else Markup(""),
    )


def _drawn(panel: Panel) -> dict[str, Any]:
    """What the template needs of a panel, the drawing as an HTML fragment."""
    from markupsafe import Markup

    drawing = ""
    if panel.figure is not None:
        drawing = panel.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"figure-{panel.name}",
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
    return {
        "name": panel.name,
        "title": panel.title,
        "caption": panel.caption,
        "min_width": panel.min_width,
        "drawing": Markup(drawing),
    }


def _title(run: RunRecord) -> str:
    names = run.target_names
    of = f" of {', '.join(names)}" if names and names != ["target"] else ""
    return f"{run.task.value.capitalize()} {'classification' if run.task.is_classification else ''}".strip() + of


def _tiles(run: RunRecord) -> list[dict[str, str]]:
    """The few numbers at the top of the page."""
    ended = evaluations(run.lines)
    n_failed = sum(not line.ok for line in ended)
    tiles = [
        *_loss_tiles(run),
        {
            "label": "evaluations",
            "value": number(len(ended)),
            "note": f"{n_failed} failed" if n_failed else "none failed",
        },
        {"label": "search time", "value": duration(elapsed_s(run.lines)), "note": _limit_words(run)},
    ]
    if run.holdout is not None and run.holdout.get("metrics"):
        tiles.insert(0, _holdout_tile(run))
    return tiles


def _loss_tiles(run: RunRecord) -> list[dict[str, str]]:
    words = loss_words(run.metric)
    if run.ensemble is not None:
        size = counted(len(run.ensemble["members"]), "model")
        best = run.ensemble.get("best_single") or {}
        return [
            {"label": f"ensemble, validation {words}", "value": measured(run.ensemble["loss"]), "note": f"{size}"},
            {
                "label": f"best single model, validation {words}",
                "value": measured(best.get("loss")),
                "note": f"configuration {best.get('config_id', '–')} at {best.get('budget', '–')} epochs",
            },
        ]
    found = incumbents(run.lines)
    if not found:
        return [{"label": f"validation {words}", "value": "–", "note": "no result yet"}]
    key = found[-1].key
    note = f"configuration {key.config_id} at {counted(key.budget, 'epoch')}"
    return [{"label": f"best model so far, validation {words}", "value": measured(found[-1].loss), "note": note}]


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


def _data_facts(run: RunRecord) -> list[tuple[str, str]]:
    data = run.about["dataset"]
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
    columns = run.about["dataset"].get("columns", [])
    return {"rows": columns[:MAX_COLUMNS], "n_left_out": max(0, len(columns) - MAX_COLUMNS)}


def _leaderboard(run: RunRecord) -> dict[str, Any]:
    frame = without_repeats(leaderboard(run.lines, run.ensemble), run.metric)
    if run.ensemble is None:
        frame = frame.drop(columns="weight")
    headings, rows = leaderboard_cells(frame.head(MAX_LEADERBOARD_ROWS))
    headings[headings.index("loss")] = loss_words(run.metric)
    return {
        "headings": [{"text": text, "left": name in _LEFT} for text, name in zip(headings, frame.columns, strict=True)],
        "rows": list(_table_rows(frame, rows)),
        "n_shown": LEADERBOARD_ROWS,
        "n_left_out": max(0, len(frame) - MAX_LEADERBOARD_ROWS),
    }


def _table_rows(frame: pd.DataFrame, rows: list[list[str]]) -> Iterator[dict[str, Any]]:
    heaviest = float(frame["weight"].max()) if "weight" in frame and len(frame) else 0.0
    for (_, values), cells in zip(frame.iterrows(), rows, strict=False):
        weight = float(values.get("weight", 0.0) or 0.0)
        yield {
            "cells": [
                {"text": text, "left": name in _LEFT, "bar": weight / heaviest if name == "weight" and weight else 0}
                for text, name in zip(cells, frame.columns, strict=True)
            ],
            "failed": values["status"] != "ok",
            "member": weight > 0,
        }


def _arguments(run: RunRecord) -> list[tuple[str, str]]:
    arguments = {"seed": run.about.get("seed"), **run.about.get("arguments", {})}
    return [(name, "–" if value is None else str(value)) for name, value in arguments.items()]
