import torch
from torch import nn

from autopytorch_lite.networks.paces import NORMAL, Pace, weights_by_pace


class Slow(nn.Module):
    paces = {"shift": Pace(0.5, 0.0)}

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.inner = nn.Linear(2, 2)


def test_a_network_without_paces_is_one_group_in_its_own_order():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    groups = weights_by_pace(network)
    assert list(groups) == [NORMAL]
    assert all(a is b for a, b in zip(groups[NORMAL], network.parameters(), strict=True))


def test_paces_hold_for_the_modules_own_parameters_and_the_normal_one_comes_first():
    network = Slow()
    network.inner.bias.requires_grad_(False)
    groups = weights_by_pace(network)
    assert list(groups) == [NORMAL, Pace(0.5, 0.0)]
    assert groups[NORMAL][0] is network.inner.weight and len(groups[NORMAL]) == 1
    assert groups[Pace(0.5, 0.0)][0] is network.shift
