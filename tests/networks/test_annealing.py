import pytest
import torch
from torch import nn

from autopytorch_lite.networks.annealing import AnnealedDropout, flat_cosine, set_progress


def test_flat_then_half_a_cosine():
    assert [flat_cosine(t) for t in (0, 0.3, 0.5)] == [1, 1, 1]
    assert [flat_cosine(t) for t in (0.75, 1)] == pytest.approx([0.5, 0])


def test_dropout_fades_wherever_it_is_in_the_network():
    layer = AnnealedDropout(0.4)
    network = nn.Sequential(nn.Identity(), nn.Sequential(layer)).train()
    x = torch.ones(100, 1000)
    shares = []
    for progress in (0.0, 0.5, 0.75, 1.0):
        set_progress(network, progress)
        shares.append((network(x) == 0).float().mean().item())
    assert shares == pytest.approx([0.4, 0.4, 0.2, 0.0], abs=0.01)
    set_progress(network, 0.0)
    assert torch.equal(network.eval()(x), x)
