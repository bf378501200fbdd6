import pytest
import torch
from torch import nn

from autopytorch_lite.networks.backbones import ResidualBlock, ShapedMLP, ShapedResNet, survival_probabilities
from autopytorch_lite.networks.layers import ACTIVATIONS, BatchNorm, ShakeDrop, ShakeShake
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.shapes import SHAPES

REGULARISED = {
    "dropout": {"max_dropout": 0.5},
    "shake_shake": {"use_shake_shake": True},
    "shake_drop": {"use_shake_drop": True, "max_shake_drop_probability": 0.8},
    "all": {
        "max_dropout": 0.5,
        "use_shake_shake": True,
        "use_shake_drop": True,
        "max_shake_drop_probability": 0.8,
    },
}


def linear_shapes(module):
    return [(layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, nn.Linear)]


def rates(module):
    return [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]


def test_mlp_counts_the_output_layer():
    mlp = ShapedMLP(10, 2, num_layers=4, max_units=64)
    assert linear_shapes(mlp) == [(10, 64), (64, 44), (44, 24)]
    assert mlp.n_features == 24
    assert mlp(torch.randn(5, 10)).shape == (5, 24)


def test_mlp_of_one_layer_passes_its_input_on():
    mlp = ShapedMLP(10, 2, num_layers=1, max_units=64, max_dropout=0.5)
    x = torch.randn(5, 10)
    assert torch.equal(mlp(x), x)
    assert mlp.n_features == 10


def test_mlp_has_dropout_after_each_hidden_layer():
    assert rates(ShapedMLP(10, 2, num_layers=4, max_units=64, max_dropout=0.6)) == pytest.approx([0.6, 0.4002, 0.2004])
    assert rates(ShapedMLP(10, 2, num_layers=4, max_units=64)) == []


def test_mlp_dropout_acts_in_training_only():
    mlp = ShapedMLP(10, 2, num_layers=3, max_units=64, max_dropout=0.5)
    x = torch.randn(20, 10)
    mlp.train()
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backbones_are_built_and_trainable_in_every_shape(shape, activation):
    for backbone in (
        ShapedMLP(6, 3, num_layers=4, max_units=12, shape=shape, activation=activation),
        ShapedResNet(6, 3, num_groups=2, blocks_per_group=1, max_units=12, shape=shape, activation=activation),
    ):
        features = backbone(torch.randn(8, 6))
        assert features.shape == (8, backbone.n_features)
        features.square().sum().backward()
        assert all(weight.grad is not None for weight in backbone.parameters())


def test_resnet_widths_follow_the_funnel():
    resnet = ShapedResNet(10, 4, num_groups=2, blocks_per_group=2, max_units=64)
    # widths 64, 44, 24: linear layers of the stem, then shortcut and branch of each block
    expected = [(10, 64), (64, 44), (64, 44), (44, 44), (44, 44), (44, 44)]
    expected += [(44, 24), (44, 24), (24, 24), (24, 24), (24, 24)]
    assert linear_shapes(resnet) == expected
    assert resnet.n_features == 24


def test_resnet_dropout_keeps_part_of_the_residual_branch():
    """The rate used to be the Boolean switch, so that training zeroed every residual branch."""
    resnet = ShapedResNet(10, 4, num_groups=3, blocks_per_group=1, max_units=64, max_dropout=0.6)
    assert rates(resnet) == pytest.approx([0.6, 0.3])
    block = resnet.blocks[0].train()
    residual = block.residual(block.entry(torch.randn(50, 64)))
    assert residual.std() > 0.01


@pytest.mark.parametrize("options", REGULARISED.values(), ids=REGULARISED)
def test_resnet_regularisers_are_random_in_training_and_fixed_in_evaluation(options):
    resnet = ShapedResNet(10, 4, num_groups=2, blocks_per_group=2, max_units=32, **options)
    x = torch.randn(20, 10)
    resnet.train()
    assert not torch.equal(resnet(x), resnet(x))
    with seeded_rng(1):
        first = resnet(x)
    with seeded_rng(1):
        assert torch.equal(resnet(x), first)
    resnet.eval()
    assert torch.equal(resnet(x), resnet(x))


def test_resnet_without_regularisers_is_not_random():
    resnet = ShapedResNet(10, 4, num_groups=2, blocks_per_group=2, max_units=32).train()
    x = torch.randn(20, 10)
    assert torch.equal(resnet(x), resnet(x))
    assert not any(isinstance(layer, ShakeShake | ShakeDrop | nn.Dropout) for layer in resnet.modules())


def test_shake_drop_survival_decays_over_all_blocks():
    resnet = ShapedResNet(10, 4, num_groups=2, blocks_per_group=2, use_shake_drop=True, max_shake_drop_probability=0.8)
    survivals = [layer.survival for layer in resnet.modules() if isinstance(layer, ShakeDrop)]
    assert survivals == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert survival_probabilities(2, 1.0) == [0.5, 0.0]


def test_block_of_equal_widths_adds_its_input():
    block = ResidualBlock(4, 4, activation="relu", dropout=0.0, use_shake_shake=False, survival=None)
    nn.init.zeros_(block.residual[-1].weight)
    nn.init.zeros_(block.residual[-1].bias)
    x = torch.randn(6, 4)
    assert torch.equal(block(x), x)


def test_block_of_different_widths_projects_the_activated_input():
    block = ResidualBlock(4, 3, activation="relu", dropout=0.0, use_shake_shake=False, survival=None).eval()
    nn.init.zeros_(block.residual[-1].weight)
    nn.init.zeros_(block.residual[-1].bias)
    x = torch.randn(6, 4)
    normed = torch.relu(x / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(block(x), block.shortcut(normed))
    assert [type(layer) for layer in block.residual] == [nn.Linear, BatchNorm, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("options", REGULARISED.values(), ids=REGULARISED)
def test_resnet_trains_on_a_batch_of_one_row(options):
    resnet = ShapedResNet(5, 2, num_groups=1, blocks_per_group=2, max_units=8, **options).train()
    resnet(torch.randn(1, 5)).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in resnet.parameters() if weight.grad is not None)
