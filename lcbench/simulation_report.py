"""What `lcbench simulate` found, as a page: anytime curves and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autopytorch_lite.report.html import Section, Table, write_sections
from autopytorch_lite.report.theme import QUALITATIVE, Panel, new_figure, round_ticks, shortened
from autopytorch_lite.report.words import counted, measured
from lcbench.simulation import MOMENTS, Comparison, over_datasets
from lcbench.words import anchor, regret_unit, tag_words

_SMALLEST_SHARE_OF_SPAN = 1e-3


def write_comparisons(path: str | Path, comparisons: Sequence[Comparison], *, source: str) -> Path:
    """Write the page of comparisons, one for each data set.

    Args:
        path: the file.
        comparisons: of one tag, with the same searchers, time and seeds.
        source: what the curves came from, for the line below the title.
    """
    first = comparisons[0]
    lead = (
        f"Incumbents by {tag_words(first.tag)}, over {first.n_trainings:g} full trainings of simulated time, "
        f"{counted(first.n_seeds, 'run')} per searcher. Curves: {source}."
    )
    sections = [
        Section(comparison.dataset_name, panels=[anytime_panel(comparison)], tables=[_table(comparison)])
        for comparison in comparisons
    ]
    if len(comparisons) > 1:
        sections.insert(0, Section("All data sets", tables=[_overall(comparisons)]))
    return write_sections(
        path, title="Searchers in simulated time", lead=lead, tiles=_tiles(comparisons), sections=sections
    )


def anytime_panel(comparison: Comparison) -> Panel:
    """Mean regret of the incumbent over simulated time, one line per searcher, with the standard error as a band."""
    unit = regret_unit(comparison.tag)
    figure = new_figure(x="simulated time (full trainings)", y=f"regret of the incumbent ({unit})", height=440)
    floor = comparison.span * _SMALLEST_SHARE_OF_SPAN or 1.0
    drawn: list[float] = []
    for color, (name, regrets) in zip(QUALITATIVE, comparison.regrets.items(), strict=False):
        mean = regrets.mean(axis=0)
        known = np.isfinite(mean)
        times, mean = MOMENTS[known] * comparison.n_trainings, np.maximum(mean[known], floor)
        error = regrets[:, known].std(axis=0) / np.sqrt(max(1, comparison.n_seeds - 1))
        low, high = np.maximum(mean - error, floor), mean + error
        drawn += [*low, *high]
        if comparison.n_seeds > 1:
            x, y = shortened([*times, *times[::-1]]), shortened([*high, *low[::-1]])
            band = {"fill": "toself", "fillcolor": color, "opacity": 0.15, "line_shape": "hv", "hoverinfo": "skip"}
            figure.add_scatter(x=x, y=y, mode="none", showlegend=False, legendgroup=name, **band)
        figure.add_scatter(
            x=shortened(times),
            y=shortened(mean),
            mode="lines",
            line={"color": color, "width": 2.2, "shape": "hv"},
            name=name.replace("_", " "),
            legendgroup=name,
            hovertemplate=f"{name}: %{{y:.3g}} {unit}<br>after %{{x:.3g}} trainings<extra></extra>",
        )
    figure.update_xaxes(**_log_axis(MOMENTS[0] * comparison.n_trainings, comparison.n_trainings))
    if drawn:
        figure.update_yaxes(**_log_axis(min(drawn), max(drawn)))
    caption = (
        f"Mean over {counted(comparison.n_seeds, 'run')}; the band is one standard error. The incumbent is the best "
        f"configuration on the largest budget so far, so regret may rise. Regrets below {measured(floor)} {unit} are "
        "drawn there."
    )
    return Panel(f"anytime-{anchor(comparison.dataset_name)}", _sentence(comparison), caption, figure)


def _sentence(comparison: Comparison) -> str:
    ends = comparison.table()["100%"].dropna().sort_values()
    if ends.empty:
        return "No searcher finished a full training."
    unit = regret_unit(comparison.tag)
    best = str(ends.index[0]).replace("_", " ")
    return f"{best} ends closest to the best known result: {measured(float(ends.iloc[0]))} {unit} worse."


def _table(comparison: Comparison) -> Table:
    frame = comparison.table()
    frame.index.name = "searcher"
    title = f"Mean regret ({regret_unit(comparison.tag)}) after parts of the time"
    return Table(title, "And the mean number of evaluations. “–”: some run had no incumbent yet.", frame)


def _overall(comparisons: Sequence[Comparison]) -> Table:
    frame = over_datasets(comparisons)
    frame.index.name = "searcher"
    title = f"Mean over {counted(len(comparisons), 'data set')}"
    return Table(
        title, "Regrets are shares of the difference between the worst and the best run of each data set.", frame
    )


def _tiles(comparisons: Sequence[Comparison]) -> list[tuple[str, str, str]]:
    ranks = over_datasets(comparisons)["mean rank"].sort_values()
    return [(str(name).replace("_", " "), f"{rank:.1f}", "mean rank at the end") for name, rank in ranks.items()]


def _log_axis(low: float, high: float) -> dict[str, object]:
    ticks = round_ticks(low, high, is_log=True)
    margin = 0.03 * np.log10(high / low)
    return {
        "type": "log",
        "range": [np.log10(low) - margin, np.log10(high) + margin],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
