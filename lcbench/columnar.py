"""Our compact format, ``.lcb``: a column for each tag, so that a query reads what it asks for and nothing else.

A file is a zip archive. ``format.json`` says the version. Runs are in blocks, each of them of one data set:
``N/runs.json`` has the name of the data set, the ids of the configurations, the tags that occur, and which run has
which of them in which order; ``N/log/I`` is the column of the I-th tag of the log; ``N/results`` and ``N/config`` have
all columns of these parts one after another. Every value is exactly that of the JSON file it came from.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import IntArray
from lcbench.columns import Column, ColumnWriter
from lcbench.storage import NamedRun, RunRecord

SUFFIX = ".lcb"
_FORMAT = 1
_FORMAT_MEMBER = "format.json"
_MAX_BLOCK_VALUES = 2**23
"""Of the log. A block is collected before it is written: about 80 MB."""
_N_BLOCKS_KEPT = 2
_PARTS = ("log", "results", "config")
_SINGLES = _PARTS[1:]
"""Parts with one value a tag."""


def write_columnar(runs: Iterable[NamedRun], file: BinaryIO) -> None:
    """Write runs as an ``.lcb`` file.

    Args:
        runs: those of a data set one after another.
        file: where to write.

    Raises:
        DataError: a tag of a log has no list of values.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_FORMAT_MEMBER, json.dumps({"format": _FORMAT}))
        n_blocks = 0
        for dataset_name, named in groupby(runs, key=lambda run: run[0]):
            block = _BlockWriter(dataset_name)
            for _, config_id, record in named:
                if block.n_values >= _MAX_BLOCK_VALUES:
                    block.write(archive, n_blocks)
                    block, n_blocks = _BlockWriter(dataset_name), n_blocks + 1
                block.add(config_id, record)
            block.write(archive, n_blocks)
            n_blocks += 1


class _BlockWriter:
    """Collects runs of one data set."""

    def __init__(self, dataset_name: str):
        self.n_values = 0
        self._dataset_name = dataset_name
        self._config_ids: list[str] = []
        self._columns: dict[str, dict[str, ColumnWriter]] = {part: {} for part in _PARTS}
        self._tag_lists: dict[str, dict[tuple[str, ...], int]] = {part: {} for part in _PARTS}
        self._choices: dict[str, list[int]] = {part: [] for part in _PARTS}

    def add(self, config_id: str, record: RunRecord) -> None:
        """Take in the next run."""
        for tag, curve in record.log.items():
            if not isinstance(curve, Sequence) or isinstance(curve, str):
                where = f"configuration {config_id} of {self._dataset_name!r}"
                raise DataError(f"A tag of the log must have a list of values; {tag!r} of {where} has {curve!r}.")
            self.n_values += len(curve)
        self._config_ids.append(config_id)
        self._add_part("log", record.log)
        for part in _SINGLES:
            self._add_part(part, {tag: [value] for tag, value in getattr(record, part).items()})

    def _add_part(self, part: str, values: Mapping[str, Sequence[Any]]) -> None:
        lists = self._tag_lists[part]
        self._choices[part].append(lists.setdefault(tuple(values), len(lists)))
        for tag, curve in values.items():
            self._columns[part].setdefault(tag, ColumnWriter()).add(curve)

    def write(self, archive: zipfile.ZipFile, number: int) -> None:
        """Write what was taken in as a block."""
        numbers = {part: {tag: i for i, tag in enumerate(columns)} for part, columns in self._columns.items()}
        header = {
            "dataset": self._dataset_name,
            "config_ids": self._config_ids,
            "tags": {part: list(tags) for part, tags in numbers.items()},
            "tag_lists": {
                part: [[numbers[part][tag] for tag in chosen] for chosen in lists]
                for part, lists in self._tag_lists.items()
            },
            "choices": self._choices,
        }
        archive.writestr(f"{number}/runs.json", json.dumps(header))
        for i, column in enumerate(self._columns["log"].values()):
            archive.writestr(f"{number}/log/{i}", column.to_bytes())
        for part in _SINGLES:
            archive.writestr(f"{number}/{part}", b"".join(c.to_bytes() for c in self._columns[part].values()))


class ColumnarStorage:
    """Runs in an ``.lcb`` file; see the text of this module. A column is read when one of its values is asked for.

    Args:
        path: the file.

    Raises:
        DataError: the file is absent, damaged, of another kind, or of a newer version.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        try:
            self._archive = zipfile.ZipFile(self._path)
            version = json.loads(self._archive.read(_FORMAT_MEMBER))["format"]
        except (zipfile.BadZipFile, OSError, KeyError, ValueError) as error:
            raise DataError(f"{str(path)!r} cannot be read as an {SUFFIX} file: {error}") from error
        if version != _FORMAT:
            raise DataError(f"{str(path)!r} must have format {_FORMAT}, which this version reads; it has {version!r}.")
        self._places = self._find_runs()
        self._block: Callable[[int], _Block] = lru_cache(_N_BLOCKS_KEPT)(self._read_block)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path,)

    def dataset_names(self) -> Sequence[str]:
        """Names of the data sets, in the order of the file."""
        return list(self._places)

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        """Ids of the configurations evaluated on the data set, in the order of the file."""
        return list(self._places[dataset_name])

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        """The record of one configuration on one data set; its values are read when they are asked for.

        Raises:
            DataError: the file is damaged; also when a value is asked for.
        """
        number, row = self._places[dataset_name][config_id]
        return self._block(number).run(row)

    def _find_runs(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Data set -> configuration id -> number of the block and place in it."""
        places: dict[str, dict[str, tuple[int, int]]] = {}
        n_blocks = sum(name.endswith("/runs.json") for name in self._archive.namelist())
        for number in range(n_blocks):
            header = json.loads(self._read(f"{number}/runs.json"))
            runs = places.setdefault(header["dataset"], {})
            runs.update({config_id: (number, row) for row, config_id in enumerate(header["config_ids"])})
        return places

    def _read_block(self, number: int) -> _Block:
        return _Block(json.loads(self._read(f"{number}/runs.json")), lambda name: self._read(f"{number}/{name}"))

    def _read(self, member: str) -> bytes:
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, KeyError, EOFError, zlib.error) as error:
            raise DataError(f"{str(self._path)!r} is damaged: {error}") from error


class _Block:
    """Runs of one data set.

    Args:
        header: as in ``runs.json``.
        read: gives the content of the member of a name inside the block.
    """

    def __init__(self, header: Mapping[str, Any], read: Callable[[str], bytes]):
        self._parts = [_Part(part, header, read) for part in _PARTS]

    def run(self, row: int) -> RunRecord:
        """The run at a place in the block."""
        return RunRecord(*(_Values(part, row) for part in self._parts))


class _Part:
    """One of log, results and config, of all runs of a block. Columns stay in memory once they were read.

    Args:
        name: which one.
        header: of the block.
        read: gives the content of the member of a name inside the block.
    """

    def __init__(self, name: str, header: Mapping[str, Any], read: Callable[[str], bytes]):
        self._name = name
        self._read = read
        self._tags: list[str] = header["tags"][name]
        self._tag_lists = [[self._tags[i] for i in chosen] for chosen in header["tag_lists"][name]]
        self._choices = np.array(header["choices"][name], dtype=np.int64)
        self._columns: dict[str, tuple[Column, IntArray]] = {}

    def tags(self, row: int) -> list[str]:
        """The tags that a run has, in its order."""
        return self._tag_lists[self._choices[row]]

    def value(self, row: int, tag: str) -> Any:
        """What a run has under a tag that it has: the curve, or the single value."""
        if tag not in self._columns:
            self._load(tag)
        column, places = self._columns[tag]
        curve = column.curve(int(places[row]))
        return curve if self._name == "log" else curve[0]

    def _load(self, tag: str) -> None:
        if self._name == "log":
            tags, content = [tag], self._read(f"log/{self._tags.index(tag)}")
        else:
            tags, content = self._tags, self._read(self._name)
        file = BytesIO(content)
        self._columns |= {each: (Column.read(file), self._places(each)) for each in tags}

    def _places(self, tag: str) -> IntArray:
        """The place of each run in the column of a tag, which only those that have the tag are in."""
        has_tag = np.array([tag in tags for tags in self._tag_lists])[self._choices]
        return np.cumsum(has_tag) - 1


class _Values(Mapping[str, Any]):
    """Tag -> value of one part of a run."""

    def __init__(self, part: _Part, row: int):
        self._part = part
        self._row = row

    def __getitem__(self, tag: str) -> Any:
        if tag not in self:
            raise KeyError(tag)
        return self._part.value(self._row, tag)

    def __contains__(self, tag: object) -> bool:
        return tag in self._part.tags(self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._part.tags(self._row))

    def __len__(self) -> int:
        return len(self._part.tags(self._row))
