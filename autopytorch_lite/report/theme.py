"""One look for every figure: palette, fonts, quiet axes, and the panel that carries a figure and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#1f2a37"
MUTED = "#6b7785"
GRID = "#e8ebef"
FAINT = "#c3cad3"
ACCENT = "#1f6fb2"
WARM = "#d97a1e"
FAILURE = "#b23a48"
SEQUENCE = ("#bcd7ee", "#84b6dd", "#4a90c8", "#1f6fb2", "#154f82", "#0b2f52")
QUALITATIVE = (
    "#1f6fb2",
    "#d97a1e",
    "#3a8f6b",
    "#8a5fae",
    "#b23a48",
    "#7a6a4f",
    "#4aa6b5",
    "#c25d93",
    "#8b97a5",
    "#a8a02c",
)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Panel:
    """A figure with its words.

    Attributes:
        name: short identifier, also the anchor in the page.
        title: a sentence that says what is seen.
        caption: how to read it.
        figure: the drawing; None where the sentence says it all.
        min_width: pixels below which the drawing scrolls sideways instead of shrinking.
    """

    name: str
    title: str
    caption: str
    figure: go.Figure | None
    min_width: int = 0


def new_figure(*, x: str = "", y: str = "", height: int = 380, **layout: Any) -> go.Figure:
    """An empty figure in the common look, with axis titles `x` and `y`."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": FAINT,
        "ticks": "outside",
        "tickcolor": FAINT,
        "ticklen": 4,
        "title": {"font": {"size": 13, "color": MUTED}, "standoff": 8},
        "automargin": True,
    }
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 16, "t": 16, "b": 48},
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        colorway=QUALITATIVE,
        hoverlabel={"bgcolor": "white", "bordercolor": FAINT, "font": {"family": FONT, "size": 13, "color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}},
        xaxis=axis,
        yaxis=axis,
    )
    figure.update_layout(xaxis_title_text=x, yaxis_title_text=y, **layout)
    return figure


def budget_colors(budgets: Sequence[int]) -> dict[int, str]:
    """One colour per budget, pale for the smallest and dark for the largest."""
    ordered = sorted(set(budgets))
    if len(ordered) == 1:
        return {ordered[0]: ACCENT}
    positions = np.linspace(1 if len(ordered) < len(SEQUENCE) else 0, len(SEQUENCE) - 1, len(ordered))
    return {budget: SEQUENCE[round(float(position))] for budget, position in zip(ordered, positions, strict=True)}


def color_scale() -> list[list[Any]]:
    """The sequence as a plotly colour scale, from white to dark."""
    steps = ("#ffffff", *SEQUENCE)
    return [[i / (len(steps) - 1), color] for i, color in enumerate(steps)]


def shortened(values: Any, digits: int = 5) -> list[float]:
    """Floats rounded to `digits` significant digits, so that the page stays small."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=float)]


def loss_axis(losses: Any) -> dict[str, Any]:
    """Axis settings for losses of any spread: logarithmic when they span more than a factor of four above zero.

    On a linear axis the far tail of bad losses is cut off, so that the good ones stay apart.

    Args:
        losses: everything drawn against the axis, shape (n,); values that are not finite are left out.
    """
    finite = np.asarray(losses, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return {}
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high / low > 4:
        space = (high / low) ** 0.05
        low, high = low / space, high * space
        ticks = round_ticks(low, high, is_log=True)
        labels, bounds = [f"{tick:g}" for tick in ticks], [float(np.log10(low)), float(np.log10(high))]
        return {"type": "log", "range": bounds, "tickvals": ticks, "ticktext": labels}
    tenth, last_tenth = (float(value) for value in np.quantile(finite, [0.1, 0.9]))
    top = min(high, last_tenth + 1.5 * (last_tenth - tenth))
    margin = 0.06 * (top - low) or 0.05 * abs(low) or 0.05
    return {"range": [low - margin, top + margin]}


def round_ticks(low: float, high: float, *, is_log: bool) -> list[float]:
    """Three to six round numbers between two bounds, for an axis that shows them."""
    if not is_log:
        step = 10.0 ** np.floor(np.log10((high - low) / 4))
        step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= 5)
        return [float(tick) for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [float(factor * 10.0**power) for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            break
    return ticks[:: -(-len(ticks) // 7)] if ticks else [low, high]
