"""The reader with the original's calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Array, Config, FloatArray
from lcbench.files import open_storage
from lcbench.storage import RunRecord, RunStorage

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LOWER_IS_BETTER = ("loss", "cross_entropy", "time", "error", "gradient", "model_parameters")
_MISSING = object()


class Benchmark:
    """Learning curves, results and configurations by data set, tag and configuration id.

    Tags are looked up in a run's log (float arrays, one value per step: before training, after each epoch, and a final
    evaluation), then its results (one value), then its configuration. Configuration ids may be integers or strings.
    The stored files write a network of one layer as ``num_layers: true``; it is returned as 1.

    A file is not read into memory: opening finds where the runs are, and a query reads what it needs.

    Args:
        data_dir: a file, named as in the original: ``data_2k.json`` or ``data_2k_lw.json`` ("lw": without the gradient
            tags), plain, gzipped or zipped, or an ``.lcb`` file, which is faster (see `lcbench.convert`); or any
            `RunStorage`.
        cache: share what was found with other benchmarks of the same file in this process. Nothing is written to disk.

    Raises:
        DataError: the file is absent or not in the format. What is wrong inside a run is noticed when it is read.

    Source: LCBench, api.py. Deviations: `query_best` knows which tags are losses, and plots are plotly figures.
    """

    def __init__(self, data_dir: str | Path | RunStorage, cache: bool = True):
        self._storage = open_storage(data_dir, cache=cache) if isinstance(data_dir, str | Path) else data_dir
        self._ids = {name: dict.fromkeys(self._storage.config_ids(name)) for name in self._storage.dataset_names()}

    def query(self, dataset_name: str, tag: str, config_id: int | str) -> Any:
        """One value of one run.

        Args:
            dataset_name: name of the data set.
            tag: a name from `get_queriable_tags`; "config" gives the whole configuration.
            config_id: id of the configuration.

        Returns:
            float array, shape (n_steps,), for a tag of the log; the stored value otherwise.

        Raises:
            UnknownNameError: the data set, the configuration, or the tag in this run does not exist.
        """
        record = self._record(dataset_name, config_id)
        value = _value(record, tag)
        if value is _MISSING:
            raise UnknownNameError(f"tag of configuration {config_id} on data set {dataset_name!r}", tag, _tags(record))
        return value

    def query_all(self, dataset_name: str, tag: str) -> Array:
        """One value of every run on a data set, in the order of `get_config_ids`.

        Args:
            dataset_name: name of the data set.
            tag: as in `query`.

        Returns:
            Float array, shape (n_configs, n_steps), for a tag of the log, where NaN follows the last step of a shorter
            curve; shape (n_configs,) for single numbers. NaN where the value or the tag is missing. What is neither
            curve nor number comes in an object array, shape (n_configs,), with None where it is missing.

        Raises:
            UnknownNameError: the data set does not exist, or none of its runs has the tag.
        """
        values = [_value(self._storage.run(dataset_name, i), tag) for i in self._known(dataset_name)]
        if all(value is _MISSING for value in values):
            raise UnknownNameError(
                f"tag of the runs on data set {dataset_name!r}", tag, self.get_queriable_tags(dataset_name)
            )
        return _stacked([None if value is _MISSING else value for value in values])

    def query_best(
        self, dataset_name: str, tag: str, criterion: str, position: int = 0, *, minimize: bool | None = None
    ) -> Any:
        """The value of `tag` for the best run, or the n-th best.

        A run is ranked by the best value of `criterion` at any step. Losses, cross entropies, errors, times, gradients
        and model sizes are better when lower, everything else when higher; the original took the largest value of
        losses too. Runs without a finite value come last; runs of equal value keep their order.

        Args:
            dataset_name: name of the data set.
            tag: what to return.
            criterion: what to rank by; a tag with numbers.
            position: rank, 0 is the best and -1 the worst.
            minimize: whether lower values of the criterion are better; None: by its name, as said above.

        Returns:
            As `query`.

        Raises:
            UnknownNameError: a name does not exist, or there is no run at `position`.
            DataError: `criterion` has no numbers.
        """
        ranking = self._ranking(dataset_name, criterion, minimize)
        if not -len(ranking) <= position < len(ranking):
            raise UnknownNameError(f"rank among the runs on data set {dataset_name!r}", position, range(len(ranking)))
        return self.query(dataset_name, tag, ranking[position])

    def get_queriable_tags(self, dataset_name: str | None = None, config_id: int | str | None = None) -> list[str]:
        """Every tag of one run: log, results, configuration, and "config" for all of the latter.

        Without arguments the first run of the first data set answers; gradient tags per layer differ between runs.
        """
        name = next(iter(self._ids)) if dataset_name is None else dataset_name
        return _tags(self._record(name, self._first(name) if config_id is None else config_id))

    def get_dataset_names(self) -> list[str]:
        """Names of the data sets, as on OpenML."""
        return list(self._ids)

    def get_openml_task_ids(self) -> list[int]:
        """The OpenML task id of each data set, in the order of `get_dataset_names`."""
        return [int(self.query(name, "OpenML_task_id", self._first(name))) for name in self._ids]

    def get_number_of_configs(self, dataset_name: str) -> int:
        """How many configurations were evaluated on the data set."""
        return len(self._known(dataset_name))

    def get_config_ids(self, dataset_name: str) -> list[str]:
        """Ids of the configurations that were evaluated on the data set, in the order stored."""
        return list(self._known(dataset_name))

    def get_config(self, dataset_name: str, config_id: int | str) -> Config:
        """The configuration of one run: hyperparameter -> value, the constants included."""
        return _config(self._record(dataset_name, config_id))

    def plot_by_name(
        self,
        dataset_names: str | Sequence[str],
        x_col: str,
        y_col: str,
        n_configs: int = 10,
        show_best: bool = False,
        xscale: str = "linear",
        yscale: str = "linear",
        criterion: str | None = None,
        xlabel: str | None = None,
        ylabel: str | None = None,
    ) -> Figure:
        """Curves of some runs, one panel per data set.

        Args:
            dataset_names: one name or several.
            x_col: tag on the horizontal axis, for example "epoch" or "time".
            y_col: tag on the vertical axis.
            n_configs: runs per data set; fewer if there are fewer.
            show_best: the best runs by `criterion` instead of the first ones.
            xscale: "linear" or "log".
            yscale: "linear" or "log".
            criterion: tag to rank by; by default `y_col`.
            xlabel: axis title; by default `x_col`.
            ylabel: axis title; by default `y_col`.

        Returns:
            A plotly figure: ``.show()`` opens it, ``.write_html(path)`` keeps it.

        Raises:
            UnknownNameError: a data set, tag or scale does not exist.
        """
        from lcbench.plotting import Panel, draw

        names = [dataset_names] if isinstance(dataset_names, str) else list(dataset_names)
        panels = []
        for name in names:
            ids = self._ranking(name, criterion or y_col) if show_best else self.get_config_ids(name)
            curves = {i: (self.query(name, x_col, i), self.query(name, y_col, i)) for i in ids[:n_configs]}
            panels.append(Panel(title=self._title(name), curves=curves))
        return draw(panels, scales=(xscale, yscale), labels=(xlabel or x_col, ylabel or y_col))

    def _known(self, dataset_name: str) -> Collection[str]:
        """Configuration ids, in the order stored."""
        if dataset_name not in self._ids:
            raise UnknownNameError("data set", dataset_name, self._ids)
        return self._ids[dataset_name]

    def _first(self, dataset_name: str) -> str:
        return next(iter(self._known(dataset_name)))

    def _record(self, dataset_name: str, config_id: int | str) -> RunRecord:
        known = self._known(dataset_name)
        if str(config_id) not in known:
            raise UnknownNameError(f"configuration on data set {dataset_name!r}", str(config_id), known)
        return self._storage.run(dataset_name, str(config_id))

    def _ranking(self, dataset_name: str, criterion: str, minimize: bool | None = None) -> list[str]:
        """Configuration ids, best first."""
        values = self.query_all(dataset_name, criterion)
        if values.dtype == object:
            where = f"{criterion!r}, which holds {values[0]!r} on data set {dataset_name!r}"
            raise DataError(f"The criterion must be a tag with numbers, got {where}.")
        losses = values if (is_loss(criterion) if minimize is None else minimize) else -values
        losses = np.where(np.isfinite(losses), losses, np.inf).reshape(len(losses), -1).min(axis=1, initial=np.inf)
        ids = self.get_config_ids(dataset_name)
        return [ids[number] for number in np.argsort(losses, kind="stable")]

    def _title(self, dataset_name: str) -> str:
        results = self._storage.run(dataset_name, self._first(dataset_name)).results
        facts = [f"{tag}: {results[tag]}" for tag in ("features", "classes", "instances") if tag in results]
        return ", ".join([dataset_name, *facts])


def is_loss(tag: str) -> bool:
    """Whether lower values of the tag are better."""
    return any(word in tag.lower() for word in _LOWER_IS_BETTER)


def _value(record: RunRecord, tag: str) -> Any:
    """As `Benchmark.query` returns it; `_MISSING` if the run does not have it."""
    if tag in record.log:
        return np.asarray(record.log[tag], dtype=np.float64)  # a missing value (null) becomes NaN
    if tag in record.results:
        return record.results[tag]
    if tag == "config":
        return _config(record)
    return _config_value(tag, record.config[tag]) if tag in record.config else _MISSING


def _config(record: RunRecord) -> Config:
    return {name: _config_value(name, value) for name, value in record.config.items()}


def _config_value(name: str, value: Any) -> Any:
    return 1 if name == "num_layers" and value is True else value


def _tags(record: RunRecord) -> list[str]:
    return [*record.log, *record.results, *record.config, "config"]


def _stacked(values: Sequence[Any]) -> Array:
    """Curves as rows, numbers as float64, anything else as objects; see `Benchmark.query_all`."""
    if any(isinstance(value, np.ndarray) for value in values):
        curves = [np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in values]
        return _rows(curves)
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return np.array(values, dtype=np.float64)
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _rows(curves: Sequence[FloatArray]) -> FloatArray:
    """Curves of any length as a matrix, shape (n_curves, n_steps), with NaN behind the end of each."""
    n_steps = max(map(len, curves))
    if all(len(curve) == n_steps for curve in curves):
        return np.array(curves)
    matrix = np.full((len(curves), n_steps), np.nan)
    for row, curve in zip(matrix, curves, strict=True):
        row[: len(curve)] = curve
    return matrix
