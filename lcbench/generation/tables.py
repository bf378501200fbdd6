"""A stored table as networks read it: preprocessed once for all configurations that agree on how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.errors import SpaceError
from autopytorch_lite.execution.tabular import rows_of
from autopytorch_lite.history.store import read_json
from autopytorch_lite.metrics import resolve_metric
from autopytorch_lite.pipeline.build import build_learner, default_graph
from autopytorch_lite.pipeline.learner import FitSettings, Rows
from autopytorch_lite.pipeline.neural import NeuralLearner, Prepared
from autopytorch_lite.pipeline.preprocessor import TabularPreprocessor
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.types import Config
from lcbench.generation.evaluation import PARTS, Evaluation
from lcbench.generation.run import GenerationSettings
from lcbench.generation.sources import TABLE_FILE

_PREPROCESSING_NODES = ("imputation", "encoding", "scaling", "preprocessing", "embedding")


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
    """A stored table, and the trainings of configurations on it; each has a seed of its own, as in a search.

    Args:
        folder: where `sources.store_table` put it.
        settings: of the run.

    Attributes:
        name: of the data set.
        openml_task_id: 0 if there is none.
        dataset: all rows, memory-mapped.
    """

    def __init__(self, folder: Path, settings: GenerationSettings):
        facts = read_json(folder / TABLE_FILE)
        self.name, self.openml_task_id = str(facts["name"]), int(facts["openml_task_id"])
        self.dataset = Dataset.load(folder)
        metric = resolve_metric(None, self.dataset.info.task, self.dataset.info.n_outputs)
        self._settings = FitSettings(
            settings.n_epochs, settings.seed, metric, device=settings.device, precision=settings.precision
        )
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

    def prepare(self, training: int, config: Config) -> tuple[Prepared, NetworkRows]:
        """A training by its number, not begun, and the rows it reads; the same object where they are the same.

        Raises:
            SpaceError: the configuration describes no network.
            DivergedError: its preprocessing finds no finite solution.
        """
        learner = build_learner(default_graph(), config, self.dataset.info)
        if not isinstance(learner, NeuralLearner):
            raise SpaceError(f"Learning curves are those of networks; training {training} is of another learner.")
        train = self._part("train")
        key = frozenset(item for item in config.items() if item[0].split(":")[0] in _PREPROCESSING_NODES)
        if key not in self._preprocessors:
            self._preprocessors[key] = learner.fit_preprocessor(train, self._settings.seed)
        own_seed = int(np.random.default_rng([self._settings.seed, 1, training, 0]).integers(2**31))
        prepared = learner.prepare(train, replace(self._settings, seed=own_seed), self._preprocessors[key])
        if key not in self._rows:
            self._rows[key] = self._network_rows(prepared)
        return prepared, self._rows[key]

    def _network_rows(self, prepared: Prepared) -> NetworkRows:
        parts = [prepared.tensor_rows(self._part(part)) for part in PARTS]
        dense, codes, targets = (torch.cat(tensors) for tensors in zip(*map(_tensors, parts), strict=True))
        return NetworkRows(prepared.training_rows(self._part("train")), parts[1], TensorRows(dense, codes, targets))

    def _part(self, part: str) -> Rows:
        return rows_of(self.dataset, self._idx[part])


def _tensors(rows: TensorRows) -> tuple[torch.Tensor, ...]:
    return rows.dense, rows.codes, rows.targets
