"""Many small networks trained at once: one batched product does for K networks what each would ask for alone.

A narrow network keeps a processor waiting for Python and for the dispatch of small operations. A stack holds the
weights of K networks as tensors (K, n_in, n_out), computes forward and backward pass of all with one batched product a
layer, and takes the optimiser steps of all with three operations a tensor. There is no autograd: the gradient of linear
layers with ReLU, dropout and a softmax is a few lines.

Networks of different widths and batch sizes are padded with zeros, which stay zero: a padded unit has no incoming
weight, hence its activation, its gradient and that of its outgoing weights are zero; a padded row has no share of the
loss. Each network keeps its own row order, dropout, number of steps, rates, and schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.device import products_in, set_products
from autopytorch_lite.training.loop import Trainer
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stackable import Perceptron, loss_kind, obstacle, stack_key
from autopytorch_lite.training.stacked_batches import Segment, StackedBatches, StepData
from autopytorch_lite.training.stacked_updates import stacked_update
from autopytorch_lite.types import Array

UPDATE_FLOATS = 2**16
"""Weights that are updated at once: they, their gradients and slots stay in a core's cache between the operations."""
ALIGNMENT = 16
"""Numbers in a cache line: the parts of a network's parameters begin at multiples of it."""
EVALUATION_FLOATS = 2**18
"""Activations of the widest layer that are computed at once in evaluation."""
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class StackedTrainer:
    """Trains K trainers' networks as one, and gives the results back to the trainers.

    What happens to each trainer is what `Trainer.fit` would have done, up to rounding: checkpoints saved from it
    continue alone or in another stack. Between `__init__` and `write_back` the trainers' own networks are out of date.

    Args:
        trainers: to train together; none has an `obstacle`, and all have one `stack_key`. They may have trained before.
        train: rows to learn from, the same at every epoch.
        precisions: of the matrix products of every layer, the head last: "float32", or "bfloat16" to round the factors;
            weights, their updates, activations and losses are float32. None: float32.

    Attributes:
        trainers: in the order of the stack, which is by batch size.

    Raises:
        ValueError: there are no trainers, or some cannot be in one stack.
    """

    def __init__(self, trainers: Sequence[Trainer], train: TensorRows, *, precisions: Sequence[str] | None = None):
        self.trainers = tuple(sorted(trainers, key=lambda trainer: trainer.plan.batch_size))
        _require_stackable(self.trainers)
        self._device = self.trainers[0].device
        self._perceptrons = [_perceptron(trainer) for trainer in self.trainers]
        self._is_softmax = loss_kind(self.trainers[0].plan.loss) == "softmax"
        self._widths = [max(widths) for widths in zip(*(net.widths for net in self._perceptrons), strict=True)]
        self._update = stacked_update([trainer.optimizer for trainer in self.trainers], self._device)
        self._weights = self._zeros()
        self._gradients = self._zeros()
        self._last_gradients = self._zeros()
        self._slots = [self._zeros() for _ in self._update.slots]
        self._read()
        rows = train.to(self._device).with_unit_mean_weights()
        self._batches = StackedBatches(self.trainers, self._perceptrons, rows, self._widths[1:-1])
        self._precisions = precisions or ["float32"] * (len(self._widths) - 1)
        self._workspaces = {segment: self._workspace(segment) for segment in self._batches.segments}

    def __len__(self) -> int:
        return len(self.trainers)

    @torch.inference_mode()
    def train_epoch(self) -> None:
        """One pass of each network over the rows; `end_epoch` of the trainers must follow before the next."""
        self._update.begin_epoch()
        self._batches.begin_epoch()
        with products_in("float32"):
            for segment, workspace in self._workspaces.items():
                for number, step in enumerate(self._batches.steps(segment), start=segment.first + 1):
                    workspace.backpropagate(step, self._is_softmax)
                    if number == segment.last:
                        self._keep_gradients(segment)
                    self._update.begin_step(segment.n_networks)
                    for blocks in workspace.blocks:
                        self._update.apply(segment.n_networks, blocks[0], blocks[1], blocks[2:])

    @torch.inference_mode()
    def outputs(self, dense: Tensor, *, precisions: Sequence[str] | None = None) -> Tensor:
        """Outputs of all networks in evaluation mode.

        Args:
            dense: float32 (n, n_inputs).
            precisions: in which every layer computes, the head last; None: float32.

        Returns:
            float32 (K, n_outputs, n), on the device.
        """
        n_rows = max(1, EVALUATION_FLOATS // (len(self) * max(self._widths)))
        types = [_TYPES[precision] for precision in precisions or ["float32"] * len(self._weights.layers)]
        pairs = zip(self._weights.layers, self._weights.biases, types, strict=True)
        *layers, head = [(weight.to(dtype), bias.to(dtype)) for weight, bias, dtype in pairs]
        found = []
        for rows in dense.to(self._device).split(n_rows):
            hidden = rows.expand(len(self), *rows.shape)
            for layer in layers:
                hidden = _affine(hidden, *layer).relu_()
            found.append(_affine(hidden, *head).float().transpose(1, 2))
        return torch.cat(found, dim=2)

    @torch.inference_mode()
    def losses(self, outputs: Tensor) -> Tensor:
        """Mean training losses, float32 (K,), for outputs (K, n_outputs, n_train) of the training rows."""
        return self._batches.losses(outputs)

    def is_finite(self) -> Array:
        """Whether all weights of a network are finite, bool (K,)."""
        found: Array = self._weights.everything.sum(dim=1).isfinite().cpu().numpy()
        return found

    def last_gradients(self) -> list[Array]:
        """Gradients of the last step of each network's last epoch, without decay, as torch's optimisers get them.

        Returns:
            Per layer the gradients of weights and biases, float32 (K, size); see `real_weights`. Valid until the next
            epoch.
        """
        return [layer.cpu().numpy() for layer in self._last_gradients.own]

    @torch.no_grad()
    def write_back(self) -> None:
        """Bring the trainers' networks and optimisers up to date."""
        for number, (trainer, linears) in enumerate(self._members()):
            n_steps = self._update.n_steps(number)
            for layer, linear in enumerate(linears):
                for parameter, own in _pairs(linear, self._weights, number, layer):
                    parameter.copy_(own)
            for name, slot in zip(self._update.slots, self._slots, strict=True):
                for layer, linear in enumerate(linears):
                    for parameter, own in _pairs(linear, slot, number, layer):
                        state = trainer.optimizer.state[parameter]
                        state[name] = own.clone(memory_format=torch.contiguous_format)
                        if n_steps is not None:
                            state["step"] = torch.tensor(float(n_steps))

    @torch.no_grad()
    def _read(self) -> None:
        """Take weights and slots over from the trainers."""
        for number, (trainer, linears) in enumerate(self._members()):
            for layer, linear in enumerate(linears):
                for parameter, own in _pairs(linear, self._weights, number, layer):
                    own.copy_(parameter)
                for name, slot in zip(self._update.slots, self._slots, strict=True):
                    for parameter, own in _pairs(linear, slot, number, layer):
                        known = trainer.optimizer.state.get(parameter, {}).get(name)
                        if known is not None:
                            own.copy_(known)

    def _members(self) -> Iterator[tuple[Trainer, Sequence[torch.nn.Linear]]]:
        for trainer, perceptron in zip(self.trainers, self._perceptrons, strict=True):
            yield trainer, perceptron.linears

    def real_weights(self) -> list[Array]:
        """Per layer which entries of `last_gradients` are real and no padding, bool (K, size)."""
        real = _Parameters(len(self), self._widths, torch.device("cpu"))
        for number, perceptron in enumerate(self._perceptrons):
            for layer, (n_in, n_out) in enumerate(pairwise(perceptron.widths)):
                real.layers[layer][number, :n_in, :n_out] = 1
                real.biases[layer][number, :, :n_out] = 1
        return [layer.bool().numpy() for layer in real.own]

    def _keep_gradients(self, segment: Segment) -> None:
        """Keep the gradients of the networks that end their epoch with this segment."""
        following = [later.n_networks for later in self._batches.segments if later.first == segment.last]
        ending = slice(following[0] if following else 0, segment.n_networks)
        self._last_gradients.everything[ending] = self._gradients.everything[ending]

    def _zeros(self) -> _Parameters:
        return _Parameters(len(self), self._widths, self._device)

    def _workspace(self, segment: Segment) -> _Workspace:
        weights, gradients, *slots = (
            parameters.first(segment.n_networks) for parameters in (self._weights, self._gradients, *self._slots)
        )
        dropout = self._batches.dropout
        return _Workspace(
            segment,
            weights,
            gradients,
            slots,
            thresholds=_first(dropout.thresholds, segment.n_networks),
            scales=_first(dropout.scales, segment.n_networks),
            precisions=self._precisions,
        )


class _Parameters:
    """One number per weight and bias of all networks.

    Attributes:
        everything: (K, size): weights of the first layer, its biases, those of the second, and so on; each part begins
            at a multiple of `ALIGNMENT`, and what lies between stays zero.
        layers: per layer a view (K, n_in, n_out) of it.
        biases: per layer a view (K, 1, n_out).
        own: per layer a view (K, size) of weights and biases together, with the zeros between them.
    """

    def __init__(self, n_networks: int, widths: Sequence[int], device: torch.device):
        size = sum(_aligned(n_in * n_out) + _aligned(n_out) for n_in, n_out in pairwise(widths))
        self._set(torch.zeros(n_networks, size, device=device), widths)

    def _set(self, everything: Tensor, widths: Sequence[int]) -> None:
        self.everything, self._widths = everything, widths
        self.layers, self.biases, self.own = [], [], []
        start = 0
        for n_in, n_out in pairwise(widths):
            middle = start + _aligned(n_in * n_out)
            end = middle + _aligned(n_out)
            self.layers.append(everything[:, start : start + n_in * n_out].view(-1, n_in, n_out))
            self.biases.append(everything[:, None, middle : middle + n_out])
            self.own.append(everything[:, start:end])
            start = end

    def first(self, n: int) -> _Parameters:
        """A view of the first `n` networks."""
        view = object.__new__(_Parameters)
        view._set(self.everything[:n], self._widths)
        return view


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


class _Workspace:
    """Where the steps of a segment compute: views of the first k networks, and buffers for their activations.

    Attributes:
        blocks: (weights, gradients, *slots) of at most about `UPDATE_FLOATS` numbers each.
    """

    def __init__(
        self,
        segment: Segment,
        weights: _Parameters,
        gradients: _Parameters,
        slots: Sequence[_Parameters],
        *,
        thresholds: Sequence[Tensor | None],
        scales: Sequence[Tensor | None],
        precisions: Sequence[str],
    ):
        n, batch_size = segment.n_networks, segment.batch_size
        self._weights, self._gradients, self._precisions = weights, gradients, precisions
        self._thresholds, self._scales = thresholds, scales
        self._hidden = [weight.new_empty(n, batch_size, weight.shape[2]) for weight in weights.layers[:-1]]
        self._deltas = [torch.empty_like(hidden) for hidden in self._hidden]
        self._output = weights.layers[-1].new_empty(n, batch_size, weights.layers[-1].shape[2])
        self.blocks = list(_blocks([weights, gradients, *slots]))

    def backpropagate(self, step: StepData, is_softmax: bool) -> None:
        """Gradients of the mean losses of a batch, into the stack's gradients."""
        layers, gradients = self._weights.layers, self._gradients
        inputs = self._forward(step)
        delta = _output_gradient(self._output.transpose(1, 2), step, is_softmax).transpose(1, 2)
        for layer in range(len(layers) - 1, -1, -1):
            set_products(self._precisions[layer])
            _multiply(inputs[layer].transpose(1, 2), delta, out=gradients.layers[layer])
            torch.sum(delta, dim=1, out=gradients.biases[layer].squeeze(1))
            if layer:
                delta = _multiply(delta, layers[layer].transpose(1, 2), out=self._deltas[layer - 1])
                self._through_units(layer - 1, delta)

    def _through_units(self, layer: int, delta: Tensor) -> None:
        """From the derivative by what a hidden layer gives to that by what its units sum up, in place.

        It is zero where the unit is: below zero, dropped, or padding.
        """
        torch.ops.aten.threshold_backward.grad_input(delta, self._hidden[layer], 0.0, grad_input=delta)
        scale = self._scales[layer]
        if scale is not None:
            delta.mul_(scale)

    def _forward(self, step: StepData) -> list[Tensor]:
        """Fills the outputs; the inputs of every layer, (k, B, n_in)."""
        inputs = [step.inputs]
        results = [*self._hidden, self._output]
        parts = zip(self._weights.layers, self._weights.biases, results, self._precisions, strict=True)
        for layer, (weight, bias, result, precision) in enumerate(parts):
            set_products(precision)
            _multiply(inputs[-1], weight, out=result, plus=bias)
            if layer < len(self._hidden):
                inputs.append(self._activated(layer, step.levels[layer]))
        return inputs

    def _activated(self, layer: int, levels: Tensor | None) -> Tensor:
        """ReLU and dropout of a hidden layer, in place."""
        hidden, threshold, scale = self._hidden[layer].relu_(), self._thresholds[layer], self._scales[layer]
        if levels is None or threshold is None or scale is None:
            return hidden
        is_kept = torch.ge(levels, threshold, out=self._deltas[layer])
        return hidden.mul_(is_kept).mul_(scale)


def _multiply(left: Tensor, right: Tensor, *, out: Tensor, plus: Tensor | None = None) -> Tensor:
    """Batched product, plus a row that is added to all rows of it."""
    return torch.bmm(left, right, out=out) if plus is None else torch.baddbmm(plus, left, right, out=out)


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(K, n, n_in), (K, n_in, n_out) and (K, 1, n_out) -> (K, n, n_out); one kernel for a lone network."""
    inputs = inputs.to(weight.dtype)
    if len(weight) == 1:
        return torch.nn.functional.linear(inputs[0], weight[0].T, bias[0, 0])[None]
    return torch.baddbmm(bias, inputs, weight)


def _output_gradient(outputs: Tensor, step: StepData, is_softmax: bool) -> Tensor:
    """Derivative of the mean losses by the outputs, (k, n_outputs, B)."""
    if is_softmax:
        return torch.softmax(outputs, dim=1).sub_(step.targets).mul_(step.shares)
    return torch.sub(outputs, step.targets).mul_(step.shares).mul_(2 / outputs.shape[1])


def _first(columns: Sequence[Tensor | None], n: int) -> list[Tensor | None]:
    return [None if column is None else column[:n] for column in columns]


def _blocks(parameters: Sequence[_Parameters]) -> Iterator[tuple[Tensor, ...]]:
    """The same columns of all, in pieces of about `UPDATE_FLOATS` numbers; whole on a GPU, and of a lone network."""
    tensors = [named.everything for named in parameters]
    n, size = tensors[0].shape
    width = max(1, UPDATE_FLOATS // n) if tensors[0].device.type == "cpu" and n > 1 else size
    return zip(*(tensor.split(width, dim=1) for tensor in tensors), strict=True)


def _pairs(linear: torch.nn.Linear, stacked: _Parameters, number: int, layer: int) -> Iterator[tuple[Tensor, Tensor]]:
    """A layer's weight and bias with the stack's view of the same shape."""
    n_out, n_in = linear.weight.shape
    yield linear.weight, stacked.layers[layer][number, :n_in, :n_out].T
    yield linear.bias, stacked.biases[layer][number, 0, :n_out]


def _perceptron(trainer: Trainer) -> Perceptron:
    network: TabularNetwork = trainer.network
    found = Perceptron.of(network)
    assert found is not None, "checked by _require_stackable"
    return found


def _require_stackable(trainers: Sequence[Trainer]) -> None:
    if not trainers:
        raise ValueError("A stack must have at least one trainer, got none.")
    for trainer in trainers:
        reason = obstacle(trainer)
        if reason is not None:
            raise ValueError(f"The training with seed {trainer.seed} cannot be stacked: {reason}.")
    keys = {stack_key(trainer) for trainer in trainers}
    if len(keys) > 1 or len({trainer.device for trainer in trainers}) > 1:
        raise ValueError(
            f"Networks of one stack must share device, depth, loss and optimiser, got {sorted(map(str, keys))}."
        )
