import pytest
import torch
from torch import nn

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.networks.backbones import ShapedMLP, ShapedResNet
from autopytorch_lite.networks.embeddings import EntityEmbedding, PeriodicEmbedding, embedding_dim
from autopytorch_lite.networks.heads import LinearHead
from autopytorch_lite.networks.initialization import initialize
from autopytorch_lite.networks.seeding import seeded_rng
from autopytorch_lite.networks.tabular import TabularNetwork


def small_network():
    embedding = EntityEmbedding([4, 10], [2, 3])
    backbone = ShapedMLP(3 + embedding.n_features, 2, num_layers=3, max_units=40)
    return TabularNetwork(embedding, backbone, LinearHead(backbone.n_features, 2))


@pytest.mark.parametrize(
    ("cardinality", "reduction", "dim"), [(10, 0.5, 5), (10, 0.0, 1), (10, 1.0, 9), (2, 0.9, 1), (1, 1.0, 1)]
)
def test_embedding_dim_is_a_clipped_share_of_the_levels(cardinality, reduction, dim):
    assert embedding_dim(cardinality, reduction) == dim


def test_embedding_looks_up_each_column_in_its_own_table():
    embedding = EntityEmbedding([4, 10], [2, 3])
    vectors = embedding(torch.tensor([[0, 9], [3, 0]]))
    assert vectors.shape == (2, 5)
    assert torch.equal(vectors[0, :2], embedding.tables[0].weight[1])
    assert torch.equal(vectors[0, 2:], embedding.tables[1].weight[10])


def test_missing_and_unseen_levels_start_at_zero_and_learn():
    embedding = EntityEmbedding([4], [2])
    vectors = embedding(torch.tensor([[-1], [2]]))
    assert torch.equal(vectors[0], torch.zeros(2))
    vectors.sum().backward()
    assert torch.equal(embedding.tables[0].weight.grad[0], torch.ones(2))


def test_dimensions_must_match_columns():
    with pytest.raises(ValueError):
        EntityEmbedding([4, 5], [2])


def test_network_puts_numbers_before_embedded_codes():
    network = small_network()
    dense, codes = torch.randn(6, 3), torch.randint(-1, 4, (6, 2))
    embedded = network.embed(dense, codes)
    assert torch.equal(embedded[:, :3], dense)
    assert torch.equal(embedded[:, 3:], network.embedding(codes))
    assert network(dense, codes).shape == (6, 2)
    assert torch.equal(network(dense, codes), network.outputs(embedded))


def test_network_without_embedding_ignores_codes():
    network = TabularNetwork(None, ShapedMLP(3, 2, num_layers=1), LinearHead(3, 2))
    dense = torch.randn(6, 3)
    assert torch.equal(network(dense, torch.zeros(6, 0, dtype=torch.int64)), network(dense, torch.ones(6, 2).long()))


def test_default_initialization_changes_nothing():
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    initialize(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_sparse_initialization_connects_each_unit_to_fifteen_inputs():
    layer = nn.Linear(400, 300)
    with seeded_rng(0):
        initialize(layer, method="sparse")
    assert torch.equal((layer.weight != 0).sum(dim=1), torch.full((300,), 15))
    assert layer(torch.randn(200, 400)).var().item() == pytest.approx(1.0, abs=0.15)
    narrow = nn.Linear(4, 3)
    initialize(narrow, method="sparse")
    assert (narrow.weight != 0).all()


def test_zero_bias_starts_at_zero_and_is_learned():
    network = small_network()
    initialize(network, bias="zero")
    biases = [value for name, value in network.named_parameters() if name.endswith("bias")]
    assert biases and all((bias == 0).all() and bias.requires_grad for bias in biases)


def test_no_bias_leaves_only_the_output_layers():
    backbone = ShapedResNet(3, 2, num_groups=2, blocks_per_group=1, max_units=8)
    network = TabularNetwork(None, backbone, LinearHead(backbone.n_features, 2))
    initialize(network, bias="no")
    assert all(layer.bias is None for layer in backbone.modules() if isinstance(layer, nn.Linear))
    assert network.head.bias is not None
    network(torch.randn(4, 3), torch.zeros(4, 0, dtype=torch.int64)).sum().backward()


@pytest.mark.parametrize("wrong", [{"method": "spars"}, {"bias": "non"}])
def test_unknown_initialization(wrong):
    with pytest.raises(UnknownNameError):
        initialize(small_network(), **wrong)


def test_the_same_seed_builds_the_same_network():
    with seeded_rng(5):
        first = small_network()
    with seeded_rng(5):
        second = small_network()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_periodic_embedding_is_sines_and_cosines_by_hand():
    torch.manual_seed(0)
    embedding = PeriodicEmbedding(n_columns=2, n_frequencies=3, dim=4, frequency_scale=0.5)
    x = torch.randn(5, 2)
    out = embedding(x)
    assert out.shape == (5, embedding.n_features) == (5, 2 * 5)
    torch.testing.assert_close(out[:, [0, 5]], x)
    angles = 2 * torch.pi * x[:, 1:2] * embedding.frequencies[1]
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    torch.testing.assert_close(out[:, 6:], torch.relu(waves @ embedding.weight[1] + embedding.bias[1]))


def test_only_the_first_numbers_are_embedded_and_the_frequencies_learn():
    embedding = PeriodicEmbedding(n_columns=2, n_frequencies=3, dim=4, frequency_scale=0.5)
    backbone = ShapedMLP(10 + 3, 1, num_layers=2, max_units=8)
    network = TabularNetwork(None, backbone, LinearHead(backbone.n_features, 1), embedding)
    dense, codes = torch.randn(6, 5), torch.zeros(6, 0, dtype=torch.int64)
    torch.testing.assert_close(network.embed(dense, codes)[:, 10:], dense[:, 2:])
    network(dense, codes).sum().backward()
    assert embedding.frequencies.grad is not None and embedding.frequencies.grad.abs().sum() > 0
