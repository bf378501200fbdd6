"""Figures of learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.types import FloatArray

_SCALES = ("linear", "log")
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
    figure = make_subplots(rows=len(panels), cols=1, subplot_titles=[panel.title for panel in panels])
    for row, panel in enumerate(panels, start=1):
        for config_id, (x, y) in panel.curves.items():
            line = go.Scatter(x=x, y=y, mode="lines+markers", name=f"{config_id}", legendgroup=panel.title)
            figure.add_trace(line, row=row, col=1)
    figure.update_xaxes(type=scales[0], title_text=labels[0])
    figure.update_yaxes(type=scales[1], title_text=labels[1])
    figure.update_layout(height=_PANEL_HEIGHT_PX * len(panels), legend_title_text="configuration")
    return figure
