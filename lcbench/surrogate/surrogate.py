"""Recorded learning curves as a function of the configuration."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from ConfigSpace import ConfigurationSpace

from autopytorch_lite.errors import BudgetError, DataError, UnknownNameError
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.types import Array, Config, FloatArray
from lcbench.benchmark import Benchmark, is_loss
from lcbench.curves import DEFAULT_TAG, Recording, read_recording
from lcbench.spaces import Features, space_of
from lcbench.surrogate.model import LEVELS, CurveModel, Runs, below, cross_validate
from lcbench.surrogate.quality import report_epochs, skill
from lcbench.surrogate.regressors import FAMILIES

FILE_NAME = "surrogate.npz"
MIN_RUNS = 20
N_FOLDS = 5
_FORMAT = 1
_KIND = "lcbench surrogate"
_SHORTEST_S = 1e-9  # times are predicted by their logarithms


@dataclass(frozen=True)
class Recorded:
    """What was recorded on a data set, for comparison with what is predicted.

    Attributes:
        best: loss after the last epoch, the smallest of all runs.
        worst: the largest.
        mean_s: mean seconds of a full training.
        n_runs: how many there were.
    """

    best: float
    worst: float
    mean_s: float
    n_runs: int


class Surrogate:
    """Predicts curves, times and their uncertainty for configurations that nobody trained.

    A configuration's numbers are moved into the range of the recorded ones; a curve lies between the best and the worst
    recorded value, so a surrogate never promises more than was seen. `fit` and `load` make one.

    Attributes:
        tag: what is predicted, in its own units.
        n_epochs: length of a curve.
        space: of the configurations.
        comparison: what cross-validation said about each family of regression; columns as in `fit`.
    """

    def __init__(
        self,
        tag: str,
        n_epochs: int,
        space: ConfigurationSpace,
        models: Mapping[str, CurveModel],
        recorded: Mapping[str, Recorded],
        comparison: pd.DataFrame,
    ):
        self.tag = tag
        self.n_epochs = n_epochs
        self.space = space
        self.comparison = comparison
        self._models = dict(models)
        self._recorded = dict(recorded)
        self._features = Features(space)

    @classmethod
    def fit(
        cls,
        benchmark: Benchmark,
        dataset_names: Sequence[str] = (),
        *,
        tag: str = DEFAULT_TAG,
        space: ConfigurationSpace | None = None,
        families: Sequence[str] = tuple(FAMILIES),
        seed: int = 0,
    ) -> Self:
        """Compare families of regression by cross-validation on each data set, and fit the best one to all its runs.

        `comparison` has a row for each data set, family and some epochs: R2 and Spearman's correlation of what was
        predicted for runs left out; "error", the root mean squared error on the even scale over all epochs; and whether
        the family was "chosen", as the one with the smallest error.

        Args:
            benchmark: the runs.
            dataset_names: which data sets; none: all.
            tag: with learning curves; a value that is missing counts as the worst of its epoch.
            space: what the configurations are points of; None: what they show, see `space_of`.
            families: of `FAMILIES`.
            seed: of everything random.

        Raises:
            UnknownNameError: a data set, the tag or a family does not exist.
            DataError: a data set has too few runs, or no learning curves.
            SpaceError: a configuration is no point of the space.
        """
        names = dataset_names or benchmark.get_dataset_names()
        recordings = [read_recording(benchmark, name, tag) for name in names]
        return cls.fit_recordings(recordings, space=space, families=families, seed=seed)

    @classmethod
    def fit_recordings(
        cls,
        recordings: Sequence[Recording],
        *,
        space: ConfigurationSpace | None = None,
        families: Sequence[str] = tuple(FAMILIES),
        seed: int = 0,
    ) -> Self:
        """As `fit`, of recordings of one tag, one for each data set."""
        for family in families:
            if family not in FAMILIES:
                raise UnknownNameError("family of regression", family, FAMILIES)
        n_epochs = min(len(recording.table.epochs) for recording in recordings)
        space = space or space_of([config for recording in recordings for config in recording.table.configs])
        features = Features(space)
        models, recorded, rows = {}, {}, []
        for recording in recordings:
            runs, name = _runs(recording, n_epochs, features), recording.table.dataset_name
            models[name], comparison = _best_model(runs, name, families, seed)
            recorded[name] = _recorded(runs)
            rows.extend(comparison)
        return cls(recordings[0].table.tag, n_epochs, space, models, recorded, pd.DataFrame(rows))

    @property
    def dataset_names(self) -> list[str]:
        """The data sets that it knows."""
        return list(self._models)

    def family(self, dataset_name: str) -> str:
        """The family of regression that was chosen for a data set."""
        return self.model(dataset_name).family

    def recorded(self, dataset_name: str) -> Recorded:
        """What was recorded on a data set."""
        self.model(dataset_name)
        return self._recorded[dataset_name]

    def predict(self, dataset_name: str, configs: Iterable[Config]) -> FloatArray:
        """Values after each epoch, in units of the tag, float64, shape (n_configs, n_epochs).

        Raises:
            UnknownNameError: it does not know the data set.
            SpaceError: a choice has an unknown value, or a hyperparameter is missing.
        """
        return self._in_units(self.model(dataset_name).losses(self._features.encode(configs)))

    def predict_interval(
        self, dataset_name: str, configs: Iterable[Config], level: float = 0.9
    ) -> tuple[FloatArray, FloatArray]:
        """Values between which a training ends up with probability `level` at each epoch; shapes as `predict`.

        Raises:
            BudgetError: the level is not one that cross-validation can tell, 0.05 to 0.95.
        """
        if not LEVELS[0] <= level <= LEVELS[-1]:
            raise BudgetError(f"The level of an interval must be between {LEVELS[0]} and {LEVELS[-1]}, got {level}.")
        ends = self.model(dataset_name).interval(self._features.encode(configs), level)
        low, high = ends if is_loss(self.tag) else ends[::-1]
        return self._in_units(low), self._in_units(high)

    def predict_seconds(self, dataset_name: str, configs: Iterable[Config]) -> FloatArray:
        """Cumulative seconds after each epoch, float64, shape (n_configs, n_epochs), never falling."""
        return self.model(dataset_name).seconds(self._features.encode(configs))

    def model(self, dataset_name: str) -> CurveModel:
        """The model of a data set."""
        if dataset_name not in self._models:
            raise UnknownNameError("data set of the surrogate", dataset_name, self._models)
        return self._models[dataset_name]

    def save(self, folder: str | Path) -> Path:
        """Write one file of arrays and JSON into a folder, which is made if it is absent; the path is returned."""
        header = {
            "kind": _KIND,
            "format": _FORMAT,
            "tag": self.tag,
            "n_epochs": self.n_epochs,
            "space": self.space.to_serialized_dict(),
            "datasets": [
                {"name": name, "family": model.family, "recorded": asdict(self._recorded[name])}
                for name, model in self._models.items()
            ],
            "comparison": self.comparison.to_dict("records"),
        }
        arrays = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
        for number, model in enumerate(self._models.values()):
            arrays |= {f"{number}/{name}": array for name, array in model.arrays().items()}
        path = Path(folder) / FILE_NAME
        with replacing(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote. Never runs code that the file brings.

        Raises:
            DataError: the folder has no surrogate, or it is damaged, or of a newer format.
        """
        path = Path(folder) / FILE_NAME
        header, arrays = _read(path)
        try:
            models, recorded = {}, {}
            for number, item in enumerate(header["datasets"]):
                models[item["name"]] = CurveModel.from_arrays(item["family"], below(str(number), arrays))
                recorded[item["name"]] = Recorded(**item["recorded"])
            space = ConfigurationSpace.from_serialized_dict(header["space"])
            return cls(header["tag"], header["n_epochs"], space, models, recorded, pd.DataFrame(header["comparison"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The surrogate {path} is damaged: {error!r}.") from error

    def _in_units(self, losses: FloatArray) -> FloatArray:
        return losses if is_loss(self.tag) else -losses


def _runs(recording: Recording, n_epochs: int, features: Features) -> Runs:
    table = recording.table
    if len(table.configs) < MIN_RUNS:
        raise DataError(
            f"A surrogate learns from at least {MIN_RUNS} runs; {table.dataset_name!r} has {len(table.configs)}."
        )
    seconds = np.maximum(recording.seconds[:, :n_epochs], _SHORTEST_S)
    return Runs(features.encode(table.configs), table.losses[:, :n_epochs], seconds)


def _best_model(
    runs: Runs, dataset_name: str, families: Sequence[str], seed: int
) -> tuple[CurveModel, list[dict[str, Any]]]:
    """The model of the family with the smallest error, and the rows of the comparison."""
    found = {family: cross_validate(runs, family, n_folds=N_FOLDS, seed=seed) for family in families}
    chosen = min(found, key=lambda family: found[family].error)
    rows = [
        {
            "data set": dataset_name,
            "family": family,
            "epoch": epoch,
            **skill(runs.losses[:, epoch - 1], result.losses[:, epoch - 1]),
            "error": result.error,
            "chosen": family == chosen,
        }
        for family, result in found.items()
        for epoch in report_epochs(runs.losses.shape[1])
    ]
    return CurveModel.fit(runs, chosen, found[chosen].calibration, seed), rows


def _recorded(runs: Runs) -> Recorded:
    final = runs.losses[:, -1]
    return Recorded(float(final.min()), float(final.max()), float(runs.seconds[:, -1].mean()), len(runs))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file."""
    if not path.is_file():
        raise DataError(f"A surrogate is a folder with {FILE_NAME}; {str(path)!r} does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
            }
        header = json.loads(arrays.pop("header").tobytes().decode())
        kind, number = header["kind"], header["format"]
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise DataError(f"The surrogate {path} is damaged or something else: {error!r}.") from error
    if kind != _KIND or number != _FORMAT:
        raise DataError(f"{path} must be an {_KIND} of format {_FORMAT}, but is {kind!r} of format {number!r}.")
    return header, arrays
