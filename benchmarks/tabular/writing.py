"""A comparison as files: results.md, summary.json, page.html, and results.txt, row by row against `hgb`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.hpo.aggregate import Interval
from benchmarks.markdown import one_line, table
from benchmarks.tabular.figures import write_page
from benchmarks.tabular.results import Row, comparison
from benchmarks.tabular.summary import Entry, Summary

_HEADER = (
    "system",
    "mean rank",
    "normalised score",
    "accuracy",
    "fit, s",
    "largest overrun, s",
    "predict 10,000 rows, s",
    "predict one row, ms",
    "peak memory, MB",
    "fits that gave a result",
)


def write_summary(summary: Summary, rows: Sequence[Row], folder: Path) -> str:
    """Write the files; returns the text of results.md."""
    text = markdown(summary)
    (folder / "results.md").write_text(text, encoding="utf-8")
    (folder / "results.txt").write_text(comparison(rows) + "\n", encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(plain(summary), indent=1) + "\n", encoding="utf-8")
    write_page(summary, folder / "page.html")
    return text


def plain(summary: Summary) -> dict[str, object]:
    """All numbers as plain data; a failure is null."""
    losses = [[None if math.isnan(loss) else loss for loss in row] for row in summary.losses.tolist()]
    return {
        **{name: getattr(summary, name) for name in ("tables", "metrics", "compared", "friedman_p")},
        "critical_difference": summary.critical_difference,
        "groups": summary.groups,
        "losses": losses,
        "wins": [[asdict(share) for share in row] for row in summary.wins],
        "entries": [asdict(entry) for entry in summary.entries],
    }


def markdown(summary: Summary) -> str:
    """The comparison as markdown."""
    n_tables = len(summary.tables)
    lines = [f"# Comparison on {n_tables} table{'s' if n_tables != 1 else ''}", ""]
    lines += table(_HEADER, [_cells(entry) for entry in summary.entries])
    lines += ["", *_test(summary), *_wins(summary), *_losses(summary), *_failures(summary)]
    return "\n".join(lines) + "\n"


def _cells(entry: Entry) -> list[str]:
    return [
        f"{entry.title} (`{entry.name}`)",
        _interval(entry.rank, 2),
        _interval(entry.score, 2),
        _number(entry.accuracy, ".4f"),
        _number(entry.fit_seconds, ".1f"),
        _number(entry.overrun_seconds, ".1f"),
        _number(entry.predict_10k_seconds, ".3g"),
        _number(entry.predict_row_ms, ".3g"),
        _number(entry.peak_memory_mb, ".0f"),
        f"{entry.n_ok}/{entry.n_rows}",
    ]


def _test(summary: Summary) -> list[str]:
    if summary.friedman_p is None or summary.critical_difference is None:
        return ["One table or one system: no test.", ""]
    groups = "; ".join(", ".join(group) for group in summary.groups) or "none"
    return [
        f"Friedman test: p = {summary.friedman_p:.2g}. Mean ranks differ by the Nemenyi test at 5 % if they are more "
        f"than {summary.critical_difference:.2f} apart ({len(summary.tables)} tables, "
        f"{len(summary.compared)} systems). Not told apart: {groups}.",
        "",
    ]


def _wins(summary: Summary) -> list[str]:
    if not summary.compared:
        return []
    rows = [
        [name, *("" if i == j else _interval(share, 2) for j, share in enumerate(row))]
        for i, (name, row) in enumerate(zip(summary.compared, summary.wins, strict=True))
    ]
    title = "## Share of tables on which the row has less loss than the column (a tie is half a win)"
    return [title, "", *table(["", *summary.compared], rows), ""]


def _losses(summary: Summary) -> list[str]:
    if not summary.tables:
        return []
    rows = [
        [name, metric.replace("roc_auc", "1 - roc_auc"), *_marked(row)]
        for name, metric, row in zip(summary.tables, summary.metrics, summary.losses.tolist(), strict=True)
    ]
    return ["## Losses, means over seeds", "", *table(["table", "loss", *summary.compared], rows), ""]


def _marked(losses: Sequence[float]) -> list[str]:
    """Losses as text, the lowest in bold."""
    best = min((loss for loss in losses if not math.isnan(loss)), default=math.nan)
    texts = ["failed" if math.isnan(loss) else f"{loss:.4g}" for loss in losses]
    return [f"**{text}**" if loss == best else text for text, loss in zip(texts, losses, strict=True)]


def _failures(summary: Summary) -> list[str]:
    failures = [f"- {entry.name}, {one_line(reason)}" for entry in summary.entries for reason in entry.failures]
    return ["## Failures", "", *failures] if failures else []


def _interval(value: Interval | None, n_digits: int) -> str:
    if value is None:
        return ""
    return f"{value.mean:.{n_digits}f} [{value.low:.{n_digits}f}, {value.high:.{n_digits}f}]"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
