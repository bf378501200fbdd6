"""Ranges files, portfolios and priors, and the loader for them. Standard library only.

A ranges file says what of the component graph is searched; a portfolio is an ordered list of configurations to try
first. Both are JSON. A prior is a performance matrix (.npz): what is known from other tasks. A name stands for a file
of this package; anything that ends in ``.json`` is a path.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from importlib import resources
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

Config: TypeAlias = dict[str, Any]
"""Full hyperparameter name -> value; what it leaves open takes the default of the space it is used in."""

_FORMAT = 1
_RANGES = "ranges file"
_PORTFOLIO = "portfolio"
_PRIOR = "prior"
_PLACES = {_RANGES: ("", ".json"), _PORTFOLIO: ("portfolios", ".json"), _PRIOR: ("priors", ".npz")}


class UnknownFileError(ValueError):
    """There is no ranges file or portfolio of that name; the message offers the closest."""


class FileFormatError(ValueError):
    """A ranges file or portfolio is not what it should be; the message names the file."""


def available() -> dict[str, list[str]]:
    """Names of files that come with the package, sorted: {"ranges": [...], "portfolios": [...], "priors": [...]}."""
    return {
        "ranges": sorted(_files(_RANGES)),
        "portfolios": sorted(_files(_PORTFOLIO)),
        "priors": sorted(_files(_PRIOR)),
    }


def load_ranges(name_or_path: str | PathLike[str]) -> dict[str, Any]:
    """A ranges file: {"format", "name", "description", "edits": {full name: edit}}.

    A file that says ``"extends": NAME`` is its own edits on top of that file's; the result no longer has that key.

    Raises:
        UnknownFileError: no such name or path.
        FileFormatError: the file is not JSON, or not a ranges file of a known format.
    """
    ranges = _load(_RANGES, fspath(name_or_path), "edits", dict)
    base = ranges.pop("extends", None)
    return ranges if base is None else ranges | {"edits": with_edits(load_ranges(base), ranges["edits"])["edits"]}


def with_edits(ranges: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a ranges file with further edits.

    Where both edit a name with a mapping, bounds and defaults are joined, the later ones winning, and exclusions add
    up; otherwise the later edit replaces the earlier one.
    """
    joined = dict(ranges["edits"])
    for name, edit in edits.items():
        joined[name] = _joined(joined.pop(name, None), edit)
    return {**ranges, "edits": joined}


def _joined(earlier: Any, later: Any) -> Any:
    if not isinstance(earlier, Mapping) or not isinstance(later, Mapping) or "choices" in later:
        return later
    both = {**earlier, **later}
    if "exclude" in earlier and "exclude" in later:
        both["exclude"] = list(dict.fromkeys([*earlier["exclude"], *later["exclude"]]))
    return both


def load_portfolio(name_or_path: str | PathLike[str]) -> list[Config]:
    """The configurations of a portfolio, in order, in the full names of the component graph.

    A portfolio of a space with other names says under "translation" which full names they have, and which values are
    fixed in all its configurations.

    Raises:
        UnknownFileError: no such name or path.
        FileFormatError: the file is not JSON, or not a portfolio of a known format.
    """
    portfolio = describe_portfolio(name_or_path)
    translation = portfolio.get("translation", {})
    names, fixed = translation.get("names", {}), translation.get("fixed", {})
    return [
        {**fixed, **{names.get(name, name): value for name, value in config.items()}}
        for config in portfolio["configurations"]
    ]


def describe_portfolio(name_or_path: str | PathLike[str]) -> dict[str, Any]:
    """A whole portfolio file: {"format", "name", "description", "source", "license", "space", "configurations"}.

    One made by `autopytorch_lite.portfolio` also has "definition" (its space, ConfigSpace's JSON), "provenance",
    "expected" (regrets after 1, 2, ... members) and perhaps "translation"; see docs/portfolios.md.

    Raises:
        UnknownFileError: no such name or path.
        FileFormatError: the file is not JSON, or not a portfolio of a known format.
    """
    return _load(_PORTFOLIO, fspath(name_or_path), "configurations", list)


def portfolio_path(name: str) -> Path:
    """Where the portfolio of that name is, for `autopytorch_lite.portfolio.Portfolio.load`.

    Raises:
        UnknownFileError: no such name.
    """
    return Path(str(_named(_PORTFOLIO, name)))


def prior_path(name: str) -> Path:
    """Where the prior of that name is, for `autopytorch_lite.portfolio.PerformanceMatrix.load`.

    Raises:
        UnknownFileError: no such name.
    """
    return Path(str(_named(_PRIOR, name)))


def _files(kind: str) -> dict[str, Any]:
    """Name -> file of this package."""
    below, suffix = _PLACES[kind]
    folder = resources.files(__name__).joinpath(below) if below else resources.files(__name__)
    return {entry.name.removesuffix(suffix): entry for entry in folder.iterdir() if entry.name.endswith(suffix)}


def _load(kind: str, name_or_path: str, key: str, key_type: type) -> dict[str, Any]:
    try:
        content = json.loads(_text(kind, name_or_path))
    except json.JSONDecodeError as error:
        raise FileFormatError(f"A {kind} must be JSON; {name_or_path} is not: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get(key), key_type):
        needed = f"an object with 'format': {_FORMAT} and a {key_type.__name__} under {key!r}"
        raise FileFormatError(f"A {kind} must be {needed}; {name_or_path} is not.")
    return content


def _text(kind: str, name_or_path: str) -> str:
    if name_or_path.endswith(".json"):
        try:
            return Path(name_or_path).read_text(encoding="utf-8")
        except OSError as error:
            raise UnknownFileError(f"The {kind} {name_or_path} cannot be read: {error}.") from error
    return str(_named(kind, name_or_path, "; a path ends in .json").read_text(encoding="utf-8"))


def _named(kind: str, name: str, advice: str = "") -> Any:
    """The file of that name in this package; `advice` is given where no name is close."""
    files = _files(kind)
    if name not in files:
        closest = difflib.get_close_matches(name, files, n=1)
        hint = f"did you mean {closest[0]!r}?" if closest else f"known: {', '.join(sorted(files))}{advice}."
        raise UnknownFileError(f"Unknown {kind} {name!r}; {hint}")
    return files[name]
