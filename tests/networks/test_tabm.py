import pytest
import torch

from autopytorch_lite.networks.tabm import STARTS, TabM
from autopytorch_lite.networks.tabular import TabularNetwork

X = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
NO_CODES = torch.zeros(7, 0, dtype=torch.int64)


def tabm(is_mini=False, start="normal", dropout=0.0):
    torch.manual_seed(2)
    return TabM([1, 3, 2], n_members=4, n_layers=2, width=8, dropout=dropout, is_mini=is_mini, start=start)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("is_mini", [False, True])
def test_members_see_the_same_rows_and_differ(is_mini, start):
    backbone = tabm(is_mini, start)
    network = TabularNetwork(None, backbone, backbone.new_head(3))
    outputs = network(X, NO_CODES)
    assert outputs.shape == (7, 4, 3)
    assert network.vectors_per_row == 4
    assert not torch.allclose(outputs[:, 0], outputs[:, 1])


def test_members_factors_start_equal_within_a_feature():
    factors = tabm().members.blocks[0][0].r
    assert factors.shape == (4, 6)
    assert torch.equal(factors[:, 1], factors[:, 3]) and torch.equal(factors[:, 4], factors[:, 5])
    assert not torch.equal(factors[:, 0], factors[:, 1])


def test_most_weights_are_shared():
    counts = [sum(weight.numel() for weight in tabm(is_mini).parameters()) for is_mini in (True, False)]
    one = 6 * 8 + 8 * 8  # weights of a single network
    assert counts[0] == one + 16 + 4 * 6
    assert counts[1] == one + 4 * (6 + 3 * 8 + 2 * 8)


def test_dropout_is_off_in_evaluation_and_members_are_dropped_apart():
    backbone = tabm(dropout=0.5)
    assert torch.equal(backbone.eval()(X), backbone(X))
    backbone.train()
    zeros = (backbone(X) == 0).float().mean(dim=2)
    assert zeros.std() > 0
