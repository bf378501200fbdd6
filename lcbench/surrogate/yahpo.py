"""The `lcbench` surrogate of YAHPO Gym, run with onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace, Float, Integer

from autopytorch_lite.errors import DataError, MissingExtraError, SpaceError, UnknownNameError
from autopytorch_lite.space.activity import SpaceWalk
from autopytorch_lite.types import Config, FloatArray

_TASK = "OpenML_task_id"
_EPOCH = "epoch"
_TIME = "time"
_COLUMNS = (_EPOCH, "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
_OUTPUTS = (
    _TIME,
    "val_accuracy",
    "val_cross_entropy",
    "val_balanced_accuracy",
    "test_cross_entropy",
    "test_balanced_accuracy",
)
FILES = ("model.onnx", "config_space.json", "encoding.json")


class YahpoSurrogate:
    """A network that others fitted to LCBench: six metrics of OpenML tasks from seven hyperparameters and the epoch.

    Its data sets are OpenML task ids as text. Epoch 1 is the untrained network, so the last of the 52 is the 51st that
    trains. It knows nothing of its own uncertainty, and its best predictions lie above the best recorded results.

    Args:
        folder: with model.onnx, config_space.json and encoding.json of the scenario `lcbench` of YAHPO's data.
        tag: one of "val_accuracy" (percent), "val_cross_entropy", "val_balanced_accuracy", "test_cross_entropy",
            "test_balanced_accuracy".

    Attributes:
        tag: what is predicted.
        n_epochs: 52.
        space: of the seven hyperparameters.
        dataset_names: the tasks.

    Raises:
        DataError: the folder lacks a file, or a file is something else.
        UnknownNameError: there is no such tag.
        MissingExtraError: onnxruntime is not installed.

    Source: Pfisterer, Schneider, Moosbauer, Binder, Bischl, YAHPO Gym, AutoML Conference 2022; the order of inputs and
        outputs is that of its data, github.com/slds-lmu/yahpo_data, `lcbench`.
    """

    def __init__(self, folder: str | Path, tag: str = "val_accuracy"):
        if tag not in _OUTPUTS[1:]:
            raise UnknownNameError("tag of YAHPO's surrogate", tag, _OUTPUTS[1:])
        self.tag = tag
        content = _description(Path(folder))
        self._codes: dict[str, int] = content["encoding"][_TASK]
        hyperparameters = {item["name"]: item for item in content["space"]["hyperparameters"]}
        self.dataset_names = [str(name) for name in hyperparameters[_TASK]["choices"]]
        self.n_epochs = int(hyperparameters[_EPOCH]["upper"])
        self.space = ConfigurationSpace(name="lcbench")
        self.space.add([_hyperparameter(hyperparameters[name]) for name in _COLUMNS[1:]])
        self._walk = SpaceWalk(self.space)
        self._session = _session(Path(folder) / FILES[0])

    def predict(self, dataset_name: str, configs: Iterable[Config]) -> FloatArray:
        """Values after each epoch, in units of the tag, float64, shape (n_configs, n_epochs).

        Raises:
            UnknownNameError: it does not know the data set.
            SpaceError: a configuration is no point of the space.
        """
        return self._outputs(dataset_name, list(configs), self.tag)

    def predict_seconds(self, dataset_name: str, configs: Iterable[Config]) -> FloatArray:
        """Cumulative seconds after each epoch, float64, shape (n_configs, n_epochs), never falling.

        Where the network's times fall, earlier ones are lowered to later ones.
        """
        seconds = self._outputs(dataset_name, list(configs), _TIME)
        return np.maximum(np.minimum.accumulate(seconds[:, ::-1], axis=1)[:, ::-1], 0.0)

    def _outputs(self, dataset_name: str, configs: Sequence[Config], name: str) -> FloatArray:
        if dataset_name not in self.dataset_names:
            raise UnknownNameError("data set of the surrogate", dataset_name, self.dataset_names)
        for config in configs:
            self._walk.check({key: value for key, value in config.items() if key in self.space})
        epochs = np.arange(1, self.n_epochs + 1, dtype=np.float32)
        rows = np.array([[config[key] for key in _COLUMNS[1:]] for config in configs], dtype=np.float32)
        numbers = np.column_stack([np.tile(epochs, len(rows)), np.repeat(rows, self.n_epochs, axis=0)])
        task = np.full((len(numbers), 1), self._codes[dataset_name], dtype=np.int32)
        (outputs,) = self._session.run(["output"], {"x_cat": task, "x_cont": numbers})
        return outputs[:, _OUTPUTS.index(name)].astype(float).reshape(len(rows), self.n_epochs)


def is_yahpo(folder: Path) -> bool:
    """Whether a folder holds YAHPO's files."""
    return all((folder / name).is_file() for name in FILES)


def _description(folder: Path) -> dict[str, Any]:
    if not is_yahpo(folder):
        missing = next(name for name in FILES if not (folder / name).is_file())
        raise DataError(f"YAHPO's surrogate is a folder with {', '.join(FILES)}; {str(folder)!r} lacks {missing}.")
    try:
        return {
            name: json.loads((folder / file).read_text())
            for name, file in zip(("space", "encoding"), FILES[1:], strict=True)
        }
    except ValueError as error:
        raise DataError(f"YAHPO's surrogate in {str(folder)!r} is damaged: {error}") from error


def _hyperparameter(item: dict[str, Any]) -> Any:
    bounds = item["lower"], item["upper"]
    if item["type"] == "uniform_int":
        return Integer(item["name"], bounds, log=item["log"])
    if item["type"] == "uniform_float":
        return Float(item["name"], bounds, log=item["log"])
    raise SpaceError(f"YAHPO's hyperparameters are numbers, but {item['name']!r} is {item['type']!r}.")


def _session(path: Path) -> Any:
    """A session of one thread."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx", "YAHPO's surrogate") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
