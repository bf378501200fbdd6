"""Where runs are read from: one protocol, and the original JSON files behind it."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol

from autopytorch_lite.errors import DataError

SUFFIXES = (".json", ".json.gz", ".zip")


@dataclass(frozen=True)
class RunRecord:
    """All that is stored about one configuration on one data set.

    Attributes:
        log: tag -> one value per step (index 0 is before any update, then one per epoch, then a final evaluation).
        results: tag -> one value.
        config: hyperparameter -> value, as stored.
    """

    log: Mapping[str, Sequence[float]]
    results: Mapping[str, Any]
    config: Mapping[str, Any]


class RunStorage(Protocol):
    """Read access to the runs of a benchmark. Names asked for must exist: the caller checks them first."""

    def dataset_names(self) -> Sequence[str]:
        """Names of the data sets, in the order stored."""
        ...

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        """Ids of the configurations evaluated on the data set, in the order stored."""
        ...

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        """The record of one configuration on one data set."""
        ...


class JsonStorage:
    """The original format, ``{data set: {config id: {"log", "results", "config"}}}``, held in memory.

    Args:
        path: a ``.json`` file, the same gzipped, or a ``.zip`` archive with exactly one JSON file in it.
        cache: share what was read with the other storages of this process, until the file changes.

    Raises:
        DataError: the file is absent, has another ending, or does not hold the format.
    """

    def __init__(self, path: str | Path, *, cache: bool = False):
        self._path = Path(path)
        if not self._path.is_file() or not self._path.name.endswith(SUFFIXES):
            raise DataError(f"The benchmark must be a file that ends in {', '.join(SUFFIXES)}, got {str(path)!r}.")
        self._runs = _read_cached(self._path.resolve(), _stamp(self._path)) if cache else _read(self._path)

    def dataset_names(self) -> Sequence[str]:
        """Names of the data sets, in the order of the file."""
        return list(self._runs)

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        """Ids of the configurations evaluated on the data set, in the order of the file."""
        return list(self._runs[dataset_name])

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        """The record of one configuration on one data set."""
        record = self._runs[dataset_name][config_id]
        try:
            return RunRecord(record["log"], record["results"], record["config"])
        except (KeyError, TypeError) as error:
            where = f"configuration {config_id} of {dataset_name!r} in {str(self._path)!r}"
            raise DataError(f"A run has 'log', 'results' and 'config'; {where} lacks one of them.") from error


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read_cached(path: Path, stamp: tuple[int, int]) -> dict[str, dict[str, Any]]:
    del stamp  # only part of the cache's key, so that a changed file is read again
    return _read(path)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = _load_json(path)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} cannot be read as an LCBench file: {error}") from error
    if not isinstance(data, dict) or not data or not all(isinstance(runs, dict) and runs for runs in data.values()):
        raise DataError(f"{str(path)!r} must map data set names to configuration ids to runs.")
    return data


def _load_json(path: Path) -> Any:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_json_member(archive)) as file:
            return json.load(TextIOWrapper(file, encoding="utf-8"))
    with path.open(encoding="utf-8") as file:
        return json.load(file)


def _only_json_member(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith(".json")]
    if len(names) != 1:
        raise ValueError(f"the archive must hold exactly one .json file, it holds {names or 'none'}.")
    return names[0]
