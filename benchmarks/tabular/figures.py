"""The comparison as one static page: critical differences, wins, and validation losses over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from autopytorch_lite.report.theme import round_ticks
from autopytorch_lite.types import FloatArray
from benchmarks.tabular.summary import Summary

_WIDTH = 1100
_LANE = 26
"""Height of one line of text."""
_N_MOMENTS = 60
Trajectories = dict[str, dict[str, list[tuple[float, float]]]]


def write_page(summary: Summary, path: Path) -> None:
    """A page that needs no network."""
    figures = [difference_figure(summary), win_figure(summary)] if len(summary.compared) > 1 else []
    if summary.trajectories:
        figures.append(anytime_figure(summary.trajectories))
    shown = {"full_html": False, "config": {"displayModeBar": False}}
    parts = [figure.to_html(include_plotlyjs=i == 0, **shown) for i, figure in enumerate(figures)]
    body = "\n".join(parts) or "<p>Two systems are needed for a comparison.</p>"
    head = '<!doctype html><html><head><meta charset="utf-8"><title>Comparison of systems</title></head>'
    path.write_text(f"{head}<body>{body}</body></html>\n", encoding="utf-8")


def difference_figure(summary: Summary) -> go.Figure:
    """Mean ranks on a line, best to the left; a bar joins systems that the Nemenyi test does not tell apart.

    Source: Demsar, JMLR 7 (2006), figure 1.
    """
    rank_of = {entry.name: entry.rank.mean for entry in summary.entries if entry.rank is not None}
    n_systems = len(summary.compared)
    half = (n_systems + 1) // 2
    n_bars = len(summary.groups)
    figure = go.Figure()
    figure.add_scatter(
        x=list(rank_of.values()), y=[0.0] * n_systems, mode="markers", text=list(rank_of), showlegend=False
    )
    for row, group in enumerate(summary.groups):
        x = [rank_of[group[0]] - 0.03, rank_of[group[-1]] + 0.03]
        y = [-0.5 - 0.4 * row] * 2
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"width": 5, "color": "black"}, hoverinfo="skip", showlegend=False
        )
    for place, name in enumerate(summary.compared):
        is_left = place < half
        depth = -1 - 0.4 * n_bars - (place if is_left else n_systems - 1 - place)
        end = 0.5 if is_left else n_systems + 0.5
        figure.add_scatter(
            x=[rank_of[name], rank_of[name], end], y=[0, depth, depth], mode="lines",
            line={"width": 1, "color": "grey"}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        label = f"{name} ({rank_of[name]:.2f})"
        figure.add_annotation(x=end, y=depth, text=label, showarrow=False, xanchor="right" if is_left else "left")
    title = "Mean ranks"
    if summary.critical_difference is not None:
        title += f"; critical difference {summary.critical_difference:.2f} (Nemenyi, 5 %)"
    figure.update_xaxes(
        range=[-1.5, n_systems + 2.5],
        tickvals=list(range(1, n_systems + 1)),
        side="top",
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(visible=False, range=[-1.8 - 0.4 * n_bars - half, 0.5])
    figure.update_layout(
        title=title, template="plotly_white", width=_WIDTH, height=170 + int(_LANE * (half + 0.4 * n_bars))
    )
    return figure


def win_figure(summary: Summary) -> go.Figure:
    """Share of tables that the row wins against the column, with its interval."""
    names = list(summary.compared)
    shares = np.array([[share.mean for share in row] for row in summary.wins])
    np.fill_diagonal(shares, np.nan)
    texts = [
        ["" if i == j else f"{s.mean:.2f}<br>[{s.low:.2f}, {s.high:.2f}]" for j, s in enumerate(row)]
        for i, row in enumerate(summary.wins)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=texts,
            texttemplate="%{text}",
            zmin=0,
            zmax=1,
            colorscale="RdBu",
            textfont={"size": 9},
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        title="Share of tables on which the row has less loss than the column, 95 % bootstrap interval over tables",
        template="plotly_white", width=_WIDTH, height=220 + 2 * _LANE * len(names),
    )  # fmt: skip
    return figure


def anytime_figure(trajectories: Trajectories) -> go.Figure:
    """Validation loss of ours over time, mean over the tables that all variants have.

    On each table 0 is the lowest loss that any variant reached and 1 the highest of their first ones.
    """
    common = sorted(set.intersection(*(set(own) for own in trajectories.values())))
    figure = go.Figure()
    ends = [steps[-1][0] for own in trajectories.values() for steps in own.values()]
    moments = np.geomspace(min(1.0, *ends), max(ends), _N_MOMENTS)
    for number, (name, own) in enumerate(trajectories.items()):
        curves = [_scaled(own[key], [other[key] for other in trajectories.values()], moments) for key in common]
        if curves:
            colour = qualitative.Dark24[number % len(qualitative.Dark24)]
            mean = np.mean(curves, axis=0)
            figure.add_scatter(x=moments, y=mean, mode="lines", name=name, line={"shape": "hv", "color": colour})
    ticks = round_ticks(moments[0], moments[-1], is_log=True)
    figure.update_xaxes(type="log", title="seconds of search", tickvals=ticks)
    figure.update_yaxes(title="validation loss of the ensemble, scaled")
    title = (
        f"Over time, mean over {len(common)} tables (validation rows, the first seed); "
        "on each, 0 is the lowest loss that any reached, 1 the highest first one"
    )
    figure.update_layout(title=title, template="plotly_white", width=_WIDTH, height=600)
    return figure


def _scaled(
    steps: list[tuple[float, float]], everybody: list[list[tuple[float, float]]], moments: FloatArray
) -> FloatArray:
    """A trajectory between 0 and 1 at these moments, shape (n_moments,); 1 before it begins."""
    best = min(loss for other in everybody for _, loss in other)
    worst = max(other[0][1] for other in everybody)
    seconds, losses = (np.array(values) for values in zip(*steps, strict=True))
    places = np.searchsorted(seconds, moments, side="right")
    values = np.concatenate([[worst], losses])[places]
    return np.clip((values - best) / (worst - best), 0, 1) if worst > best else np.zeros(len(moments))
