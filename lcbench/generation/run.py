"""The run directory of a generation: what was asked, tables, plans, and one file per finished batch of trainings.

    RUN_DIR/run.json               settings; another generation is refused
            tables/0/...           a stored table, see `sources.store_table`
            tables/0/plan-0.json   configurations of the trainings from number 0 on, and the batches they are in
            tables/0/runs-17.json  records of the batch whose first training is 17
            .lock                  held by the process that writes

Files appear as a whole or not at all, so what a kill costs is the batches that were being trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.store import read_json, write_json_atomic
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.types import Config
from lcbench.generation.repeats import mean_record
from lcbench.generation.sources import SourceTable, divided, store_table
from lcbench.storage import RunRecord

_FORMAT = 2
_N_RECENT = 64
"""Batches whose records are kept in memory while a file is written."""


@dataclass(frozen=True)
class GenerationSettings:
    """What all trainings of a run share.

    Attributes:
        space: name or path of the ranges of the configurations.
        n_epochs: of every training.
        seed: of everything random.
        gradients: whether statistics of gradients are recorded.
        precision: of matrix products: "float32", "bfloat16", or "auto" for what is faster for a batch of trainings.
        device: "cpu", "cuda" or "cuda:i".
        repeats: trainings of each configuration, which differ by their seed; its record is their mean.
    """

    space: str
    n_epochs: int
    seed: int
    gradients: bool
    precision: str
    device: str
    repeats: int = 1


@dataclass(frozen=True)
class Batch:
    """Trainings that are done together and written as one file.

    Attributes:
        trainings: their numbers, ascending: a configuration's number times the repeats, and which of these it is.
        is_stacked: whether they are a stack; otherwise it is one training.
        precisions: of the matrix products of every layer in training; of a network that trains alone just one.
        evaluation_precisions: of every layer in evaluation, likewise.
        seconds: estimated time.
        shares: of the time, one per training.
        error: why the configuration cannot be trained; empty if it can.
    """

    trainings: tuple[int, ...]
    is_stacked: bool
    precisions: tuple[str, ...]
    evaluation_precisions: tuple[str, ...]
    seconds: float
    shares: tuple[float, ...]
    error: str = ""


@dataclass(frozen=True)
class Plan:
    """Trainings of consecutive numbers on one table, their configurations and batches."""

    first: int
    configs: tuple[Config, ...]
    batches: tuple[Batch, ...]

    @property
    def last(self) -> int:
        """One after the last training."""
        return self.first + len(self.configs)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"first": self.first, "configs": self.configs, "batches": [asdict(batch) for batch in self.batches]}

    @classmethod
    def from_json(cls, data: Any) -> Plan:
        """Inverse of `to_json`."""
        entries: list[dict[str, Any]] = [
            {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
            for entry in data["batches"]
        ]
        return cls(data["first"], tuple(data["configs"]), tuple(Batch(**entry) for entry in entries))


class GenerationRun:
    """Reads and writes a run directory; `GenerationRun.begin` makes one.

    Attributes:
        path: the directory.
        settings: what all trainings share.
        n_tables: number of tables.
    """

    def __init__(self, path: Path):
        self.path = path
        asked = read_json(path / "run.json")
        if asked.get("format") != _FORMAT:
            raise HistoryError(f"{path} must hold a generation of format {_FORMAT}, got {asked.get('format')!r}.")
        self.settings = GenerationSettings(**asked["settings"])
        self.n_tables = len(asked["tables"])
        self._recent: dict[Path, Mapping[str, Any]] = {}

    @classmethod
    @contextmanager
    def begin(cls, path: Path, tables: Sequence[SourceTable], settings: GenerationSettings) -> Iterator[GenerationRun]:
        """The run in a directory, locked; the directory is made, or taken up if it is of the same tables and settings.

        Raises:
            DataError: a table cannot be used.
            HistoryError: another process writes to it, or it holds something else.
        """
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise HistoryError(f"Only one process may write to a run directory, another one uses {path}.") from None
        with lock:
            _claim(path, tables, settings)
            yield cls(path)

    def table_folder(self, number: int) -> Path:
        """Where a table and all that belongs to it lie."""
        return _table_folder(self.path, number)

    def plans(self, number: int) -> list[Plan]:
        """What is planned on a table so far, by number of the first configuration."""
        paths = self.table_folder(number).glob("plan-*.json")
        return sorted((Plan.from_json(read_json(path)) for path in paths), key=lambda plan: plan.first)

    def add_plan(self, number: int, plan: Plan) -> None:
        """Note a plan for a table."""
        write_json_atomic(self.table_folder(number) / f"plan-{plan.first}.json", plan.to_json())

    def is_done(self, number: int, batch: Batch) -> bool:
        """Whether the records of a batch are there."""
        return self._batch_file(number, batch).exists()

    def add_records(self, number: int, batch: Batch, records: dict[str, Any]) -> None:
        """Write the records of a finished batch by number of the training; durable when this returns."""
        with replacing(self._batch_file(number, batch)) as file:
            file.write(json.dumps(records, allow_nan=False).encode())

    def n_records(self, n_configs: int) -> int:
        """How many runs `records` gives."""
        return sum(len(self._whole(self._batches_of(number), n_configs)) for number in range(self.n_tables))

    def records(self, n_configs: int) -> Iterator[tuple[str, str, RunRecord]]:
        """Finished runs of configurations below `n_configs`: data set, configuration id, record; in order."""
        for number in range(self.n_tables):
            name = str(read_json(self.table_folder(number) / "table.json")["name"])
            batch_of = self._batches_of(number)
            for config_id in self._whole(batch_of, n_configs):
                runs = [self._batch_records(number, batch_of[i])[str(i)] for i in self._trainings(config_id)]
                run = mean_record(runs)
                yield name, str(config_id), RunRecord(run["log"], run["results"], run["config"])

    def _trainings(self, config_id: int) -> range:
        """Numbers of the trainings of a configuration."""
        return range(config_id * self.settings.repeats, (config_id + 1) * self.settings.repeats)

    def _whole(self, batch_of: Mapping[int, Batch], n_configs: int) -> list[int]:
        """Configurations below `n_configs` of which all trainings are done."""
        return [i for i in range(n_configs) if all(training in batch_of for training in self._trainings(i))]

    def _batches_of(self, number: int) -> dict[int, Batch]:
        """Of each training of a table that has a record, its batch."""
        batches = (batch for plan in self.plans(number) for batch in plan.batches)
        done = (batch for batch in batches if not batch.error and self.is_done(number, batch))
        return {training: batch for batch in done for training in batch.trainings}

    def _batch_records(self, number: int, batch: Batch) -> Mapping[str, Any]:
        """Records by training; those read last stay in memory, as the next ones asked for may be in them."""
        path = self._batch_file(number, batch)
        if path not in self._recent:
            if len(self._recent) >= _N_RECENT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[path] = read_json(path)
        return self._recent[path]

    def _batch_file(self, number: int, batch: Batch) -> Path:
        return self.table_folder(number) / f"runs-{batch.trainings[0]}.json"


def _table_folder(path: Path, number: int) -> Path:
    return path / "tables" / str(number)


def _claim(path: Path, tables: Sequence[SourceTable], settings: GenerationSettings) -> None:
    """Store the tables and note what was asked; or compare, if that has been noted already."""
    datasets = [divided(table, settings.seed) for table in tables]
    facts = {table.name: dataset.fingerprint for table, dataset in zip(tables, datasets, strict=True)}
    asked = {"format": _FORMAT, "settings": asdict(settings), "tables": facts}
    if (path / "run.json").exists():
        _require_same(path, read_json(path / "run.json"), asked)
        return
    for number, (table, dataset) in enumerate(zip(tables, datasets, strict=True)):
        store_table(table, dataset, _table_folder(path, number))
    write_json_atomic(path / "run.json", asked)


def _require_same(path: Path, noted: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    differing = [name for name in ("format", "tables") if noted.get(name) != asked[name]]
    known = noted.get("settings", {})
    differing += [name for name, value in asked["settings"].items() if known.get(name) != value]
    if differing:
        raise HistoryError(
            f"The generation in {path} was begun with another {', another '.join(differing)}; choose another directory."
        )
