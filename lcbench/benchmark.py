"""The reader with the original's calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Config, FloatArray
from lcbench.storage import JsonStorage, RunRecord, RunStorage

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LOWER_IS_BETTER = ("loss", "cross_entropy", "time", "error", "gradient", "model_parameters")


class Benchmark:
    """Learning curves, results and configurations by data set, tag and configuration id.

    Tags are looked up in a run's log (float arrays, one value per step: before training, after each epoch, and a final
    evaluation), then its results (one value), then its configuration. Configuration ids may be integers or strings.
    The stored files write a network of one layer as ``num_layers: true``; it is returned as 1.

    Args:
        path: the original ``data_2k.json`` or ``data_2k_lw.json`` ("lw": without the gradient tags), plain, gzipped or
            zipped; or any `RunStorage`.
        cache: share what was read with other benchmarks of the same file in this process. Nothing is written to disk.

    Raises:
        DataError: the file is absent or not in the format.

    Source: LCBench, api.py. Deviations: `query_best` knows which tags are losses, and plots are plotly figures.
    """

    def __init__(self, path: str | Path | RunStorage, cache: bool = True):
        self._storage: RunStorage = JsonStorage(path, cache=cache) if isinstance(path, str | Path) else path
        self._dataset_names = list(self._storage.dataset_names())

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
        if tag in record.log:
            return _curve(record.log[tag])
        if tag in record.results:
            return record.results[tag]
        config = _config(record)
        if tag == "config":
            return config
        if tag in config:
            return config[tag]
        raise UnknownNameError(f"tag of configuration {config_id} on data set {dataset_name!r}", tag, _tags(record))

    def query_best(self, dataset_name: str, tag: str, criterion: str, position: int = 0) -> Any:
        """The value of `tag` for the best run, or the n-th best.

        A run is ranked by the best value of `criterion` at any step. Losses, cross entropies, times, gradients and
        model sizes are better when lower, everything else when higher; the original took the largest value of losses
        too. Runs without a finite value come last; runs of equal value keep their order.

        Args:
            dataset_name: name of the data set.
            tag: what to return.
            criterion: what to rank by; a tag with numbers.
            position: rank, 0 is the best and -1 the worst.

        Returns:
            As `query`.

        Raises:
            UnknownNameError: a name does not exist, or there is no run at `position`.
            DataError: `criterion` has no numbers.
        """
        ranking = self._ranking(dataset_name, criterion)
        if not -len(ranking) <= position < len(ranking):
            raise UnknownNameError(f"rank among the runs on data set {dataset_name!r}", position, range(len(ranking)))
        return self.query(dataset_name, tag, ranking[position])

    def get_queriable_tags(self, dataset_name: str | None = None, config_id: int | str | None = None) -> list[str]:
        """Every tag of one run: log, results, configuration, and "config" for all of the latter.

        Without arguments the first run of the first data set answers; gradient tags per layer differ between runs.
        """
        name = self._dataset_names[0] if dataset_name is None else dataset_name
        first = self._config_ids(name)[0] if config_id is None else config_id
        return _tags(self._record(name, first))

    def get_dataset_names(self) -> list[str]:
        """Names of the data sets, as on OpenML."""
        return list(self._dataset_names)

    def get_openml_task_ids(self) -> list[int]:
        """The OpenML task id of each data set, in the order of `get_dataset_names`."""
        return [int(self.query(name, "OpenML_task_id", self._config_ids(name)[0])) for name in self._dataset_names]

    def get_number_of_configs(self, dataset_name: str) -> int:
        """How many configurations were evaluated on the data set."""
        return len(self._config_ids(dataset_name))

    def get_config_ids(self, dataset_name: str) -> list[str]:
        """Ids of the configurations that were evaluated on the data set, in the order stored."""
        return list(self._config_ids(dataset_name))

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
            ids = self._ranking(name, criterion or y_col) if show_best else self._config_ids(name)
            curves = {i: (self.query(name, x_col, i), self.query(name, y_col, i)) for i in ids[:n_configs]}
            panels.append(Panel(title=self._title(name), curves=curves))
        return draw(panels, scales=(xscale, yscale), labels=(xlabel or x_col, ylabel or y_col))

    def _config_ids(self, dataset_name: str) -> Sequence[str]:
        if dataset_name not in self._dataset_names:
            raise UnknownNameError("data set", dataset_name, self._dataset_names)
        return self._storage.config_ids(dataset_name)

    def _record(self, dataset_name: str, config_id: int | str) -> RunRecord:
        known = self._config_ids(dataset_name)
        if str(config_id) not in known:
            raise UnknownNameError(f"configuration on data set {dataset_name!r}", str(config_id), known)
        return self._storage.run(dataset_name, str(config_id))

    def _ranking(self, dataset_name: str, criterion: str) -> list[str]:
        """Configuration ids, best first."""
        sign = 1.0 if is_loss(criterion) else -1.0
        ids = self._config_ids(dataset_name)
        losses = {i: _smallest(sign * _numbers(self.query(dataset_name, criterion, i), criterion)) for i in ids}
        return sorted(ids, key=losses.__getitem__)

    def _title(self, dataset_name: str) -> str:
        results = self._storage.run(dataset_name, self._config_ids(dataset_name)[0]).results
        facts = [f"{tag}: {results[tag]}" for tag in ("features", "classes", "instances") if tag in results]
        return ", ".join([dataset_name, *facts])


def is_loss(tag: str) -> bool:
    """Whether lower values of the tag are better."""
    return any(word in tag.lower() for word in _LOWER_IS_BETTER)


def _curve(values: Iterable[float | None]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)  # a missing value (null) becomes NaN


def _config(record: RunRecord) -> Config:
    return {name: 1 if name == "num_layers" and value is True else value for name, value in record.config.items()}


def _tags(record: RunRecord) -> list[str]:
    return [*record.log, *record.results, *record.config, "config"]


def _numbers(value: Any, tag: str) -> FloatArray:
    """The value as a float array, shape (n_steps,) or (1,)."""
    try:
        return np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"The criterion must be a tag with numbers, got {tag!r}, which holds {value!r}.") from error


def _smallest(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if finite.size else float("inf")
