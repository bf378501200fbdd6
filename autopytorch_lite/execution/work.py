"""How much there is to do in a training: counts of the operations that take its time, known before it starts.

Each family of learners has a few kinds of operations. `costs` knows how long one of each takes, so that seconds are
a sum of products with positive factors, which stays sensible far outside of the sizes that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from autopytorch_lite.data.dataset import Dataset
from autopytorch_lite.networks.embeddings import embedding_dim
from autopytorch_lite.pipeline.components import encoding, numeric_embedding
from autopytorch_lite.pipeline.components.schedules import CosineLog
from autopytorch_lite.pipeline.graph import choice_name, local_values
from autopytorch_lite.pipeline.rounds import curve_epochs, rounds_at
from autopytorch_lite.training.loop import MAX_SCORED_TRAIN_ROWS, MIN_SCORED_TRAIN_ROWS
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo

LEARNER = choice_name("learner")
NEURAL = "neural"
OTHER = "other"
"""The family of learners and backbones that nothing is known of, such as those that a user has registered."""

Values: TypeAlias = Mapping[str, ConfigValue]
Amounts: TypeAlias = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """What is trained on.

    Attributes:
        info: facts about the data set.
        n_train: rows that a fold learns from, mean over folds.
        n_val: rows that a fold is scored on, mean over folds.
        n_folds: number of folds; each is a training.
        max_budget: epochs of a full training.
    """

    info: DatasetInfo
    n_train: int
    n_val: int
    n_folds: int
    max_budget: int

    @classmethod
    def of(cls, dataset: Dataset, max_budget: int) -> Sizes:
        """The sizes of a data set."""
        n_folds = len(dataset.folds)
        n_train, n_val = (
            sum(len(idx) for idx in parts) // n_folds
            for parts in zip(*((fold.train_idx, fold.val_idx) for fold in dataset.folds), strict=True)
        )
        return cls(dataset.info, n_train, n_val, n_folds, max_budget)

    @property
    def n_columns(self) -> int:
        """Columns as trees see them."""
        return self.info.n_numeric + self.info.n_categorical

    @property
    def n_models(self) -> int:
        """Models, or trees of a round: one for two classes, else one for each class or target."""
        return 1 if self.info.task.is_classification and self.info.n_outputs == 2 else self.info.n_outputs

    @property
    def one_hot_width(self) -> int:
        """Columns of the one-hot code of all categories."""
        fair_share = encoding.MAX_WIDTH // max(self.info.n_categorical, 1)
        most = min(max(fair_share, encoding.MIN_LEVELS), encoding.MAX_LEVELS)
        return sum(min(n_levels + 1, most) for n_levels in self.info.cardinalities)


@dataclass(frozen=True)
class Work:
    """What one evaluation has to do.

    Attributes:
        family: learners whose operations take the same time; networks are told apart by backbone.
        amounts: operations of each kind, all folds together.
    """

    family: str
    amounts: Amounts


def work(config: Config, sizes: Sizes, budget: int, resume_from: int | None = None) -> Work:
    """What training a configuration up to a budget takes.

    Args:
        config: full hyperparameter name -> value.
        sizes: what is trained on.
        budget: epochs in total.
        resume_from: epochs that it has already; None: it begins anew.
    """
    family, count = _family(config)
    amounts = count(config, sizes, budget, resume_from or 0)
    return Work(family, {kind: sizes.n_folds * amount for kind, amount in amounts.items()})


def family_of(config: Config) -> str:
    """The family of a configuration's learner; networks are told apart by backbone."""
    return _family(config)[0]


def _family(config: Config) -> tuple[str, _Count]:
    learner = str(config.get(LEARNER))
    if learner == NEURAL:
        backbone = str(config[choice_name("backbone")])
        return (f"{NEURAL}:{backbone}", _network) if backbone in _BACKBONES else (OTHER, _other)
    return (learner, _TRADITIONAL[learner]) if learner in _TRADITIONAL else (OTHER, _other)


_Count: TypeAlias = Callable[[Config, Sizes, int, int], Amounts]
"""(configuration, sizes, budget, epochs it has already) -> operations of one fold."""


def _other(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    return {"fit": 1, "row epochs": (budget - start) * sizes.n_train * sizes.n_columns}


# Trees ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rounds:
    """Rounds of a training: those it has, those it gets, and the sum over the points where its curve is read."""

    old: int
    new: int
    read: int

    @classmethod
    def of(cls, n_rounds: int, sizes: Sizes, budget: int, start: int = 0) -> _Rounds:
        old = rounds_at(start, sizes.max_budget, n_rounds) if start else 0
        total = rounds_at(budget, sizes.max_budget, n_rounds)
        points = {rounds_at(epoch, sizes.max_budget, n_rounds) for epoch in curve_epochs(budget, sizes.max_budget)}
        return cls(old, total - old, sum(points))

    @property
    def total(self) -> int:
        return self.old + self.new


def _boosted(sizes: Sizes, rounds: _Rounds, *, leaves: float, share: float, depth: float) -> Amounts:
    """Trees on binned columns, all of them new at every budget.

    Args:
        sizes: what is trained on.
        rounds: trees, of each model.
        leaves: of a tree.
        share: of the columns, from which a tree or split is chosen.
        depth: of a tree.
    """
    trees, cells = rounds.new * sizes.n_models, sizes.n_train * sizes.n_columns
    leaves = min(leaves, sizes.n_train / 2)
    return {
        "fit": 1,
        "cells": cells,
        "tree cells": trees * cells * share * depth,
        "tree rows": trees * sizes.n_train * depth,
        "tree bins": trees * leaves * sizes.n_columns * share,
        "trees": trees,
        "read rows": rounds.read * sizes.n_models * sizes.n_val * depth,
        "stored leaves": rounds.total * sizes.n_models * leaves,
    }


def _leafwise(name: str, n_rounds: str, leaves: str, share: str) -> _Count:
    """Trees that grow leaf by leaf; the arguments are names of the learner and its hyperparameters."""

    def count(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
        values = _values(config, name)
        rounds = _Rounds.of(int(values[n_rounds]), sizes, budget)
        n_leaves = float(values[leaves])
        depth = math.log2(n_leaves) + 1
        return _boosted(sizes, rounds, leaves=n_leaves, share=float(values[share]), depth=depth)

    return count


def _xgboost(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    values = _values(config, "xgboost")
    share, depth = float(values["colsample_bytree"]), float(values["max_depth"])
    rounds = _Rounds.of(int(values["n_estimators"]), sizes, budget)
    return _boosted(sizes, rounds, leaves=2**depth, share=share, depth=depth)


def _catboost(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    values = _values(config, "catboost")
    depth = float(values["depth"])
    rounds = _Rounds.of(int(values["iterations"]), sizes, budget)
    amounts = _boosted(sizes, rounds, leaves=2**depth, share=float(values["rsm"]), depth=depth)
    largest_one_hot = float(values.get("one_hot_max_size", math.inf))  # absent where there are no categories
    n_coded = sum(n_levels > largest_one_hot for n_levels in sizes.info.cardinalities)
    return amounts | {"statistics": rounds.new * sizes.n_models * sizes.n_train * n_coded}


def _forest(name: str) -> _Count:
    def count(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
        values = _values(config, name)
        n_models = 1 if sizes.info.task.is_classification else sizes.n_models
        rounds = _Rounds.of(int(values["n_estimators"]), sizes, budget, start)
        trees, total = n_models * rounds.new, n_models * rounds.total
        depth = math.log2(max(sizes.n_train / float(values["min_samples_leaf"]), 2))
        tried = max(1.0, float(values["max_features"]) * sizes.n_columns)
        has_statistics = values.get("encoding") == "target"
        return {
            "fit": 1,
            "tree cells": trees * sizes.n_train * depth * tried,
            "tree rows": trees * sizes.n_train * depth,
            "tree classes": trees * sizes.n_train * sizes.info.n_outputs,
            "trees": trees,
            "read rows": total * sizes.n_val * depth,
            "stored leaves": total * sizes.n_train / float(values["min_samples_leaf"]),
            "statistics": sizes.n_train * sizes.info.n_categorical * sizes.n_models * has_statistics,
        }

    return count


# Learners of numbers --------------------------------------------------------------------------------


def _linear(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    width = _dense_width(_values(config, "linear"), sizes)
    solves = sizes.info.task.is_classification and not start
    return {
        "fit": 1,
        "cells": (sizes.n_train + sizes.n_val) * width,
        "iterations": sizes.n_train * width * sizes.n_models * solves,
        "squares": 0.0 if solves else sizes.n_train * width**2,
    }


def _support_vectors(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    width = _dense_width(_values(config, "support_vectors"), sizes)
    is_new = not start
    return {
        "fit": 1,
        "cells": (sizes.n_train + sizes.n_val) * width,
        "kernel cells": is_new * sizes.n_train**2 * width,
        "kernel classes": is_new * sizes.n_train**2 * sizes.n_models,
        "read rows": sizes.n_train * sizes.n_val * width,
    }


def _neighbors(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    width = _dense_width(_values(config, "k_nearest_neighbors"), sizes)
    return {
        "fit": 1,
        "cells": (sizes.n_train + sizes.n_val) * width,
        "read rows": sizes.n_train * sizes.n_val * width,
    }


def _dense_width(values: Values, sizes: Sizes) -> int:
    """Columns after encoding."""
    is_target = values.get("encoding") == "target"
    return sizes.info.n_numeric + (sizes.info.n_categorical if is_target else sizes.one_hot_width)


def _values(config: Config, learner: str) -> Values:
    return local_values(config, "learner", learner)


_TRADITIONAL: dict[str, _Count] = {
    "hist_gradient_boosting": _leafwise("hist_gradient_boosting", "max_iter", "max_leaf_nodes", "max_features"),
    "lightgbm": _leafwise("lightgbm", "n_estimators", "num_leaves", "colsample_bytree"),
    "xgboost": _xgboost,
    "catboost": _catboost,
    "random_forest": _forest("random_forest"),
    "extra_trees": _forest("extra_trees"),
    "linear": _linear,
    "support_vectors": _support_vectors,
    "k_nearest_neighbors": _neighbors,
}


# Networks -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layers:
    """Sizes of a part of a network.

    Attributes:
        products: multiplications of a row.
        weights: numbers that are learned.
        units: outputs of layers for a row.
        depth: layers.
    """

    products: float
    weights: float
    units: float
    depth: float

    def __add__(self, other: _Layers) -> _Layers:
        return _Layers(
            self.products + other.products,
            self.weights + other.weights,
            self.units + other.units,
            self.depth + other.depth,
        )


def _network(config: Config, sizes: Sizes, budget: int, start: int) -> Amounts:
    embedding, width = _embedding(config, sizes)
    backbone = str(config[choice_name("backbone")])
    values = local_values(config, "backbone", backbone)
    layers = embedding + _BACKBONES[backbone](values, width, sizes.info.n_outputs)
    batch = min(int(config["batching:minibatch:batch_size"]), sizes.n_train)
    epochs = budget if config[choice_name("lr_schedule")] == CosineLog.name else budget - start
    steps = epochs * max(sizes.n_train // batch, 1)
    n_scored = min(sizes.n_train, MAX_SCORED_TRAIN_ROWS, max(MIN_SCORED_TRAIN_ROWS, sizes.n_train // 10))
    scored = epochs * (sizes.n_val + n_scored)
    return {
        "fit": 1,
        "epochs": epochs,
        "cells": (sizes.n_train + sizes.n_val) * width,
        "steps": steps,
        "step layers": steps * layers.depth,
        "step products": steps * batch * layers.products,
        "step units": steps * batch * layers.units,
        "step weights": steps * layers.weights,
        "scored products": scored * layers.products,
        "scored units": scored * layers.units,
    }


def _embedding(config: Config, sizes: Sizes) -> tuple[_Layers, int]:
    """What makes numbers and categories the backbone's input, and the width of that."""
    numbers, width = _numbers(config, sizes)
    if config.get(choice_name("embedding")) == "learned":
        values = local_values(config, "embedding", "learned")
        least = int(values["min_unique_values_for_embedding"])
        embedded = [
            (n_levels, embedding_dim(n_levels, float(values[f"dimension_reduction_{j}"])))
            for j, n_levels in enumerate(sizes.info.cardinalities)
            if n_levels >= least
        ]
        n_weights, n_units = sum(n * dim for n, dim in embedded), sum(dim for _, dim in embedded)
        numbers += _Layers(0, n_weights, n_units, len(embedded))
        left = sum(n_levels + 1 for n_levels in sizes.info.cardinalities if n_levels < least)
        return numbers, width + n_units + left
    is_one_hot = config.get(choice_name("encoding")) == "one_hot"
    return numbers, width + (sizes.one_hot_width if is_one_hot else sizes.info.n_categorical)


def _numbers(config: Config, sizes: Sizes) -> tuple[_Layers, int]:
    n, kind = sizes.info.n_numeric, str(config.get(choice_name("numeric_embedding"), "none"))
    if kind == "none" or not n:
        return _Layers(0, 0, n, 0), n
    values = local_values(config, "numeric_embedding", kind)
    dim = max(1, min(int(values["dim"]), numeric_embedding.MAX_WIDTH // n))
    inner = int(values["n_bins"]) if "n_bins" in values else 2 * int(values["n_frequencies"])
    return _Layers(n * inner * dim, n * inner * dim, n * (inner + dim), 2), n * dim


def _plain(width: int, hidden: list[float], n_outputs: int) -> _Layers:
    """Linear layers one after another."""
    widths = [width, *hidden, n_outputs]
    weights = sum(a * b for a, b in pairwise(widths))
    return _Layers(weights, weights, sum(widths), len(hidden) + 1)


def _tabm(values: Values, width: int, n_outputs: int) -> _Layers:
    one = _plain(width, [float(values["width"])] * int(values["n_layers"]), n_outputs)
    k = int(values["n_members"])
    return _Layers(k * one.products, one.weights + k * width, k * one.units, one.depth)


def _realmlp(values: Values, width: int, n_outputs: int) -> _Layers:
    return _plain(width, [float(values["width"])] * int(values["n_layers"]), n_outputs)


def _shaped_mlp(values: Values, width: int, n_outputs: int) -> _Layers:
    n_hidden = int(values["num_layers"]) - 1
    return _plain(width, _hidden(values, n_hidden, width, n_outputs), n_outputs)


def _shaped_resnet(values: Values, width: int, n_outputs: int) -> _Layers:
    """Each block has two layers; shapes say the widths of the groups."""
    n_groups, n_blocks = int(values["num_groups"]), int(values["blocks_per_group"])
    groups = _hidden(values, n_groups, width, n_outputs)
    n_branches = 2 if values.get("use_shake_shake") else 1
    one = _plain(width, [units for units in groups for _ in range(2 * n_blocks * n_branches)], n_outputs)
    return _Layers(one.products, one.weights, 2 * one.units, 2 * one.depth)  # with normalisation


def _hidden(values: Values, n: int, width: int, n_outputs: int) -> list[float]:
    """Widths of hidden layers, those of shapes that narrow taken as a funnel."""
    peak = float(max(width, int(values["max_units"])))
    if values.get("shape") == "brick":
        return [peak] * n
    return [peak - i * max(0.0, peak - n_outputs) / max(n, 1) for i in range(n)]


_BACKBONES: dict[str, Callable[[Values, int, int], _Layers]] = {
    "tabm": _tabm,
    "realmlp": _realmlp,
    "shaped_mlp": _shaped_mlp,
    "shaped_resnet": _shaped_resnet,
}

FAMILIES = (*_TRADITIONAL, *(f"{NEURAL}:{backbone}" for backbone in _BACKBONES))
"""The families whose work is known."""
