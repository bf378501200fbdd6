"""Every figure of a run, by section of the report."""

from __future__ import annotations

from autopytorch_lite.report.configuration_figures import configurations_panel
from autopytorch_lite.report.family_figures import family_panels
from autopytorch_lite.report.prediction_figures import prediction_panels
from autopytorch_lite.report.record import RunRecord
from autopytorch_lite.report.search_figures import curves_panel, ensemble_panel, failures_panel, incumbent_panel
from autopytorch_lite.report.theme import Panel


def panels(run: RunRecord) -> dict[str, list[Panel]]:
    """The panels that this run has something to show for, by section: "search", "predictions", "failures"."""
    search = (incumbent_panel(run), ensemble_panel(run), curves_panel(run), configurations_panel(run))
    return {
        "families": family_panels(run),
        "search": [panel for panel in search if panel is not None],
        "predictions": prediction_panels(run),
        "failures": [failures_panel(run)],
    }
