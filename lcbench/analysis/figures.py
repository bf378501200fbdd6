"""One figure for each analysis, with the sentence it shows and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autopytorch_lite.report.theme import (
    ACCENT,
    MUTED,
    QUALITATIVE,
    WARM,
    Panel,
    budget_colors,
    color_scale,
    new_figure,
    round_ticks,
    shortened,
)
from autopytorch_lite.report.words import counted, hyperparameter_words, number
from autopytorch_lite.types import FloatArray
from lcbench.analysis.budgets import TOP
from lcbench.analysis.summary import Analysis
from lcbench.plotting import AXIS_FONT, add_panels
from lcbench.words import anchor, axis_words

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_NAMES = 12
MAX_EFFECTS = 4
_MAX_COLUMNS_WITH_NUMBERS = 14
_ROW_PX = 24
_MAX_TICK_CHARACTERS = 22  # beside each other below a small panel
_PANEL_MARGIN = {"l": 60, "r": 16, "t": 40, "b": 48}
_BAND = "rgba(31, 111, 178, 0.15)"


def distribution_panel(analysis: Analysis) -> Panel:
    """The distribution of the last value of all runs: a box for each data set."""
    is_loss = analysis.tables[0].is_loss
    frame = analysis.distribution.sort_values("median", ascending=not is_loss)
    ends = ("best 5%", "best 25%", "worst 25%", "worst 5%")
    low, q1, q3, high = ends if is_loss else ends[::-1]
    figure = new_figure(x=axis_words(analysis.tag), height=_height(len(frame)), showlegend=False)
    figure.add_box(
        y=frame.index.tolist(),
        q1=shortened(frame[q1]),
        median=shortened(frame["median"]),
        q3=shortened(frame[q3]),
        lowerfence=shortened(frame[low]),
        upperfence=shortened(frame[high]),
        orientation="h",
        width=0.55,
        line={"color": ACCENT, "width": 1.6},
        fillcolor="#e3eef8",
    )
    figure.add_scatter(
        x=shortened(frame["best"]),
        y=frame.index.tolist(),
        mode="markers",
        marker={"color": WARM, "size": 8, "symbol": "diamond"},
        hovertemplate="best: %{x:.5g}<extra>%{y}</extra>",
    )
    near = float(frame["near best"].median())
    title = f"{near:.1%} of random configurations come close to the best one"
    title += ", in the median over data sets." if len(frame) > 1 else "."
    caption = (
        "Boxes hold the middle half of the runs, whiskers all but the best and the worst 5 %; the diamond is the best "
        "run. Close: within 1 % of the way from the best to the worst."
    )
    return Panel("distribution", title, caption, figure)


def importance_panel(analysis: Analysis) -> Panel:
    """What each hyperparameter explains alone, by epoch."""
    frame = analysis.importances.head(MAX_NAMES)[::-1]
    names = [hyperparameter_words(str(name)) for name in frame.index]
    height = _height(len(names) * (1 + len(analysis.epochs)) / 2)
    figure = new_figure(x="share of the variance explained alone (%)", height=height)
    colors = budget_colors(analysis.epochs)
    for epoch in analysis.epochs[::-1]:  # bars are drawn from the bottom up
        _add_bars(figure, frame[epoch], names, color=colors[epoch], name=f"epoch {epoch}")
    figure.update_layout(
        barmode="group", bargap=0.25, legend_traceorder="reversed", showlegend=len(analysis.epochs) > 1
    )
    caption = "Mean over data sets. What is missing to 100 % is explained by several hyperparameters together."
    return Panel("importance", _importance_sentence(analysis), caption, figure)


def _importance_sentence(analysis: Analysis) -> str:
    first, last = analysis.importances[analysis.epochs[0]], analysis.importances[analysis.epochs[-1]]
    sentence = (
        f"At epoch {analysis.epochs[-1]} {hyperparameter_words(str(last.index[0]))} explains most alone, "
        f"{last.iloc[0]:.0%}"
    )
    if first.idxmax() == last.index[0]:
        return f"{sentence}."
    return f"{sentence}; at epoch {analysis.epochs[0]} {hyperparameter_words(str(first.idxmax()))}, {first.max():.0%}."


def importance_by_dataset_panel(analysis: Analysis) -> Panel:
    """What each hyperparameter explains alone on each data set, at the last epoch."""
    frame = pd.DataFrame({name: effects.importances for name, effects in analysis.effects.items()}).fillna(0.0)
    frame = frame.loc[analysis.importances.index[:MAX_NAMES]]
    winners = frame.idxmax().value_counts()
    figure = _heatmap(
        100 * frame.to_numpy().T,
        [hyperparameter_words(str(name)) for name in frame.index],
        list(frame.columns),
        unit="share of the variance (%)",
        digits=0,
    )
    winner = hyperparameter_words(str(winners.index[0])).capitalize()
    title = f"{winner} matters most on {winners.iloc[0]} of {frame.shape[1]} data sets."
    caption = f"Share of the variance explained alone, at epoch {analysis.epochs[-1]}, in percent."
    return Panel("importance-by-data-set", title, caption, figure, min_width=560)


def effects_panel(analysis: Analysis, dataset_name: str) -> Panel:
    """Mean loss along the axes of the most important hyperparameters of a data set."""
    effects = analysis.effects[dataset_name]
    names = [str(name) for name in effects.importances.index[:MAX_EFFECTS]]
    figure = new_figure(height=300, showlegend=False, margin=_PANEL_MARGIN)
    add_panels(
        figure, [f"{hyperparameter_words(name)}: {effects.importances[name]:.0%}" for name in names], is_row=True
    )
    for column, name in enumerate(names, start=1):
        _add_effect(figure, effects.marginal[name], column)
    figure.update_yaxes(title_text=_effect_axis(analysis), col=1)
    title = f"{dataset_name}: {hyperparameter_words(names[0])} moves the mean most."
    caption = (
        f"At epoch {analysis.epochs[-1]}, lower is better; the band is the deviation between trees. The headings say "
        "which share of the variance a hyperparameter explains alone."
    )
    return Panel(f"effects-{anchor(dataset_name)}", title, caption, figure, min_width=720)


def _effect_axis(analysis: Analysis) -> str:
    if analysis.scale == "ranks":
        return "mean rank, 0 is best"
    return axis_words(analysis.tag) if analysis.tables[0].is_loss else f"− {axis_words(analysis.tag)}"


def _add_effect(figure: go.Figure, effect: pd.DataFrame, column: int) -> None:
    values, mean, deviation = effect["value"].tolist(), effect["mean"].to_numpy(), effect["deviation"].to_numpy()
    place = {"row": 1, "col": column}
    if any(isinstance(value, str | bool) for value in values):
        error = {"type": "data", "array": shortened(deviation), "color": MUTED}
        labels = [str(value).replace("_", " ") for value in values]
        marker = {"color": ACCENT, "size": 9}
        figure.add_scatter(x=labels, y=shortened(mean), mode="markers", marker=marker, error_y=error, **place)
        return
    x, band = shortened(values), shortened([*(mean + deviation), *(mean - deviation)[::-1]])
    filled = {"mode": "none", "fill": "toself", "fillcolor": _BAND, "hoverinfo": "skip"}
    figure.add_scatter(x=[*x, *x[::-1]], y=band, **filled, **place)
    figure.add_scatter(x=x, y=shortened(mean), mode="lines", line={"color": ACCENT, "width": 2}, **place)
    figure.update_xaxes(**_value_axis(x), col=column)


def _value_axis(values: Sequence[float]) -> dict[str, object]:
    """Axis of values that are evenly spaced, on a logarithmic or a linear scale."""
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    is_log = low > 0 and middle < 0.75 * (low + high) / 2
    ticks = round_ticks(low, high, is_log=is_log)
    texts = [number(tick, 2) for tick in ticks]
    if sum(map(len, texts)) > _MAX_TICK_CHARACTERS:
        texts = [text if place % 2 == 0 else "" for place, text in enumerate(texts)]
    return {"type": "log" if is_log else "linear", "tickvals": ticks, "ticktext": texts, "tickangle": 0}


def local_panel(analysis: Analysis) -> Panel:
    """How much the prediction changes along each axis from the best configuration."""
    found = analysis.mean_effects("local_importances").head(MAX_NAMES)[::-1]
    figure = new_figure(x="share of the predicted variation (%)", height=_height(len(found)), showlegend=False)
    _add_bars(figure, found, [hyperparameter_words(str(name)) for name in found.index], color=ACCENT, name="")
    title = (
        f"From the best configuration, {hyperparameter_words(str(found.index[-1]))} alone changes the prediction most."
    )
    caption = (
        f"Variance of the prediction along one axis through the best recorded configuration at epoch "
        f"{analysis.epochs[-1]}, as a share of the sum over all axes; mean over data sets."
    )
    return Panel("local", title, caption, figure)


def correlations_panel(analysis: Analysis) -> Panel:
    """Rank correlations between the compared epochs: all runs, and the best tenth."""
    figure = new_figure(height=360, margin=_PANEL_MARGIN)
    labels = [str(epoch) for epoch in analysis.epochs]
    add_panels(figure, ["all runs", f"best {TOP:.0%} of the runs"], is_row=True)
    frames = (analysis.correlations, analysis.top_correlations)
    for column, frame in enumerate(frames, start=1):
        cells = _cells(frame.to_numpy(dtype=float), digits=2, unit="Spearman", has_numbers=True)
        figure.add_heatmap(x=labels, y=labels, zmax=1, showscale=column == 2, row=1, col=column, **cells)
    figure.update_xaxes(title_text="epoch", type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_yaxes(title_text="epoch", col=1)
    first, last = analysis.epochs[0], analysis.epochs[-1]
    all_runs, top = (float(frame.to_numpy()[0, -1]) for frame in frames)
    title = (
        f"Epoch {first} orders all runs as epoch {last} does with a correlation of {all_runs:.2f}, and the best tenth "
        f"with {top:.2f}."
    )
    caption = "Spearman's rank correlation; the best tenth is chosen by the last epoch. 1: the same order, 0: none."
    return Panel("correlations", title, caption, figure, min_width=640)


def with_final_panel(analysis: Analysis) -> Panel:
    """Rank correlation of every epoch with the last one."""
    figure = _lines_over_epochs(analysis.with_final, "rank correlation with the last epoch (Spearman)")
    found = analysis.with_final.iloc[:, 0]
    enough = found.index[found >= 0.9]
    title = f"From epoch {enough[0]} on, the order of all runs has a correlation of 0.9 with the final one."
    return Panel("with-final", title, "Shares are of the runs that are best at the last epoch.", figure)


def crossings_panel(analysis: Analysis) -> Panel:
    """Share of pairs of curves that cross between an epoch and the last one."""
    figure = _lines_over_epochs(100 * analysis.crossings, "pairs that change places (%)")
    epoch = analysis.crossings.index[max(0, len(analysis.crossings) // 4 - 1)]
    share = float(analysis.crossings.loc[epoch].iloc[0])
    title = f"After epoch {epoch}, {share:.0%} of all pairs of runs still change places."
    caption = "The order of two runs at an epoch is not their order at the last one; 50 % would be chance."
    return Panel("crossings", title, caption, figure)


def portfolio_panel(portfolios: pd.DataFrame) -> Panel:
    """Regret on a data set after each member of a portfolio that was selected without it."""
    figure = new_figure(x="configurations tried", y="normalised regret of the best so far", height=400)
    lines = {
        "portfolio": ("portfolio of the other data sets", ACCENT),
        "random": ("random configurations (expected)", MUTED),
    }
    for name, (label, color) in lines.items():
        found: pd.Series = portfolios.mean()[name]
        style = {"mode": "lines+markers", "line": {"color": color, "width": 2.2}, "marker": {"size": 6}}
        figure.add_scatter(x=list(found.index), y=shortened(found), name=label, **style)
    figure.update_yaxes(rangemode="tozero")
    size = int(portfolios.columns[-1][1])
    ours, random = (float(portfolios[name][size].mean()) for name in lines)
    title = (
        f"On a new data set a portfolio of {size} leaves a regret of {ours:.3f}, as many random configurations "
        f"{random:.3f}."
    )
    caption = f"Mean over {counted(len(portfolios), 'data set')}; the portfolio of each is selected on the others only."
    return Panel("portfolio", title, caption, figure)


def transfer_panel(transfer: pd.DataFrame) -> Panel:
    """Regret of each data set's best configuration on the others."""
    values = transfer.to_numpy(dtype=float)
    figure = _heatmap(values, list(transfer.columns), list(transfer.index), unit="normalised regret", digits=2)
    figure.update_xaxes(title_text="used on")
    figure.update_yaxes(title_text="best on")
    others = float(np.median(values[~np.eye(len(values), dtype=bool)]))
    title = f"The best configuration of another data set has a regret of {others:.3f} in the median."
    caption = "Dark: what is best on one data set (row) is bad on another one (column)."
    return Panel("transfer", title, caption, figure, min_width=24 * len(values) + 260)


def _add_bars(figure: go.Figure, shares: pd.Series, names: Sequence[str], *, color: str, name: str) -> None:
    """Horizontal bars of shares, in percent."""
    figure.add_bar(
        x=shortened(100 * shares.to_numpy()),
        y=list(names),
        orientation="h",
        marker_color=color,
        name=name,
        hovertemplate=f"%{{y}}: %{{x:.3g}} %<extra>{name}</extra>",
    )
    figure.update_xaxes(rangemode="tozero")


def _lines_over_epochs(frame: pd.DataFrame, y: str) -> go.Figure:
    """One line for each column, which is a share of the runs."""
    figure = new_figure(x="epoch", y=y, height=400)
    for color, column in zip(QUALITATIVE, frame.columns, strict=False):
        name = "all runs" if column == 1 else f"best {column:.0%} of the runs"
        line = {"color": color, "width": 2.2}
        figure.add_scatter(x=list(frame.index), y=shortened(frame[column]), mode="lines", line=line, name=name)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _heatmap(values: FloatArray, columns: Sequence[str], rows: Sequence[str], *, unit: str, digits: int) -> go.Figure:
    """Rows from the top down; numbers in the cells where there is room."""
    figure = new_figure(height=_height(len(rows)) + 70)
    cells = _cells(values, digits=digits, unit=unit, has_numbers=len(columns) <= _MAX_COLUMNS_WITH_NUMBERS)
    figure.add_heatmap(x=list(columns), y=list(rows), **cells)
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, dtick=1)
    return figure


def _cells(values: FloatArray, *, digits: int, unit: str, has_numbers: bool) -> dict[str, object]:
    """Colours, numbers and the bar of a heatmap that begins at 0."""
    return {
        "z": [shortened(row, 3) for row in values],
        "zmin": 0,
        "text": [[f"{value:.{digits}f}" for value in row] for row in values],
        "texttemplate": "%{text}" if has_numbers else None,
        "colorscale": color_scale(),
        "colorbar": {"title": {"text": unit, "side": "right", "font": AXIS_FONT}, "thickness": 12, "outlinewidth": 0},
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z:.3g}}<extra>{unit}</extra>",
    }


def _height(n_rows: float) -> int:
    return round(110 + _ROW_PX * max(n_rows, 2))
