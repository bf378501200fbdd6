"""`lcbench analyse` as a page: a section, figures and tables for each analysis."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from autopytorch_lite.report.html import Section, Table, write_sections
from autopytorch_lite.report.words import counted, hyperparameter_words
from lcbench.analysis import figures
from lcbench.analysis.budgets import TOP
from lcbench.analysis.summary import Analysis
from lcbench.words import axis_words, tag_words

MAX_DATASETS_WITH_EFFECTS = 6
MAX_PAIRS = 10


def write_analysis(path: str | Path, analysis: Analysis, *, source: str) -> Path:
    """Write the page of an analysis.

    Args:
        path: the file; one that exists is replaced in one step.
        analysis: what is shown.
        source: what was analysed, for the line below the title.
    """
    sections = [
        _performance(analysis),
        _importance(analysis),
        _effects(analysis),
        Section("Importance around the incumbent", panels=[figures.local_panel(analysis)]),
        *_budgets(analysis),
        *_transfer(analysis),
    ]
    title = f"What decides the {tag_words(analysis.tag)}"
    return write_sections(path, title=title, lead=_lead(analysis, source), tiles=_tiles(analysis), sections=sections)


def _lead(analysis: Analysis, source: str) -> str:
    n_runs = sum(len(table.configs) for table in analysis.tables)
    n_missing = sum(int(table.is_missing.any(axis=1).sum()) for table in analysis.tables)
    lead = f"Analysis of {counted(n_runs, 'run')} on {counted(len(analysis.tables), 'data set')}: {source}."
    if n_missing:
        lead += f" {counted(n_missing, 'run')} without a value at some epoch count as the worst there."
    return lead


def _tiles(analysis: Analysis) -> list[tuple[str, str, str]]:
    last, first = analysis.epochs[-1], analysis.epochs[0]
    name = str(analysis.importances.index[0])
    share = float(analysis.importances[last].iloc[0])
    tiles = [("explains most alone", hyperparameter_words(name), f"{share:.0%} of the variance at epoch {last}")]
    if len(analysis.epochs) > 1:
        for who, frame in (("all runs", analysis.correlations), (f"best {TOP:.0%}", analysis.top_correlations)):
            value = f"{frame.to_numpy()[0, -1]:.2f}"
            tiles.append((f"rank correlation, {who}", value, f"between epochs {first} and {last}"))
    if analysis.portfolios is not None:
        size = int(analysis.portfolios.columns[-1][1])
        value = f"{analysis.portfolios['portfolio'][size].mean():.3f}"
        tiles.append((f"regret of a portfolio of {size}", value, "on a data set it does not know; 0 is best, 1 worst"))
    return tiles


def _performance(analysis: Analysis) -> Section:
    frame = analysis.distribution.sort_values("median", ascending=analysis.tables[0].is_loss)
    caption = (
        f"{axis_words(analysis.tag)} at the last epoch. “best 5%” is better than 95 % of the runs. “near best” is the "
        "share of runs within 1 % of the way from the best to the worst."
    )
    tables = [Table("Quantiles of the last value", caption, frame)]
    return Section("Final performance", panels=[figures.distribution_panel(analysis)], tables=tables)


def _importance(analysis: Analysis) -> Section:
    panels = [figures.importance_panel(analysis)]
    if len(analysis.effects) > 1:
        panels.append(figures.importance_by_dataset_panel(analysis))
    text = (
        "Functional analysis of variance (fANOVA) of a random forest over the whole space, on the "
        f"{analysis.scale} of the losses."
    )
    return Section("Importance of hyperparameters", text, panels, _pairs(analysis))


def _pairs(analysis: Analysis) -> list[Table]:
    pairs = analysis.mean_effects("pairs").head(MAX_PAIRS)
    if pairs.empty:
        return []
    names = [" × ".join(hyperparameter_words(str(name)) for name in pair) for pair in pairs.index]
    frame = pd.DataFrame({"share of the variance (%)": 100 * pairs.to_numpy()}, index=pd.Index(names, name="pair"))
    caption = f"At epoch {analysis.epochs[-1]}, among the six most important hyperparameters; mean over data sets."
    return [Table("What two hyperparameters explain only together", caption, frame)]


def _effects(analysis: Analysis) -> Section:
    names = list(analysis.effects)[:MAX_DATASETS_WITH_EFFECTS]
    text = "The mean over all other hyperparameters, as one of them changes."
    if len(names) < len(analysis.effects):
        text += f" Shown are the first {len(names)} data sets of {len(analysis.effects)}."
    return Section("Effects of hyperparameters", text, [figures.effects_panel(analysis, name) for name in names])


def _budgets(analysis: Analysis) -> list[Section]:
    if len(analysis.epochs) < 2:
        return []
    panels = [
        figures.correlations_panel(analysis),
        figures.with_final_panel(analysis),
        figures.crossings_panel(analysis),
    ]
    return [Section("What early epochs are worth", "Mean over data sets.", panels)]


def _transfer(analysis: Analysis) -> list[Section]:
    if analysis.transfer is None or analysis.portfolios is None:
        return []
    text = "Normalised regret: 0 for the best, 1 for the worst configuration of a data set, after the last epoch."
    panels = [figures.portfolio_panel(analysis.portfolios), figures.transfer_panel(analysis.transfer)]
    return [Section("Transfer between data sets", text, panels)]
