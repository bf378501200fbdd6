"""What a pool recorded on one table, as a task that searchers can be replayed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.execution.simulated import SimulatedCurve
from autopytorch_lite.execution.work import Sizes, family_of
from autopytorch_lite.pipeline.build import default_graph
from autopytorch_lite.pipeline.graph import choice_name
from autopytorch_lite.space.compile import compile as compile_space
from autopytorch_lite.space.encode import VectorCodec, squared_distances
from autopytorch_lite.types import Config, FloatArray
from benchmarks.portfolio.cells import PoolFolder
from benchmarks.portfolio.pool import Candidate
from benchmarks.portfolio.tasks import PoolTask
from search_spaces import load_ranges, with_edits

CHOICES = ("learner", "backbone")
"""Nodes of the graph whose options are families."""

OVERHEAD_S = 0.05
"""Seconds of an evaluation beside its training."""


class RecordedTable:
    """The trainings of a pool on one table, as a task for searchers.

    What was trained are single configurations, and a searcher proposes others: each goes as the nearest one of its
    family goes, on axes from 0 to 1 where different choices, and active and inactive, are at distance 1.

    Args:
        pool: the trainings.
        task: the table.
        candidates: which may be found; those without a successful training on the table may not.
        without: names of learners and backbones that the space does not have.

    Attributes:
        task, without: as given.
        space: the default space of the table, without them.

    Raises:
        UnknownNameError: no learner or backbone has a name in `without`.
        DataError: there is no such training.
    """

    def __init__(
        self, pool: PoolFolder, task: PoolTask, candidates: Sequence[Candidate], without: Collection[str] = ()
    ):
        self.task, self.without = task, tuple(without)
        self.space = compile_space(default_graph(), ranges_without(without), task.info)
        candidates = [candidate for candidate in candidates if not is_of(candidate.config, without)]
        rows = {c.name: pool.row(task.name, c) for c in candidates}
        self._names: list[str] = []
        self._rungs: list[list[dict[str, float]]] = []
        configs: list[Config] = []
        for candidate in candidates:
            row, config = rows[candidate.name], candidate.fitted(task.info)
            if row is not None and row["status"] == "ok" and config is not None and config not in configs:
                self._names.append(candidate.name)
                self._rungs.append(row["rungs"])
                configs.append(config)
        if not configs:
            raise DataError(f"Leaves no training on {task.name}: {', '.join(without) or 'none succeeded'}.")
        self._codec = VectorCodec(self.space)
        self._vectors = self._codec.encode_many(configs)
        self._families = np.array([family_of(config) for config in configs])
        self._predictions = lru_cache(maxsize=None)(lambda name, budget: pool.predictions(task, name, budget))

    @cached_property
    def sizes(self) -> Sizes:
        """What is trained on."""
        return Sizes.of(self.task.dataset, self.task.max_budget)

    def curves(self, config: Config, budget: int) -> SimulatedCurve:
        """The training that is nearest; between rungs its loss stays and its seconds grow evenly."""
        rungs = self._rungs[self.nearest(config)]
        known, losses = np.array([(rung["budget"], rung["loss"]) for rung in rungs]).T
        ends_s = np.cumsum([rung["cpu_seconds"] + OVERHEAD_S for rung in rungs])
        epochs = np.arange(1, budget + 1)
        place = np.minimum(np.searchsorted(known, epochs), len(rungs) - 1)
        return SimulatedCurve(losses[place], np.interp(epochs, [0, *known], [0, *ends_s]))

    def nearest(self, config: Config) -> int:
        """Which of the trainings is nearest; of any family where its own has none."""
        family = np.flatnonzero(self._families == family_of(config))
        among = family if len(family) else np.arange(len(self._families))
        distances = squared_distances(self._vectors[among], self._codec.encode(config), self._codec.n_choices > 0)
        return int(among[np.argmin(distances)])

    def predictions(self, config: Config, budget: int) -> tuple[FloatArray, FloatArray]:
        """Predictions of the validation rows and of the unseen rows, shapes (n_rows, n_outputs)."""
        return self._predictions(self._names[self.nearest(config)], budget)


def ranges_without(families: Collection[str]) -> dict[str, Any]:
    """The default ranges without some learners and backbones.

    Raises:
        UnknownNameError: there is none of that name.
    """
    ranges = load_ranges("default")
    graph: Any = default_graph()
    options = {node: [option.name for option in graph.find(node).options] for node in CHOICES}
    everything = [name for known in options.values() for name in known]
    for family in families:
        if family not in everything:
            raise UnknownNameError("learner", family, everything)
    for node, known in options.items():
        excluded = [name for name in known if name in families]
        if excluded:
            ranges = with_edits(ranges, {choice_name(node): {"exclude": excluded}})
            edit = ranges["edits"][choice_name(node)]
            if edit.get("default") in excluded:
                edit["default"] = next((name for name in known if name not in edit["exclude"]), None)
    return ranges


def is_of(config: Mapping[str, Any], families: Collection[str]) -> bool:
    """Whether the configuration's learner or backbone is one of these."""
    return any(config.get(choice_name(node)) in families for node in CHOICES)
