"""What a run is, and where runs are read from: one protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from autopytorch_lite.errors import DataError

PARTS = ("log", "results", "config")
"""Of a run; the attributes of `RunRecord`."""


@dataclass(frozen=True)
class RunRecord:
    """All that is stored about one configuration on one data set.

    Attributes:
        log: tag -> one value per step (index 0 is before any update, then one per epoch, then a final evaluation).
        results: tag -> one value.
        config: hyperparameter -> value, as stored.
    """

    log: Mapping[str, Sequence[float | None]]
    results: Mapping[str, Any]
    config: Mapping[str, Any]


NamedRun: TypeAlias = tuple[str, str, RunRecord]
"""Name of the data set, id of the configuration, and what is stored about it."""


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


def named_runs(storage: RunStorage) -> Iterator[NamedRun]:
    """All runs of a storage, in the order stored."""
    for dataset_name in storage.dataset_names():
        for config_id in storage.config_ids(dataset_name):
            yield dataset_name, config_id, storage.run(dataset_name, config_id)


def not_json(dataset_name: str, config_id: str, error: TypeError) -> DataError:
    """The error for a run that cannot be written."""
    return DataError(f"Values must be what JSON can hold, but configuration {config_id} of {dataset_name!r}: {error}.")
