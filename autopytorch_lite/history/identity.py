"""To which search a run directory belongs; another search is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.lines import to_plain
from autopytorch_lite.history.store import RunDirectory, read_json, write_json_atomic

_FORMAT = 1


def claim(directory: RunDirectory, *, space: Mapping[str, Any] | None, searcher: Mapping[str, Any]) -> None:
    """Note in `run.json` and `space.json` whose run this is, or compare if that has been noted already.

    Args:
        directory: the run directory, locked by the caller.
        space: the search space in ConfigSpace's JSON form; None: unknown, not compared.
        searcher: name and settings of the searcher, plain data.

    Raises:
        HistoryError: the directory was begun with another space or searcher; the message names what differs.
    """
    if directory.run.exists():
        noted = read_json(directory.run).get("searcher")
        if noted is not None:
            _require_same(directory, "searcher", noted, to_plain(searcher))
    else:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        write_json_atomic(
            directory.run, {"format": _FORMAT, "created": created, "searcher": searcher, "versions": _versions()}
        )
    if space is None:
        return
    if directory.space.exists():
        _require_same(
            directory, "space", _hyperparameters(read_json(directory.space)), _hyperparameters(to_plain(space))
        )
    else:
        write_json_atomic(directory.space, space)


def _versions() -> dict[str, str]:
    """Versions of what a search depends on; a source checkout that is not installed has none of its own."""
    found = {}
    for name in ("autopytorch-lite", "ConfigSpace", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _require_same(directory: RunDirectory, what: str, noted: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    names = sorted(name for name in {*noted, *given} if noted.get(name) != given.get(name))
    if names:
        first = names[0]
        raise HistoryError(
            f"The run in {directory.path} was begun with another {what}; {', '.join(names[:10])} differ"
            f" ({first}: {noted.get(first)!r:.80} there, {given.get(first)!r:.80} now). "
            f"Choose another directory, or the same {what}."
        )


def _hyperparameters(space: Mapping[str, Any]) -> dict[str, Any]:
    """A serialized space by name, so that a difference can be named."""
    by_name = {str(entry["name"]): entry for entry in space.get("hyperparameters", [])}
    rest = {name: space.get(name) for name in ("conditions", "forbiddens") if space.get(name)}
    return {**by_name, **rest}
