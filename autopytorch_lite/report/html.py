"""From panels and templates to one page that needs nothing else; plotly.js is inside, once, if anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.report.tables import leaderboard_cells
from autopytorch_lite.report.theme import Panel


@dataclass(frozen=True)
class Table:
    """A table with its words.

    Attributes:
        title: a sentence that says what is seen.
        caption: how to read it, units included.
        frame: the cells; the index is the first column, its name the heading of that.
    """

    title: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Section:
    """A heading with what is below it.

    Attributes:
        heading: a few words.
        text: what the section is about.
        panels: drawings, shown first.
        tables: shown after them.
    """

    heading: str
    text: str = ""
    panels: Sequence[Panel] = ()
    tables: Sequence[Table] = ()


def write_sections(
    path: str | Path, *, title: str, lead: str, tiles: Sequence[tuple[str, str, str]], sections: Sequence[Section]
) -> Path:
    """Write a page of sections; a file that exists is replaced in one step.

    Args:
        path: the file.
        title: of the page.
        lead: the line below it.
        tiles: the few numbers at the top: label, value, note.
        sections: in this order.

    Returns:
        The path written.
    """
    html = render(
        "sections.html.jinja",
        panels=[panel for section in sections for panel in section.panels],
        title=title,
        lead=lead,
        tiles=[dict(zip(("label", "value", "note"), tile, strict=True)) for tile in tiles],
        sections=[_section(section) for section in sections],
    )
    with replacing(path) as file:
        file.write(html.encode())
    return Path(path)


def render(template: str, *, panels: Sequence[Panel], **content: Any) -> str:
    """A page as text.

    Args:
        template: file in the folder of templates.
        panels: all that the page shows; they decide whether plotly.js is needed.
        content: the variables of the template.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("autopytorch_lite.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    any_drawn = any(panel.figure is not None for panel in panels)
    plotly_js = Markup(get_plotlyjs()) if any_drawn else Markup("")
    return environment.get_template(template).render(plotly_js=plotly_js, **content)


def drawn(panel: Panel) -> dict[str, Any]:
    """What a template needs of a panel, the drawing as an HTML fragment."""
    from markupsafe import Markup

    drawing = ""
    if panel.figure is not None:
        drawing = panel.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"figure-{panel.name}",
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
    return {
        "name": panel.name,
        "title": panel.title,
        "caption": panel.caption,
        "min_width": panel.min_width,
        "drawing": Markup(drawing),
    }


def _section(section: Section) -> Mapping[str, Any]:
    return {
        "anchor": section.heading.lower().replace(" ", "-"),
        "heading": section.heading,
        "text": section.text,
        "panels": [drawn(panel) for panel in section.panels],
        "tables": [_table(table) for table in section.tables],
    }


def _table(table: Table) -> Mapping[str, Any]:
    headings, rows = leaderboard_cells(table.frame.reset_index())
    return {"title": table.title, "caption": table.caption, "headings": headings, "rows": rows}
