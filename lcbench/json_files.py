"""The original JSON format, read run by run and written run by run."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from autopytorch_lite.errors import DataError
from autopytorch_lite.types import Array, IntArray
from lcbench.byte_ranges import open_ranges, stamp
from lcbench.storage import PARTS, NamedRun, RunRecord, not_json

SUFFIXES = (".json", ".json.gz", ".zip")
_N_RUNS_KEPT = 64
_MAX_KEY_BYTES = 2**16
_RUN_DEPTH = 3
"""Braces that are open inside a run: of the file, of the data set, and of the run."""
_QUOTE, _OPEN, _CLOSE = b'"{}'
_KEY = re.compile(rb'\s*(,?)\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_ESCAPED = re.compile(rb"\\.", re.DOTALL)

Place = tuple[int, int]
"""Where a run is in the content of a file: first byte, number of bytes."""
Places = dict[str, dict[str, Place]]
"""Data set -> configuration id -> where its run is."""


class JsonStorage:
    """The original format, ``{data set: {config id: {"log", "results", "config"}}}``.

    Opening goes through the file once and notes where each run is; a run is read and decoded when it is asked for. So
    the memory that is needed depends on the number of runs and not on their size, and what is wrong inside a run is
    noticed when it is read.

    Args:
        path: a JSON file, the same gzipped if it ends in ``.gz``, or if it ends in ``.zip`` an archive with exactly one
            ``.json`` file in it.

    Raises:
        DataError: the file is absent or does not hold the format.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        try:
            self._stamp = stamp(self._path)
            self._content = open_ranges(self._path)
            self._places = find_runs(self._content.blocks())
        except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(f"{str(path)!r} cannot be read as an LCBench file: {error}") from error
        self._run = lru_cache(_N_RUNS_KEPT)(self._read)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path,)

    def dataset_names(self) -> Sequence[str]:
        """Names of the data sets, in the order of the file."""
        return list(self._places)

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        """Ids of the configurations evaluated on the data set, in the order of the file."""
        return list(self._places[dataset_name])

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        """The record of one configuration on one data set.

        Raises:
            DataError: what the file holds there is not a run.
        """
        return self._run(dataset_name, config_id)

    def _read(self, dataset_name: str, config_id: str) -> RunRecord:
        where = f"configuration {config_id} of {dataset_name!r} in {str(self._path)!r}"
        if stamp(self._path) != self._stamp:
            raise DataError(f"A file must stay as it was when it was opened; {where} cannot be found any more.")
        try:
            run = json.loads(self._content.read(*self._places[dataset_name][config_id]).decode("utf-8"))
        except ValueError as error:
            raise DataError(f"A run must be JSON, but {where} is not: {error}") from error
        parts = [run.get(part) for part in PARTS]
        if not all(isinstance(part, dict) for part in parts):
            raise DataError(f"A run has the objects 'log', 'results' and 'config'; {where} lacks one of them.")
        return RunRecord(*parts)


def write_json(runs: Iterable[NamedRun], path: Path, file: BinaryIO) -> None:
    """Write runs in the original format, holding one of them at a time.

    Args:
        runs: those of a data set one after another.
        path: its ending says whether the content is compressed; see `JsonStorage`.
        file: where to write.

    Raises:
        DataError: a value is none that JSON can hold.
    """
    with _compressed(path, file) as content:
        last = None
        for dataset_name, config_id, record in runs:
            if dataset_name != last:
                content.write(b"{" if last is None else b"}, ")
                content.write(f"{json.dumps(dataset_name)}: {{".encode())
            else:
                content.write(b", ")
            content.write(f"{json.dumps(config_id)}: {_json(dataset_name, config_id, record)}".encode())
            last = dataset_name
        content.write(b"}}")


def _json(dataset_name: str, config_id: str, record: RunRecord) -> str:
    try:
        return json.dumps({part: dict(getattr(record, part)) for part in PARTS})
    except TypeError as error:
        raise not_json(dataset_name, config_id, error) from error


@contextmanager
def _compressed(path: Path, file: BinaryIO) -> Iterator[IO[bytes] | gzip.GzipFile]:
    if path.suffix == ".gz":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6) as content:
            yield content
    elif path.suffix == ".zip":
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(f"{path.stem}.json", "w", force_zip64=True) as content,
        ):
            yield content
    else:
        yield file


def find_runs(blocks: Iterable[bytes]) -> Places:
    """Where each run is in a JSON text of the original format.

    Only strings and braces are looked at, by numpy, and what is between the braces outside of runs; that is several
    times faster than decoding and needs no memory for what is inside the runs.

    Args:
        blocks: the text in order.

    Raises:
        ValueError: the text does not map names of data sets to configuration ids to objects.
    """
    finder = _RunFinder()
    for block in blocks:
        finder.feed(block)
    return finder.finish()


class _RunFinder:
    """Takes in a JSON text block by block."""

    def __init__(self) -> None:
        self._places: Places = {}
        self._keys: list[str] = []  # of the data set and of the run that are open
        self._depth = 0
        self._in_string = False
        self._n_bytes = 0  # fed so far
        self._run_start = 0
        self._between = b""  # what came since the last brace outside of runs
        self._held = b""  # a backslash whose second half is in the next block

    def feed(self, block: bytes) -> None:
        """Take in the next block."""
        block, self._held = _without_half_escape(self._held + block)
        positions, is_open = self._braces(block)
        depths = self._depth + np.cumsum(np.where(is_open, 1, -1))  # after the brace
        is_outside = np.where(is_open, depths, depths + 1) <= _RUN_DEPTH
        last = 0
        for position, opens, depth in zip(
            positions[is_outside].tolist(), is_open[is_outside].tolist(), depths[is_outside].tolist(), strict=True
        ):
            if opens:
                self._open(depth, self._between + block[last:position], self._n_bytes + position)
            else:
                self._close(depth, self._between + block[last:position], self._n_bytes + position + 1)
            self._between, last = b"", position + 1
        self._depth = int(depths[-1]) if len(depths) else self._depth
        if self._depth < _RUN_DEPTH:
            self._between += block[last:]
            if len(self._between) > _MAX_KEY_BYTES:
                raise ValueError(_SHAPE)
        self._n_bytes += len(block)

    def finish(self) -> Places:
        """What was found, at the end of the text."""
        if self._depth or self._held:
            raise ValueError("it ends too early.")
        if self._between.strip() or not self._places:
            raise ValueError(_SHAPE)
        return self._places

    def _braces(self, block: bytes) -> tuple[IntArray, Array]:
        """Positions of the braces outside of strings, and whether each of them opens."""
        codes = np.frombuffer(_ESCAPED.sub(b"__", block) if b"\\" in block else block, dtype=np.uint8)
        marks = np.flatnonzero((codes == _QUOTE) | (codes == _OPEN) | (codes == _CLOSE))
        kinds = codes[marks]
        in_string = (np.cumsum(kinds == _QUOTE) + self._in_string) % 2 == 1
        if len(in_string):
            self._in_string = bool(in_string[-1])
        is_brace = (kinds != _QUOTE) & ~in_string
        return marks[is_brace], kinds[is_brace] == _OPEN

    def _open(self, depth: int, before: bytes, position: int) -> None:
        """A brace opens the object of the file, of a data set, or of a run."""
        if depth == 1:
            if before.strip() or self._places:
                raise ValueError(_SHAPE)
            return
        siblings = self._places if depth < _RUN_DEPTH else self._places[self._keys[0]]
        match = _KEY.fullmatch(before)
        if match is None or bool(match[1]) != bool(siblings):
            raise ValueError(_SHAPE)
        self._keys[depth - 2 :] = [json.loads(match[2])]
        if depth < _RUN_DEPTH:
            self._places[self._keys[0]] = {}
        self._run_start = position

    def _close(self, depth: int, before: bytes, end: int) -> None:
        """A brace closes the object of a run, of a data set, or of the file; `depth` is what remains open."""
        if depth == _RUN_DEPTH - 1:
            dataset_name, config_id = self._keys
            self._places[dataset_name][config_id] = (self._run_start, end - self._run_start)
        elif before.strip() or depth < 0 or not self._places or not self._places[self._keys[0]]:
            raise ValueError(_SHAPE)


_SHAPE = "it must map data set names to configuration ids to runs, all of them JSON objects."


def _without_half_escape(block: bytes) -> tuple[bytes, bytes]:
    """The block without a backslash that escapes what follows the block, and that backslash."""
    n_backslashes = len(block) - len(block.rstrip(b"\\"))
    n_held = n_backslashes % 2
    return block[: len(block) - n_held], block[len(block) - n_held :]
