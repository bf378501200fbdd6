"""A table on its way to networks: divided, stored, and preprocessed once for all configurations that agree on how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from autopytorch_lite.data.dataset import Dataset, Fold, make_dataset
from autopytorch_lite.data.readers import read_table
from autopytorch_lite.data.splits import make_folds
from autopytorch_lite.data.target import guess_kind
from autopytorch_lite.errors import DataError, SpaceError
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.history.store import read_json, write_json_atomic
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.learner import FitSettings, Rows
from autopytorch_lite.pipeline.neural import NeuralLearner, Prepared
from autopytorch_lite.pipeline.preprocessor import TabularPreprocessor
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.types import Config
from lcbench.generation.evaluation import PARTS, Evaluation

TEST_SHARE = 0.33
"""As in LCBench; validation takes the same share of what remains."""
_PREPROCESSING_NODES = ("imputation", "encoding", "scaling", "preprocessing", "embedding")
_TABLE_FILE = "table.json"


@dataclass(frozen=True)
class SourceTable:
    """A table to generate learning curves on.

    Attributes:
        name: of the data set in the file that is made.
        X: the columns.
        y: what is predicted; by its values classes or numbers.
        openml_task_id: noted in the records; 0 if there is none.
    """

    name: str
    X: Any
    y: Any
    openml_task_id: int = 0


def read_source(table: str, target: str | None, name: str | None) -> SourceTable:
    """A table by path, "openml:TASK_ID" or "sklearn:NAME"; see `data.readers.read_table`.

    Raises:
        DataError: it cannot be read, or no column is named as the target.
        UnknownNameError: there is no such column or bundled set.
    """
    X, y, _ = read_table(table, target)
    if y is None:
        raise DataError(f"{table} does not say what is to be predicted; name the column with --target.")
    scheme, _, rest = table.rpartition(":")
    task_id = int(rest) if scheme == "openml" and rest.isdigit() else 0
    return SourceTable(name or Path(rest).name.split(".")[0], X, y, task_id)


def divided(source: SourceTable, seed: int) -> Dataset:
    """A table with one fold of training and validation rows; those of neither part are for the test.

    Both divisions are stratified by class.

    Raises:
        DataError: the table cannot be used.
    """
    whole = make_dataset(source.X, source.y, kind=guess_kind(source.y), resampling=TEST_SHARE, seed=seed)
    learn_idx = whole.folds[0].train_idx
    (inner,) = make_folds(
        whole.y[learn_idx], is_classification=whole.info.task.is_classification, resampling=TEST_SHARE, seed=seed
    )
    fold = Fold(learn_idx[inner.train_idx], learn_idx[inner.val_idx])
    return replace(whole, folds=(fold,))


def store_table(source: SourceTable, dataset: Dataset, folder: Path) -> None:
    """Write a divided table for `TrainingTable`."""
    dataset.save(folder)
    write_json_atomic(folder / _TABLE_FILE, {"name": source.name, "openml_task_id": source.openml_task_id})


class NetworkRows(NamedTuple):
    """The rows of a table as some networks read them.

    Attributes:
        train: training rows.
        val: validation rows.
        everything: training, validation and test rows in this order.
    """

    train: TensorRows
    val: TensorRows
    everything: TensorRows


class TrainingTable:
    """A stored table, and the trainings of configurations on it.

    Args:
        folder: where `store_table` put it.
        n_epochs: for which schedules are laid out.
        seed: of the run; each configuration has one of its own, that of a search on this table.
        device: where networks are trained.
        precision: of the networks that are trained alone.

    Attributes:
        name: of the data set.
        openml_task_id: 0 if there is none.
        dataset: all rows, memory-mapped.
    """

    def __init__(self, folder: Path, *, n_epochs: int, seed: int, device: str, precision: str):
        facts = read_json(folder / _TABLE_FILE)
        self.name, self.openml_task_id = str(facts["name"]), int(facts["openml_task_id"])
        self.dataset = Dataset.load(folder)
        metric = resolve_metric(None, self.dataset.info.task, self.dataset.info.n_outputs)
        self._settings = FitSettings(n_epochs, seed, metric, device, precision)
        (fold,) = self.dataset.folds
        learn_idx = np.concatenate([fold.train_idx, fold.val_idx])
        test_idx = np.setdiff1d(np.arange(len(self.dataset)), learn_idx)
        self._idx = dict(zip(PARTS, (fold.train_idx, fold.val_idx, test_idx), strict=True))
        self._preprocessors: dict[frozenset[Any], TabularPreprocessor] = {}
        self._rows: dict[frozenset[Any], NetworkRows] = {}

    @property
    def n_rows(self) -> dict[str, int]:
        """Rows of each part."""
        return {part: len(idx) for part, idx in self._idx.items()}

    def evaluation(self) -> Evaluation:
        """Scores predictions for all rows."""
        info = self.dataset.info
        y = np.concatenate([np.asarray(self.dataset.y[self._idx[part]]) for part in PARTS])
        is_classification = info.task.is_classification
        targets = torch.from_numpy(y if is_classification else y.reshape(len(y), -1))
        return Evaluation(targets, self.n_rows, info.n_outputs if is_classification else 0)

    def prepare(self, config_id: int, config: Config) -> tuple[Prepared, NetworkRows]:
        """A configuration's training, not begun, and the rows it reads; the same object where they are the same.

        Raises:
            SpaceError: the configuration describes no network.
            DivergedError: its preprocessing finds no finite solution.
        """
        learner = build_learner(default_graph(), config, self.dataset.info)
        if not isinstance(learner, NeuralLearner):
            raise SpaceError(f"Learning curves are those of networks; configuration {config_id} is of another learner.")
        train = self._part("train")
        key = frozenset(item for item in config.items() if item[0].split(":")[0] in _PREPROCESSING_NODES)
        if key not in self._preprocessors:
            self._preprocessors[key] = learner.fit_preprocessor(train, self._settings.seed)
        own_seed = int(np.random.default_rng([self._settings.seed, 1, config_id, 0]).integers(2**31))
        prepared = learner.prepare(train, replace(self._settings, seed=own_seed), self._preprocessors[key])
        if key not in self._rows:
            self._rows[key] = self._network_rows(prepared)
        return prepared, self._rows[key]

    def _network_rows(self, prepared: Prepared) -> NetworkRows:
        parts = [prepared.tensor_rows(self._part(part)) for part in PARTS]
        dense, codes, targets = (torch.cat(tensors) for tensors in zip(*map(_tensors, parts), strict=True))
        return NetworkRows(parts[0], parts[1], TensorRows(dense, codes, targets))

    def _part(self, part: str) -> Rows:
        return rows_of(self.dataset, self._idx[part])


def _tensors(rows: TensorRows) -> tuple[torch.Tensor, ...]:
    return rows.dense, rows.codes, rows.targets
