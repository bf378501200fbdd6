"""A space as text: what is searched, on which scale, from which default, and when; constants apart."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ConfigSpace import ConfigurationSpace
from ConfigSpace.conditions import (
    AndConjunction,
    EqualsCondition,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)

from autopytorch_lite.pipeline.graph import CHOICE_SUFFIX
from autopytorch_lite.space.compile import POSITION
from autopytorch_lite.space.domains import ChoiceDomain, Domain, IntegerDomain, RealDomain, domain_of, to_builtin
from autopytorch_lite.types import ConfigValue

ALWAYS = "always"
_SYMBOLS = {NotEqualsCondition: "is not", LessThanCondition: "<", GreaterThanCondition: ">"}
_GAP = "  "
_NARROWEST = 16  # characters that a column keeps when the table is squeezed


@dataclass(frozen=True)
class Row:
    """One hyperparameter of a space, as text.

    Attributes:
        name: full name, as ranges files and configurations use it.
        kind: "float", "int", "category", "ordinal" or "constant".
        values: the range or the choices; the value of a constant.
        log: whether the axis is logarithmic.
        default: the default value.
        active_when: "always", or the condition on other hyperparameters.
    """

    name: str
    kind: str
    values: str
    log: bool
    default: str
    active_when: str


def describe(space: ConfigurationSpace) -> list[Row]:
    """One row per hyperparameter, in the order of the graph the space was compiled from."""
    hyperparameters = sorted(space.values(), key=lambda h: (h.meta or {}).get(POSITION, 0))
    return [_row(space, hyperparameter) for hyperparameter in hyperparameters]


def to_text(space: ConfigurationSpace, width: int | None = None) -> str:
    """The space as an aligned table, constants under a heading of their own at the end.

    Args:
        space: any space of uniform numbers, categories, ordinals and constants.
        width: characters per line; the terminal's width unless given. Long cells continue on the next line.
    """
    width = shutil.get_terminal_size((120, 24)).columns if width is None else width
    rows = describe(space)
    searched = [row for row in rows if row.kind != "constant"]
    constants = [row for row in rows if row.kind == "constant"]
    lines = [_title(space, len(searched), len(constants))]
    if searched:
        lines += ["", *_searched_table(searched, width)]
    if constants:
        lines += ["", "Constants", "", *_constants_table(constants, width)]
    return "\n".join(lines) + "\n"


def _searched_table(rows: Sequence[Row], width: int) -> list[str]:
    header = ("hyperparameter", "type", "range or choices", "log", "default", "active when")
    cells = [(row.name, row.kind, row.values, "log" if row.log else "", row.default, row.active_when) for row in rows]
    return _aligned(header, cells, width, squeezed=(2, 5))


def _constants_table(rows: Sequence[Row], width: int) -> list[str]:
    cells = [(row.name, row.values, row.active_when) for row in rows]
    return _aligned(("hyperparameter", "value", "active when"), cells, width, squeezed=(2,))


def _title(space: ConfigurationSpace, n_searched: int, n_constants: int) -> str:
    name = f"Space {space.name!r}" if space.name else "Space"
    return f"{name}: {n_searched} hyperparameters searched, {n_constants} constant"


def _row(space: ConfigurationSpace, hyperparameter: Any) -> Row:
    domain = domain_of(hyperparameter)
    name = hyperparameter.name
    conditions = [_condition(condition, name) for condition in space.parent_conditions_of[name]]
    return Row(
        name=name,
        kind=_kind(domain),
        values=_values(domain),
        log=getattr(domain, "log", False),
        default=_show(domain.default),
        active_when=" and ".join(conditions) or ALWAYS,
    )


def _kind(domain: Domain) -> str:
    if isinstance(domain, ChoiceDomain):
        return "category" if domain.n_choices > 1 else "constant"
    if isinstance(domain, RealDomain):
        return "float"
    return "int" if isinstance(domain, IntegerDomain) else "ordinal"


def _values(domain: Domain) -> str:
    if isinstance(domain, RealDomain | IntegerDomain):
        return f"{_show(domain.low)} .. {_show(domain.high)}"
    separator = ", " if isinstance(domain, ChoiceDomain) else " < "
    return separator.join(_show(choice) for choice in domain.choices)


def _condition(condition: Any, child: str) -> str:
    if isinstance(condition, AndConjunction | OrConjunction):
        word = " and " if isinstance(condition, AndConjunction) else " or "
        parts = word.join(_condition(part, child) for part in condition.components)
        return f"({parts})" if isinstance(condition, OrConjunction) else parts
    parent = _short(condition.parent.name, child)
    if isinstance(condition, InCondition):
        return f"{parent} in {', '.join(_show(to_builtin(value)) for value in condition.values)}"
    symbol = "=" if isinstance(condition, EqualsCondition) else _SYMBOLS[type(condition)]
    return f"{parent} {symbol} {_show(to_builtin(condition.value))}"


def _short(parent: str, child: str) -> str:
    """A choice by its node, a hyperparameter of the same component by its local name, any other in full."""
    component = child.rpartition(":")[0]
    return parent.removesuffix(f":{CHOICE_SUFFIX}").removeprefix(f"{component}:")


def _show(value: ConfigValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, squeezed: Sequence[int]) -> list[str]:
    """Lines of a table no wider than `width` if squeezing the given columns can achieve it."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    for column in sorted(squeezed, key=lambda i: -widths[i]):
        cut = min(max(excess, 0), max(widths[column] - _NARROWEST, 0))
        widths[column] -= cut
        excess -= cut
    rule = _GAP.join("-" * w for w in widths)
    return [*_wrapped(header, widths), rule, *(line for row in rows for line in _wrapped(row, widths))]


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """One row as one or more lines."""
    columns = [textwrap.wrap(cell, w, break_on_hyphens=False) or [""] for cell, w in zip(cells, widths, strict=True)]
    n_lines = max(map(len, columns))
    padded = [column + [""] * (n_lines - len(column)) for column in columns]
    return [
        _GAP.join(part.ljust(w) for part, w in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]
