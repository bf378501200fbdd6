"""Files of runs by their ending: opened, written, converted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from autopytorch_lite.errors import DataError
from autopytorch_lite.history.whole_files import replacing
from lcbench import columnar, json_files
from lcbench.byte_ranges import stamp
from lcbench.columnar import ColumnarStorage, write_columnar
from lcbench.json_files import JsonStorage, write_json
from lcbench.storage import NamedRun, RunStorage, named_runs

SUFFIXES = (*json_files.SUFFIXES, columnar.SUFFIX)
_N_FILES_KEPT = 4


def open_storage(path: str | Path, *, cache: bool = False) -> RunStorage:
    """The runs of a file: ``.lcb``, or the original ``.json``, ``.json.gz`` or ``.zip``.

    Args:
        path: of the file.
        cache: share what was read with others who open the file in this process, until the file changes.

    Raises:
        DataError: the file is absent, has another ending, or does not hold what the ending says.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There must be a file of runs at {str(path)!r}, but there is none.")
    _check_ending(path)
    return _opened_once(path.resolve(), stamp(path)) if cache else _opened(path)


def save(path: str | Path, runs: Iterable[NamedRun]) -> None:
    """Write runs to a file, which appears as a whole or not at all. Only a part of the runs is in memory at a time.

    Runs can be added to a file with ``save(path, itertools.chain(named_runs(open_storage(path)), new_runs))``.

    Args:
        path: where; the ending decides the format as in `open_storage`.
        runs: (name of the data set, id of the configuration, record), those of a data set one after another. Values
            are what JSON can hold.

    Raises:
        DataError: the ending is another one, there are no runs, a configuration comes twice, runs of a data set do not
            follow each other, or a value is none that JSON can hold.
    """
    path = Path(path)
    _check_ending(path)
    with replacing(path) as file:
        if path.suffix == columnar.SUFFIX:
            write_columnar(_checked(runs), file)
        else:
            write_json(_checked(runs), path, file)


def convert(source: str | Path, target: str | Path) -> None:
    """Write the runs of one file to another, in the format of its ending.

    Every value stays what it is: integers, floats to the last bit, booleans, nulls, and the order of everything. What a
    run of a JSON file has beside log, results and config is left out.

    Raises:
        DataError: see `open_storage` and `save`.
    """
    save(target, named_runs(open_storage(source)))


def _check_ending(path: Path) -> None:
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"A file of runs must end in {', '.join(SUFFIXES)}, got {str(path)!r}.")


def _checked(runs: Iterable[NamedRun]) -> Iterator[NamedRun]:
    known: dict[str, set[str]] = {}
    last = None
    for dataset_name, config_id, record in runs:
        where = f"configuration {config_id} of {dataset_name!r}"
        if dataset_name != last and dataset_name in known:
            raise DataError(f"The runs of a data set must follow each other, but {where} comes after another data set.")
        ids = known.setdefault(dataset_name, set())
        if config_id in ids:
            raise DataError(f"A configuration may come once, but {where} comes again.")
        ids.add(config_id)
        last = dataset_name
        yield dataset_name, config_id, record
    if not known:
        raise DataError("A file of runs must have at least one run, but there is none.")


@lru_cache(_N_FILES_KEPT)
def _opened_once(path: Path, key: tuple[int, int]) -> RunStorage:
    del key  # so that a changed file is opened again
    return _opened(path)


def _opened(path: Path) -> RunStorage:
    return ColumnarStorage(path) if path.suffix == columnar.SUFFIX else JsonStorage(path)
