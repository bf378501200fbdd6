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
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import IntArray
from lcbench.columns import Column, ColumnWriter, read_columns
from lcbench.storage import PARTS, NamedRun, RunRecord, not_json

SUFFIX = ".lcb"
_FORMAT = 1
_FORMAT_MEMBER = "format.json"
_MAX_BLOCK_VALUES = 2**22
"""Of the log. A block is collected before it is written: about 40 MB."""
_MAX_BYTES_KEPT = 2**26
"""Of columns, which is more than a block has, so that reading run by run reads each column once."""
_SINGLES = PARTS[1:]
"""Parts with one value a tag."""


def write_columnar(runs: Iterable[NamedRun], file: BinaryIO) -> None:
    """Write runs as an ``.lcb`` file.

    Args:
        runs: those of a data set one after another.
        file: where to write.

    Raises:
        DataError: a tag of a log has no list of values, or a value is none that JSON can hold.
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
        self._columns: dict[str, dict[str, ColumnWriter]] = {part: {} for part in PARTS}
        self._tag_lists: dict[str, dict[tuple[str, ...], int]] = {part: {} for part in PARTS}
        self._choices: dict[str, list[int]] = {part: [] for part in PARTS}

    def add(self, config_id: str, record: RunRecord) -> None:
        """Take in the next run."""
        for tag, curve in record.log.items():
            if not isinstance(curve, Sequence) or isinstance(curve, str):
                where = f"configuration {config_id} of {self._dataset_name!r}"
                raise DataError(f"A tag of the log must have a list of values; {tag!r} of {where} has {curve!r}.")
            self.n_values += len(curve)
        self._config_ids.append(config_id)
        try:
            self._add_part("log", record.log)
            for part in _SINGLES:
                self._add_part(part, {tag: [value] for tag, value in getattr(record, part).items()})
        except TypeError as error:
            raise not_json(self._dataset_name, config_id, error) from error

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
        self._columns = _ColumnCache(self._read)
        self._runs: dict[str, dict[str, tuple[_Block, int]]] = {}
        for number in range(sum(name.endswith("/runs.json") for name in self._archive.namelist())):
            header = json.loads(self._read(f"{number}/runs.json"))
            places = enumerate(header["config_ids"])
            block = _Block(str(number), header, self._columns)
            self._runs.setdefault(header["dataset"], {}).update({config_id: (block, row) for row, config_id in places})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path,)

    def dataset_names(self) -> Sequence[str]:
        """Names of the data sets, in the order of the file."""
        return list(self._runs)

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        """Ids of the configurations evaluated on the data set, in the order of the file."""
        return list(self._runs[dataset_name])

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        """The record of one configuration on one data set; its values are read when they are asked for.

        Raises:
            DataError: the file is damaged; this is noticed when a value is asked for.
        """
        block, row = self._runs[dataset_name][config_id]
        return block.run(row)

    def _read(self, member: str) -> bytes:
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, KeyError, EOFError, zlib.error) as error:
            raise DataError(f"{str(self._path)!r} is damaged: {error}") from error


class _ColumnCache:
    """Columns of a file, of which those used last stay in memory.

    Args:
        read: gives the content of the member of a name.
    """

    def __init__(self, read: Callable[[str], bytes]):
        self._read = read
        self._kept: OrderedDict[str, list[Column]] = OrderedDict()
        self._n_bytes = 0

    def columns(self, member: str) -> list[Column]:
        """All columns of a member."""
        if member in self._kept:
            self._kept.move_to_end(member)
            return self._kept[member]
        columns = self._kept[member] = list(read_columns(self._read(member)))
        self._n_bytes += _n_bytes(columns)
        while self._n_bytes > _MAX_BYTES_KEPT and len(self._kept) > 1:
            self._n_bytes -= _n_bytes(self._kept.popitem(last=False)[1])
        return columns


def _n_bytes(columns: Iterable[Column]) -> int:
    return sum(column.n_bytes for column in columns)


class _Block:
    """Runs of one data set.

    Args:
        name: of the folder in the archive.
        header: as in ``runs.json``.
        cache: of the columns of the file.
    """

    def __init__(self, name: str, header: Mapping[str, Any], cache: _ColumnCache):
        self._parts = [_Part(name, part, header, cache) for part in PARTS]

    def run(self, row: int) -> RunRecord:
        """The run at a place in the block."""
        return RunRecord(*(_Values(part, row) for part in self._parts))


class _Part:
    """One of log, results and config, of all runs of a block.

    Args:
        block: name of the block.
        name: which part.
        header: of the block.
        cache: of the columns of the file.
    """

    def __init__(self, block: str, name: str, header: Mapping[str, Any], cache: _ColumnCache):
        self._member = f"{block}/{name}"
        self._is_log = name == "log"
        self._cache = cache
        tags: list[str] = header["tags"][name]
        self._numbers = {tag: number for number, tag in enumerate(tags)}
        self._tag_lists = [[tags[number] for number in chosen] for chosen in header["tag_lists"][name]]
        self._choices = np.array(header["choices"][name], dtype=np.int32)
        self._places: dict[str, IntArray] = {}

    def tags(self, row: int) -> list[str]:
        """The tags that a run has, in its order."""
        return self._tag_lists[self._choices[row]]

    def value(self, row: int, tag: str) -> Any:
        """What a run has under a tag that it has: the curve, or the single value."""
        number, place = self._numbers[tag], self._place(row, tag)
        if self._is_log:
            return self._cache.columns(f"{self._member}/{number}")[0].curve(place)
        return self._cache.columns(self._member)[number].curve(place)[0]

    def _place(self, row: int, tag: str) -> int:
        """Which row of the column of a tag is that of a run: only runs that have the tag are there."""
        if tag not in self._places:
            has_tag = np.array([tag in tags for tags in self._tag_lists])[self._choices]
            self._places[tag] = np.cumsum(has_tag, dtype=np.int32) - 1
        return int(self._places[tag][row])


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
