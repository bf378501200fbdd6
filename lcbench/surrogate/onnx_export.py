"""A surrogate of one data set as an ONNX graph: hyperparameters in, curves with their 90 % intervals and times out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from autopytorch_lite.errors import DataError, MissingExtraError
from autopytorch_lite.history.whole_files import replacing
from autopytorch_lite.space.domains import ChoiceDomain, OrdinalDomain
from autopytorch_lite.types import Array, FloatArray
from lcbench.benchmark import is_loss
from lcbench.spaces import Axis, Features, Speed
from lcbench.surrogate.model import CurveModel
from lcbench.surrogate.predictors import GaussianProcesses, Networks, Predictor, Trees
from lcbench.surrogate.surrogate import Surrogate

INPUT = "hyperparameters"
OUTPUTS = ("value", "low", "high", "seconds")
LEVEL = 0.9
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 9

Tensor: TypeAlias = str
"""A tensor of the graph, by name."""


class _Graph:
    """Collects operations; arrays given as operands become constants."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("onnx", "onnx", "Exporting a surrogate") from error
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operation: str, *operands: Tensor | Array, domain: str = "", **attributes: Any) -> Tensor:
        """Add an operation with one result, and return its name."""
        names = [operand if isinstance(operand, str) else self._constant(operand) for operand in operands]
        result = attributes.pop("result", f"t{len(self.nodes)}")
        self.nodes.append(self.onnx.helper.make_node(operation, names, [result], domain=domain, **attributes))
        return result

    def _constant(self, array: Array) -> Tensor:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def model(self, n_columns: int, n_epochs: int, facts: dict[str, str]) -> Any:
        """The finished model, checked."""
        make, double = self.onnx.helper.make_tensor_value_info, self.onnx.TensorProto.DOUBLE
        inputs = [make(INPUT, double, ["n", n_columns])]
        outputs = [make(name, double, ["n", n_epochs]) for name in OUTPUTS]
        graph = self.onnx.helper.make_graph(self.nodes, "surrogate", inputs, outputs, self.constants)
        opsets = [self.onnx.helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        model = self.onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        self.onnx.helper.set_model_props(model, facts)
        self.onnx.checker.check_model(model)
        return model


def export_onnx(surrogate: Surrogate, dataset_name: str, path: str | Path) -> Path:
    """Write the model of one data set as an ONNX file.

    Its input "hyperparameters" is float64, shape (n, n_dims): one column for each name in the file's metadata "names",
    numbers as they are, a choice or an ordinal as its index in the metadata "choices", NaN where inactive. Its outputs
    are float64, shape (n, n_epochs): "value" in units of the tag, "low" and "high" of the 90 % interval, "seconds".

    Args:
        surrogate: what to export.
        dataset_name: which of its models.
        path: the file to write; it ends in .onnx.

    Raises:
        UnknownNameError: the surrogate does not know the data set.
        DataError: the path ends otherwise.
        MissingExtraError: onnx is not installed.
    """
    target = Path(path)
    if target.suffix != ".onnx":
        raise DataError(f"The file must end in .onnx, got {str(path)!r}.")
    model, graph, features = surrogate.model(dataset_name), _Graph(), Features(surrogate.space)
    mean, deviation = _predicted(model.predictor, graph, _feature_columns(features, graph))
    _curves(graph, model, mean, deviation, negated=not is_loss(surrogate.tag))
    _seconds(graph, model, mean)
    facts = {"tag": surrogate.tag, "dataset": dataset_name, "names": json.dumps(features.codec.names)}
    facts["choices"] = json.dumps(_choices(features))
    with replacing(target) as file:
        file.write(graph.model(features.codec.n_dims, surrogate.n_epochs, facts).SerializeToString())
    return target


def _choices(features: Features) -> dict[str, list[Any]]:
    return {
        name: list(domain.choices)
        for name, domain in features.domains.items()
        if isinstance(domain, ChoiceDomain | OrdinalDomain)
    }


def _feature_columns(features: Features, graph: _Graph) -> Tensor:
    """`Features.encode` as operations: every column is a position, a choice, or whether a number is active."""
    sources: list[int] = []
    kinds: list[str] = []
    levels: list[int] = []
    for dim, (n_choices, is_conditional) in enumerate(
        zip(features.codec.n_choices.tolist(), features.is_conditional.tolist(), strict=True)
    ):
        kinds += ["choice"] * n_choices or ["position", *["active"] * is_conditional]
        n_columns = n_choices or 1 + is_conditional
        sources += [dim] * n_columns
        levels += range(n_columns)
    raw = graph("Gather", INPUT, np.array(sources, dtype=np.int64), axis=1)
    position = _positions(graph, raw, [features.axes[dim] for dim in sources])
    double = graph.onnx.TensorProto.DOUBLE
    active = graph("Cast", graph("Not", graph("IsNaN", raw)), to=double)
    chosen = graph("Cast", graph("Equal", raw, np.array(levels, dtype=float)), to=double)
    kind = np.array(kinds)
    columns = graph("Where", kind == "position", position, graph("Where", kind == "choice", chosen, active))
    speeds = [_speed_column(graph, speed, features.axes) for speed in features.speeds]
    return graph("Concat", columns, *speeds, axis=1)


def _positions(graph: _Graph, raw: Tensor, axes: Sequence[Axis]) -> Tensor:
    """Positions of numbers on their axes, 0.5 where they are missing."""
    inside = _within(graph, raw, axes)
    along = graph("Where", np.array([axis.log for axis in axes]), _logarithm(graph, inside), inside)
    first, per_unit = np.array([(axis.first, axis.per_unit) for axis in axes]).T
    position = graph("Mul", graph("Sub", along, first), per_unit)
    return graph("Where", graph("IsNaN", raw), np.array(0.5), position)


def _speed_column(graph: _Graph, speed: Speed, axes: Sequence[Axis]) -> Tensor:
    """`Speed`, in [0, 1], shape (n, 1)."""

    def number(dim: int) -> Tensor:
        return _within(graph, graph("Gather", INPUT, np.array([dim]), axis=1), [axes[dim]])

    rate = number(speed.learning_rate)
    logarithm = _logarithm(graph, rate)
    if speed.batch_size is not None:
        logarithm = graph("Sub", logarithm, _logarithm(graph, number(speed.batch_size)))
    if speed.momentum is not None:
        momentum = number(speed.momentum)
        rest = graph("Where", graph("IsNaN", momentum), np.array(1.0), graph("Sub", np.array(1.0), momentum))
        logarithm = graph("Sub", logarithm, _logarithm(graph, rest))
    scaled = graph("Div", graph("Sub", logarithm, np.array(speed.low)), np.array(speed.high - speed.low))
    return graph("Where", graph("IsNaN", logarithm), np.array(0.5), scaled)


def _within(graph: _Graph, raw: Tensor, axes: Sequence[Axis]) -> Tensor:
    """Numbers moved into their ranges; what is missing stays so."""
    low, high = np.array([(axis.low, axis.high) for axis in axes]).T
    inside = graph("Min", graph("Max", raw, low), high)
    return graph("Where", graph("IsNaN", raw), np.array(np.nan), inside)


def _logarithm(graph: _Graph, numbers: Tensor) -> Tensor:
    """Logarithms; where no number is positive nobody looks at them."""
    positive = graph("Max", numbers, np.array(np.finfo(float).tiny))
    return graph("Where", graph("IsNaN", numbers), np.array(np.nan), graph("Log", positive))


@singledispatch
def _predicted(predictor: Predictor, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the weights."""
    raise TypeError(f"There is no graph for {type(predictor).__name__}.")


@_predicted.register
def _(predictor: Trees, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    n_trees = predictor.roots.shape[1]
    single = graph("Cast", x, to=graph.onnx.TensorProto.FLOAT)
    total, squares = (
        graph("Cast", _tree_sums(predictor, graph, single, values), to=graph.onnx.TensorProto.DOUBLE)
        for values in (predictor.value, predictor.value**2)
    )
    mean = graph("Add", graph("Mul", total, predictor.scale), predictor.base)
    of_trees = graph("Mul", total, np.array(1 / n_trees))
    variance = graph("Sub", graph("Mul", squares, np.array(1 / n_trees)), graph("Mul", of_trees, of_trees))
    deviation = graph("Sqrt", graph("Max", variance, np.array(0.0)))
    return mean, graph("Mul", deviation, predictor.spread)


def _tree_sums(trees: Trees, graph: _Graph, x: Tensor, values: FloatArray) -> Tensor:
    """Sum of leaf values over the trees of each weight."""
    starts = trees.roots.ravel()
    tree_ids = np.searchsorted(starts, np.arange(len(trees.feature)), side="right") - 1
    is_leaf = trees.feature < 0
    leaves = np.flatnonzero(is_leaf)
    node_ids = np.arange(len(trees.feature)) - starts[tree_ids]
    return graph(
        "TreeEnsembleRegressor",
        x,
        domain="ai.onnx.ml",
        n_targets=len(trees.roots),
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_featureids=np.maximum(trees.feature, 0).tolist(),
        nodes_values=_rounded_down(trees.threshold).tolist(),
        nodes_modes=np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_truenodeids=np.where(is_leaf, 0, trees.left - starts[tree_ids]).tolist(),
        nodes_falsenodeids=np.where(is_leaf, 0, trees.right - starts[tree_ids]).tolist(),
        target_treeids=tree_ids[leaves].tolist(),
        target_nodeids=node_ids[leaves].tolist(),
        target_ids=(tree_ids[leaves] // trees.roots.shape[1]).tolist(),
        target_weights=values[leaves].tolist(),
    )


def _rounded_down(thresholds: FloatArray) -> FloatArray:
    """In single precision; a column of single precision is at most the result where it is at most the threshold."""
    single = thresholds.astype(np.float32)
    return np.where(single > thresholds, np.nextafter(single, np.float32(-np.inf)), single)


@_predicted.register
def _(predictor: Networks, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    hidden = graph("Tanh", graph("Add", graph("MatMul", x, predictor.first), predictor.first_bias))
    hidden = graph("Tanh", graph("Add", graph("MatMul", hidden, predictor.second), predictor.second_bias))
    members = graph("Add", graph("MatMul", hidden, predictor.last), predictor.last_bias)
    first_axis = np.array([0])
    mean = graph("ReduceMean", members, first_axis, keepdims=0)
    difference = graph("Sub", members, mean)
    variance = graph("ReduceMean", graph("Mul", difference, difference), first_axis, keepdims=0)
    return mean, graph("Sqrt", variance)


@_predicted.register
def _(predictor: GaussianProcesses, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    parts = [_process(predictor, k, graph, x) for k in range(len(predictor.lengths))]
    means, deviations = zip(*parts, strict=True)
    return graph("Concat", *means, axis=1), graph("Concat", *deviations, axis=1)


def _process(process: GaussianProcesses, k: int, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of one weight, shape (n, 1) each."""
    rows, last_axis = process.x / process.lengths[k], np.array([1])
    scaled = graph("Div", x, process.lengths[k])
    own = graph("ReduceSum", graph("Mul", scaled, scaled), last_axis, keepdims=1)
    products = graph("Mul", graph("MatMul", scaled, rows.T), np.array(2.0))
    squared = graph("Sub", graph("Add", own, (rows**2).sum(axis=1)), products)
    fivefold = graph("Mul", graph("Max", squared, np.array(0.0)), np.array(5.0))
    distance = graph("Sqrt", fivefold)
    polynomial = graph("Add", graph("Add", distance, np.array(1.0)), graph("Div", fivefold, np.array(3.0)))
    correlation = graph("Mul", polynomial, graph("Exp", graph("Neg", distance)))
    covariance = graph("Mul", correlation, process.variance[k])
    mean = graph("MatMul", covariance, process.coefficients[k][:, None])
    some = graph("Gather", covariance, np.arange(process.precision.shape[1]), axis=1)
    explained = graph("Mul", graph("MatMul", some, process.precision[k]), some)
    variance = graph("Sub", process.variance[k], graph("ReduceSum", explained, last_axis, keepdims=1))
    return mean, graph("Sqrt", graph("Max", variance, np.array(0.0)))


def _curves(graph: _Graph, model: CurveModel, mean: Tensor, deviation: Tensor, *, negated: bool) -> None:
    """The outputs "value", "low" and "high"."""
    losses, calibration = model.curve_space.losses, model.calibration
    ours = np.arange(model.curve_space.n_loss_weights)
    scores = graph("Add", graph("MatMul", graph("Gather", mean, ours, axis=1), losses.components), losses.mean)
    deviation = graph("Gather", deviation, ours, axis=1)
    variance = graph("MatMul", graph("Mul", deviation, deviation), losses.components**2)
    deviation = graph("Sqrt", graph("Add", variance, calibration.noise**2))
    half = graph("Mul", deviation, calibration.half_width(LEVEL, np.zeros_like(calibration.noise)) / calibration.noise)
    ends = graph("Sub", scores, half), graph("Add", scores, half)
    sign = np.array(-1.0 if negated else 1.0)
    for name, places in zip(OUTPUTS[:3], (scores, *(ends[::-1] if negated else ends)), strict=True):
        graph("Mul", _interpolated(graph, places, model), sign, result=name)


def _interpolated(graph: _Graph, scores: Tensor, model: CurveModel) -> Tensor:
    """`NormalScale.to_values`: the first knot, and what each segment below the score adds."""
    scale = model.curve_space.scale
    lengths = np.diff(scale.scores)
    beyond = graph("Sub", graph("Unsqueeze", scores, np.array([2])), scale.scores[:-1])
    within = graph("Min", graph("Max", beyond, np.array(0.0)), lengths)
    added = graph("MatMul", within, (np.diff(scale.values) / lengths)[:, None])
    return graph("Add", graph("Squeeze", added, np.array([2])), scale.values[0])


def _seconds(graph: _Graph, model: CurveModel, mean: Tensor) -> None:
    """The output "seconds": each epoch's is the largest up to it."""
    space = model.curve_space
    ours = np.arange(space.n_loss_weights, space.n_loss_weights + len(space.times.components))
    weights = graph("Gather", mean, ours, axis=1)
    seconds = graph("Exp", graph("Add", graph("MatMul", weights, space.times.components), space.times.mean))
    later = np.triu(np.full((len(space.times.mean),) * 2, -np.inf), k=1)
    masked = graph("Add", graph("Unsqueeze", seconds, np.array([1])), later)
    graph("ReduceMax", masked, np.array([2]), keepdims=0, result="seconds")
