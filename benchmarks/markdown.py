"""Rows of markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """One row."""
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Header and rows as lines."""
    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def one_line(text: str, n_most: int = 200) -> str:
    """A text without line breaks, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= n_most else text[:n_most] + "..."
