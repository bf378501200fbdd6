"""Anytime curves as one static page: mean regret over cost with a band over tasks, both axes logarithmic."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from benchmarks.hpo.aggregate import Summary, intervals, task_regrets

_N_COSTS = 80
_SMALLEST_COST = 0.05
_SMALLEST_REGRET = 1e-5
_SIZE = (1200, 850)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def anytime_figure(summary: Summary) -> go.Figure:
    """Mean regret of every entry over cost; the band is the 95 % bootstrap interval over tasks."""
    costs = np.geomspace(_SMALLEST_COST, summary.budgets[-1], _N_COSTS)
    colours = qualitative.Dark24
    figure = go.Figure()
    for number, entry in enumerate(entry for entry in summary.entries if entry.n_runs):
        found = intervals(task_regrets(summary.curves[entry.label], costs))
        low, mean, high = (
            np.maximum([getattr(interval, name) for interval in found], _SMALLEST_REGRET)
            for name in ("low", "mean", "high")
        )
        colour = colours[number % len(colours)]
        common = {"legendgroup": entry.label, "line_shape": "hv"}
        band_x, band_y = np.concatenate([costs, costs[::-1]]), np.concatenate([high, low[::-1]])
        band = {"fill": "toself", "fillcolor": colour, "opacity": 0.12, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=band_x, y=band_y, mode="none", legendgroup=entry.label, **band)
        figure.add_scatter(
            x=costs, y=mean, mode="lines", name=entry.title.replace("*", ""), line_color=colour, **common
        )
    figure.update_xaxes(type="log", dtick=1, title="full trainings of a random configuration (simulated time)")
    figure.update_yaxes(type="log", dtick=1, title="regret of the incumbent, mean over tasks and seeds")
    legend = {"orientation": "h", "y": -0.12}
    figure.update_layout(title=summary.problem, template="plotly_white", width=_SIZE[0], height=_SIZE[1], legend=legend)
    return figure


def write_page(summary: Summary, path: Path) -> None:
    """A page that needs no network."""
    anytime_figure(summary).write_html(path, include_plotlyjs=True)


def write_picture(page: Path, path: Path) -> bool:
    """The page as PNG, drawn by a browser without a window; False if there is none or it fails."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return False
    size = f"--window-size={_SIZE[0] + 40},{_SIZE[1] + 40}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", size, "--virtual-time-budget=5000"]
    command = [browser, *options, f"--screenshot={path}", page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
