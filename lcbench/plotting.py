"""Figures of learning curves, and panels in the common look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.report.theme import FAINT, GRID, INK, MUTED, new_figure
from autopytorch_lite.types import FloatArray

_SCALES = ("linear", "log")
AXIS_FONT = {"size": 13, "color": MUTED}
_PANEL_HEIGHT_PX = 420


@dataclass(frozen=True)
class Panel:
    """One data set's part of a figure.

    Attributes:
        title: shown above the panel.
        curves: configuration id -> (x, y), float arrays, shape (n_steps,).
    """

    title: str
    curves: Mapping[str, tuple[FloatArray, FloatArray]]


def draw(panels: Sequence[Panel], *, scales: tuple[str, str], labels: tuple[str, str]) -> go.Figure:
    """Panels below each other, one line per configuration.

    Args:
        panels: at least one.
        scales: "linear" or "log" for x and y.
        labels: axis titles of x and y.

    Raises:
        UnknownNameError: a scale is neither "linear" nor "log".
    """
    for scale in scales:
        if scale not in _SCALES:
            raise UnknownNameError("axis scale", scale, _SCALES)
    figure = new_figure(height=_PANEL_HEIGHT_PX * len(panels), legend_title_text="configuration", margin={"t": 70})
    add_panels(figure, [panel.title for panel in panels], is_row=False)
    for row, panel in enumerate(panels, start=1):
        for config_id, (x, y) in panel.curves.items():
            line = {"x": x, "y": y, "mode": "lines+markers", "marker": {"size": 4}, "line": {"width": 1.8}}
            figure.add_scatter(**line, name=f"{config_id}", legendgroup=panel.title, row=row, col=1)
    figure.update_xaxes(type=scales[0], title_text=labels[0])
    figure.update_yaxes(type=scales[1], title_text=labels[1])
    return figure


def add_panels(figure: go.Figure, titles: Sequence[str], *, is_row: bool) -> None:
    """Cut a figure of the common look into panels beside each other, which share their vertical axis, or below."""
    n_rows, n_columns = (1, len(titles)) if is_row else (len(titles), 1)
    spacing = {"horizontal_spacing": 0.03} if is_row else {"vertical_spacing": 0.2 / max(2, n_rows)}
    figure.set_subplots(n_rows, n_columns, subplot_titles=list(titles), shared_yaxes=is_row, **spacing)
    figure.update_annotations(font={"size": 13, "color": INK})
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": FAINT, "ticks": "outside", "tickcolor": FAINT}
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(**axis, ticklen=4, automargin=True, title_font=AXIS_FONT, title_standoff=8)
