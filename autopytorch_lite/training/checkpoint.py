"""The state of a training on disk: tensors as safetensors, the rest as JSON; reading it never runs code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.training.crossfit import CrossFit

TENSORS_FILE = "checkpoint.safetensors"
VALUES_FILE = "checkpoint.json"
FORMAT = 1

Tensors: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingState:
    """All that continuing needs beside the training's own arguments.

    Random states are not among it: every epoch seeds its random numbers from the seed of the training and its own
    number.

    Attributes:
        network: weights and buffers after the last epoch.
        best: weights and buffers of the best epoch, or None if they are not kept.
        optimizer: the optimiser's `state_dict`.
        schedule: the schedule's `state_dict`; plain data.
        curves: one number per epoch and curve.
        average: averaged weights and buffers, or None if there is no average.
        crossfit: predictions of the validation rows so far, or None if no epoch is chosen.
    """

    network: Tensors
    best: Tensors | None
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    curves: dict[str, list[float]]
    average: Tensors | None = None
    crossfit: CrossFit | None = None

    def save(self, folder: Path) -> None:
        """Write the two files into `folder`, which is made if absent; the JSON comes last."""
        optimizer_tensors, optimizer_values = _split_optimizer(self.optimizer)
        groups = {
            "network": self.network,
            "best": self.best or {},
            "average": self.average or {},
            "optimizer": optimizer_tensors,
            "crossfit": _crossfit_tensors(self.crossfit),
        }
        tensors = {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
        values = {
            "format": FORMAT,
            "optimizer": optimizer_values,
            "schedule": self.schedule,
            "curves": self.curves,
            "has_best": self.best is not None,
            "crossfit_best": None if self.crossfit is None else self.crossfit.best,
        }
        folder.mkdir(parents=True, exist_ok=True)
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, folder / TENSORS_FILE)
        (folder / VALUES_FILE).write_text(json.dumps(values), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Inverse of `save`; tensors come on the CPU.

        Raises:
            HistoryError: a file is missing, damaged, or of another format.
        """
        try:
            tensors = safetensors.torch.load_file(folder / TENSORS_FILE)
            values = json.loads((folder / VALUES_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError) as error:
            raise HistoryError(f"No readable training checkpoint in {folder}: {error}") from error
        if values.get("format") != FORMAT:
            raise HistoryError(f"Checkpoint {folder} has format {values.get('format')!r}; this version reads {FORMAT}.")
        return cls(
            network=_with_prefix(tensors, "network"),
            best=_with_prefix(tensors, "best") if values["has_best"] else None,
            optimizer=_join_optimizer(_with_prefix(tensors, "optimizer"), values["optimizer"]),
            schedule=values["schedule"],
            curves=values["curves"],
            average=_with_prefix(tensors, "average") or None,
            crossfit=_crossfit(_with_prefix(tensors, "crossfit"), values.get("crossfit_best")),
        )


def _crossfit_tensors(crossfit: CrossFit | None) -> Tensors:
    if crossfit is None or crossfit.predictions is None:
        return {}
    return {"predictions": torch.from_numpy(crossfit.predictions)}


def _crossfit(tensors: Tensors, best: list[float] | None) -> CrossFit | None:
    if best is None:
        return None
    return CrossFit(best, tensors["predictions"].numpy() if tensors else None)


def _with_prefix(tensors: Tensors, group: str) -> Tensors:
    """Copies, because the file's memory may be mapped and unaligned."""
    prefix = f"{group}/"
    return {name.removeprefix(prefix): value.clone() for name, value in tensors.items() if name.startswith(prefix)}


def _split_optimizer(state: dict[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    """Tensors by "parameter/name", and what remains as plain data."""
    tensors: Tensors = {}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, named in state["state"].items():
        tensors |= {f"{parameter}/{name}": value for name, value in named.items() if isinstance(value, Tensor)}
        scalars[str(parameter)] = {name: value for name, value in named.items() if not isinstance(value, Tensor)}
    return tensors, {"state": scalars, "param_groups": state["param_groups"]}


def _join_optimizer(tensors: Tensors, values: dict[str, Any]) -> dict[str, Any]:
    state = {int(parameter): dict(named) for parameter, named in values["state"].items()}
    for key, tensor in tensors.items():
        parameter, name = key.split("/")
        state[int(parameter)][name] = tensor
    return {"state": state, "param_groups": values["param_groups"]}
