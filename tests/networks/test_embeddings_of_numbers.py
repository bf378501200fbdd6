import math

import numpy as np
import pytest
import torch
from rtdl_num_embeddings import PiecewiseLinearEncoding

from autopytorch_lite.networks.embeddings import PBLDEmbedding, PiecewiseLinearEmbedding

ROWS = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 2))).float()


def test_pbld_is_cosines_with_phases_by_hand():
    torch.manual_seed(0)
    embedding = PBLDEmbedding(n_columns=2, n_frequencies=3, dim=4, frequency_scale=0.5)
    x = torch.randn(5, 2)
    out = embedding(x)
    assert out.shape == (5, embedding.n_features) == (5, 2 * 5)
    waves = torch.cos(2 * math.pi * x[:, 1:] * embedding.frequencies[1] + embedding.phases[1])
    torch.testing.assert_close(out[:, 5], x[:, 1])
    torch.testing.assert_close(out[:, 6:], waves @ embedding.weight[1] + embedding.bias[1])


def test_codes_within_the_edges_are_those_of_the_authors_package():
    embedding = PiecewiseLinearEmbedding(n_columns=2, n_bins=8, dim=3)
    embedding.start_from(ROWS)
    levels = torch.linspace(0, 1, 9)
    reference = PiecewiseLinearEncoding([torch.quantile(ROWS[:, j], levels) for j in range(2)])
    torch.testing.assert_close(embedding.encode(ROWS).flatten(1), reference(ROWS), atol=1e-4, rtol=1e-4)


def test_repeated_quantiles_are_one_edge_and_constant_columns_have_no_code():
    embedding = PiecewiseLinearEmbedding(n_columns=2, n_bins=4, dim=3)
    embedding.start_from(torch.tensor([[0.0, 7.0]] * 6 + [[1.0, 7.0], [3.0, 7.0]]))
    codes = embedding.encode(torch.tensor([[0.0, 7.0], [1.5, 8.0], [3.0, -1e6]]))
    assert codes[:, 1].abs().max() == 0
    assert (codes[:, 0].sum(dim=1).diff() > 0).all()
    assert codes.isfinite().all()


def test_far_numbers_move_the_outer_codes_by_one_bin_at_most():
    embedding = PiecewiseLinearEmbedding(n_columns=2, n_bins=4, dim=3)
    embedding.start_from(ROWS)
    low, high = embedding.encode(torch.tensor([[-1e3, -1e3], [1e3, 1e3]]))
    assert low[0].tolist() == [-1, 0, 0, 0]
    assert high[0].tolist() == [1, 1, 1, 2]


def test_starts_as_a_linear_function_and_learns_the_bins():
    embedding = PiecewiseLinearEmbedding(n_columns=2, n_bins=4, dim=3)
    embedding.start_from(ROWS)
    out = embedding(ROWS).view(-1, 2, 3)
    torch.testing.assert_close(out, ROWS[:, :, None] * embedding.linear + embedding.bias)
    out.square().sum().backward()
    assert embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("n_rows", [1, 3])
def test_fewer_rows_than_bins_will_do(n_rows):
    embedding = PiecewiseLinearEmbedding(n_columns=2, n_bins=16, dim=3)
    embedding.start_from(ROWS[:n_rows])
    assert embedding(ROWS).isfinite().all()
