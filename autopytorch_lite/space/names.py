"""Every hyperparameter name that a graph can have, whatever the data."""

from __future__ import annotations

from collections.abc import Iterator

from autopytorch_lite.errors import SpaceError
from autopytorch_lite.pipeline.graph import (
    Categorical,
    Choice,
    Component,
    Hyperparameter,
    Node,
    choice_name,
    full_name,
)
from autopytorch_lite.types import DatasetInfo, Task

_N_PROBE_COLUMNS = 100  # columns of the made-up data sets that are asked for names


def known_hyperparameters(graph: Node, info: DatasetInfo) -> dict[str, Hyperparameter]:
    """Full name -> hyperparameter as declared, for all data of any task; where it depends on the data, as for `info`.

    Components may declare hyperparameters for some data only (one per categorical column, say), so they are asked about
    this data and about made-up data of every task with many columns of both kinds.

    Raises:
        SpaceError: a component declares a name twice, or a condition on a hyperparameter it did not declare before.
    """
    known: dict[str, Hyperparameter] = {}
    for probe in (info, *_probes(info)):
        for name, hyperparameter in _declared(graph, probe):
            known.setdefault(name, hyperparameter)
    return known


def declared_by(component: Component, info: DatasetInfo) -> tuple[Hyperparameter, ...]:
    """The hyperparameters of a component, checked.

    Raises:
        SpaceError: a name is declared twice, or `when` names a hyperparameter that is not declared before.
    """
    declared = tuple(component.hyperparameters(info))
    earlier: set[str] = set()
    for hyperparameter in declared:
        if hyperparameter.name in earlier:
            raise SpaceError(f"Component {component.name!r} declares the hyperparameter {hyperparameter.name!r} twice.")
        unknown = set(hyperparameter.when or ()) - earlier
        if unknown:
            raise SpaceError(
                f"A condition must name hyperparameters declared before; {hyperparameter.name!r} of component "
                f"{component.name!r} has one on {', '.join(sorted(unknown))}."
            )
        earlier.add(hyperparameter.name)
    return declared


def _declared(graph: Node, info: DatasetInfo) -> Iterator[tuple[str, Hyperparameter]]:
    for node in graph.walk():
        if isinstance(node, Choice):
            options = tuple(option.name for option in node.options)
            yield choice_name(node.name), Categorical(node.name, options, node.default)
    for node, component in graph.walk_components():
        if component.applies(info):
            for hyperparameter in declared_by(component, info):
                yield full_name(node.name, component.name, hyperparameter.name), hyperparameter


def _probes(info: DatasetInfo) -> Iterator[DatasetInfo]:
    n_categorical = max(_N_PROBE_COLUMNS, info.n_categorical)
    for task in Task:
        n_outputs = {Task.BINARY: 2, Task.MULTICLASS: 3, Task.REGRESSION: 1}[task]
        yield DatasetInfo(
            task=task,
            n_rows=1000,
            n_numeric=_N_PROBE_COLUMNS,
            cardinalities=(100,) * n_categorical,
            n_outputs=n_outputs,
            class_counts=(100,) * n_outputs if task.is_classification else (),
            has_missing=True,
        )
