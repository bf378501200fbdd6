"""Summaries as markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.hpo.aggregate import Entry, Interval, Summary
from benchmarks.markdown import one_line, table


def markdown(summary: Summary) -> str:
    """One table per family of problems, and what is not in it."""
    budgets = [f"{budget:g}" for budget in summary.budgets]
    header = [
        "",
        *(f"regret x 100 at {budget}" for budget in budgets),
        f"mean rank at {' / '.join(budgets)}",
        f"times faster than random search at {' / '.join(budgets)}: reached",
        "reached for good",
        "ask, ms: median (mean)",
        "evaluations",
        "tasks x runs",
    ]
    rows = [_cells(entry, len(budgets)) for entry in summary.entries]
    lines = [f"## {summary.problem}", "", *table(header, rows), "", *_notes(summary)]
    return "\n".join(lines) + "\n"


def _cells(entry: Entry, n_budgets: int) -> list[str]:
    if not entry.n_runs:
        return [f"{entry.title}: no number, {one_line(entry.reason)}", *[""] * (n_budgets + 6)]
    asked = "" if entry.ask_ms_median is None else f"{entry.ask_ms_median:.2g} ({entry.ask_ms_mean:.2g})"
    return [
        f"{entry.title} (`{entry.label}`)",
        *map(_regret, entry.regrets),
        " / ".join("" if math.isnan(rank) else f"{rank:.1f}" for rank in entry.ranks),
        _times(entry.speed_ups),
        _times(entry.lasting_speed_ups),
        asked,
        f"{entry.n_evaluations:.0f}",
        f"{entry.n_tasks} x {entry.n_runs / entry.n_tasks:.3g}",
    ]


def _times(speed_ups: Sequence[float]) -> str:
    return " / ".join(
        "" if math.isnan(times) else f"{times:.0f}" if times >= 10 else f"{times:.1f}" for times in speed_ups
    )


def _regret(value: Interval) -> str:
    if math.isnan(value.mean):
        return ""
    return f"{100 * value.mean:.2f} [{100 * value.low:.2f}, {100 * value.high:.2f}]"


def _notes(summary: Summary) -> list[str]:
    notes = [
        f"- {label}: one worker's regret at {summary.budgets[-1]:g} is {_reached(times)}; "
        f"workers train {_share(summary, label)} of the time."
        for label, times in summary.parallel.items()
    ]
    return notes + [f"- {entry.label}: {one_line(entry.reason)}" for entry in summary.entries if entry.reason]


def _reached(times: float) -> str:
    if times == 0:
        return "not reached within the limit on half of the tasks"
    return f"reached in 1/{times:.3g} of its simulated time (median over tasks)"


def _share(summary: Summary, label: str) -> str:
    share = next(entry.utilisation for entry in summary.entries if entry.label == label)
    return "" if share is None else f"{100 * share:.1f} %"
