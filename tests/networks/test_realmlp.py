import math

import pytest
import torch

from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.initialization import initialize, start_from_rows
from autopytorch_lite.networks.paces import REALMLP_RATE, weights_by_pace
from autopytorch_lite.networks.realmlp import DiagonalScale, ParametricActivation, RealMLP, RealMLPLinear
from autopytorch_lite.networks.tabular import TabularNetwork
from autopytorch_lite.training.optimizers import adamw, optimizer_of

NO_CODES = torch.zeros(500, 0, dtype=torch.int64)


@pytest.fixture
def rows():
    torch.manual_seed(0)
    return torch.randn(500, 6) * torch.tensor([1.0, 10.0, 0.1, 1.0, 0.0, 1.0]) + 3


@pytest.fixture
def network():
    torch.manual_seed(1)
    backbone = RealMLP(6, n_layers=2, width=32, activation="selu", dropout=0.3)
    return TabularNetwork(None, backbone, backbone.new_head(3))


def linear_layers(network):
    return [module for module in network.modules() if isinstance(module, RealMLPLinear)]


def test_parametric_activation_goes_from_identity_to_the_function():
    x = torch.linspace(-2, 2, 5)[:, None]
    layer = ParametricActivation("mish", 1)
    torch.testing.assert_close(layer(x), torch.nn.functional.mish(x))
    torch.nn.init.constant_(layer.shares, 0.0)
    torch.testing.assert_close(layer(x), x)


def test_the_start_gives_every_unit_unit_spread_and_its_bend_among_the_rows(network, rows):
    start_from_rows(network, rows, NO_CODES)
    first = linear_layers(network)[0]
    outputs = rows @ first.weight.T
    torch.testing.assert_close(outputs.std(dim=0, correction=0), torch.ones(32), atol=1e-3, rtol=0)
    assert (-first.bias >= outputs.min(dim=0).values).all() and (-first.bias <= outputs.max(dim=0).values).all()
    assert network.training
    seen = network.eval().outputs(rows)
    assert seen.std(dim=0).min() > 0.3 and seen.std(dim=0).max() < 3


def test_constant_inputs_leave_the_start_finite(network):
    start_from_rows(network, torch.ones(500, 6), NO_CODES)
    assert all(weight.isfinite().all() for weight in network.parameters())


def test_the_start_keeps_what_initialization_left_out(network, rows):
    initialize(network, method="sparse", bias="no")
    start_from_rows(network, rows, NO_CODES)
    layers = linear_layers(network)
    assert ((layers[1].weight != 0).sum(dim=1) == 15).all()
    assert [layer.bias is None for layer in layers] == [True, True, False]
    assert isinstance(layers[-1], LinearHead)


def test_the_optimizer_moves_each_kind_of_weight_as_the_source_does(network):
    """Rates of the source: 6, 1, 0.1 times its learning rate, the weights divided by the root of their inputs."""
    rate = 0.04
    optimizer = optimizer_of(network, adamw(rate / REALMLP_RATE, 0.02))
    by_weight = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    scale = next(module for module in network.modules() if isinstance(module, DiagonalScale))
    act = next(module for module in network.modules() if isinstance(module, ParametricActivation))
    first, second, _ = linear_layers(network)
    assert by_weight[id(scale.weight)]["lr"] == pytest.approx(6 * rate)
    assert by_weight[id(act.shares)]["lr"] == pytest.approx(0.1 * rate)
    for layer, n_inputs in ((first, 6), (second, 32)):
        weights, biases = by_weight[id(layer.weight)], by_weight[id(layer.bias)]
        assert weights["lr"] == pytest.approx(rate / math.sqrt(n_inputs))
        assert weights["lr"] * weights["weight_decay"] == pytest.approx(rate * 0.02)
        assert biases["lr"] == pytest.approx(0.1 * rate)
        assert biases["weight_decay"] == 0
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(network.parameters()))
    assert len(weights_by_pace(network)) == len(optimizer.param_groups)
