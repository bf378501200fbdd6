"""The file at the end of a generation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from autopytorch_lite.errors import NothingTrainedError
from autopytorch_lite.history.whole_files import replacing
from lcbench.storage import RunRecord


def save_runs(path: Path, runs: Iterable[tuple[str, str, RunRecord]]) -> int:
    """Write runs in the original format, one at a time; how many there were.

    Args:
        path: the .json file.
        runs: data set, configuration id, and record; those of a data set follow each other.

    Raises:
        NothingTrainedError: there is no run.
    """
    n_runs, open_dataset = 0, None
    with replacing(path) as file:
        for dataset, config_id, record in runs:
            is_new = dataset != open_dataset
            _write(file, _separator(is_first=n_runs == 0, is_new=is_new))
            _write(file, f"{json.dumps(dataset)}: {{" if is_new else "")
            _write(file, f"{json.dumps(config_id)}: {json.dumps(asdict(record), allow_nan=False)}")
            n_runs, open_dataset = n_runs + 1, dataset
        if n_runs == 0:
            raise NothingTrainedError("No configuration could be trained: there are no learning curves to write.")
        _write(file, "}}\n")
    return n_runs


def _separator(*, is_first: bool, is_new: bool) -> str:
    """What comes before a run: the beginning of the file, the end of the data set before, or that of the run before."""
    if is_first:
        return "{"
    return "},\n" if is_new else ",\n"


def _write(file: BinaryIO, text: str) -> None:
    file.write(text.encode())
