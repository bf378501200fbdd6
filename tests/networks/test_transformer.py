import torch

from autopytorch_lite.networks.transformer import MAX_TOKENS, FeatureTokens, FTTransformer, shared_widths

X = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))


def transformer(dropout=0.3):
    torch.manual_seed(2)
    return FTTransformer(
        [1, 3, 2], n_blocks=2, n_heads=2, head_dim=4, attention_dropout=dropout, hidden_dropout=dropout
    )


def test_each_token_is_a_linear_function_of_its_own_units():
    tokens = FeatureTokens([1, 3, 2], 4)
    out = tokens(X)
    assert out.shape == (7, 3, 4)
    torch.testing.assert_close(out[:, 1], X[:, 1:4] @ tokens.weight[1] + tokens.bias[1])
    torch.testing.assert_close(out[:, 2], X[:, 4:] @ tokens.weight[2, :2] + tokens.bias[2])


def test_rows_do_not_see_each_other_and_every_unit_counts():
    network = transformer().eval()
    out = network(X)
    assert out.shape == (7, network.n_features) == (7, 8)
    torch.testing.assert_close(network(X[:1]), out[:1])
    x = X.clone().requires_grad_()
    network(x).sum().backward()
    assert (x.grad.abs().sum(dim=0) > 0).all()


def test_neighbours_share_a_token_where_there_are_many_features():
    assert shared_widths([1, 3, 2]) == [1, 3, 2]
    shared = shared_widths([1, 2] * MAX_TOKENS)
    assert shared == [3] * MAX_TOKENS


def test_dropout_is_random_in_training_only():
    network = transformer().train()
    assert not torch.equal(network(X), network(X))
    assert torch.equal(network.eval()(X), network(X))
