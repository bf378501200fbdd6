import pytest
import torch

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.networks.layers import (
    ACTIVATIONS,
    BatchNorm,
    Dropout,
    ShakeDrop,
    ShakeShake,
    activation_layer,
    dropout_layers,
    scale_apart,
)
from autopytorch_lite.networks.seeding import derived_seed, seeded_rng


class Times(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_functions_they_are_named_after(name):
    x = torch.linspace(-3, 3, 7)
    reference = getattr(torch.nn.functional, name, None) or getattr(torch, name)
    torch.testing.assert_close(activation_layer(name)(x), reference(x))


def test_unknown_activation():
    with pytest.raises(UnknownNameError, match="relu"):
        activation_layer("rellu")


def test_dropout_of_rate_zero_is_no_layer():
    assert dropout_layers(0.0) == []


def test_small_dropout_rates_count():
    """Rates up to 0.05 used to mean no dropout."""
    (layer,) = dropout_layers(0.04)
    assert (layer(torch.ones(10_000)) == 0).float().mean().item() == pytest.approx(0.04, abs=0.01)


def test_batch_norm_survives_one_row_and_learns_from_two():
    norm = BatchNorm(3).train()
    one = norm(torch.ones(1, 3))
    assert one.isfinite().all()
    assert torch.equal(norm.running_mean, torch.zeros(3))
    torch.testing.assert_close(norm(torch.tensor([[0.0] * 3, [2.0] * 3])).mean(0), torch.zeros(3))
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 0.1))


def test_scale_apart_uses_one_factor_forward_and_another_backward():
    x = torch.tensor([2.0], requires_grad=True)
    y = scale_apart(x, 3.0, 5.0)
    y.backward()
    assert y.item() == 6.0
    assert x.grad.item() == 5.0


def draws_of(module, n=400):
    """(output, gradient) of a module at 1, for n training passes."""
    pairs = []
    with seeded_rng(0):
        for _ in range(n):
            x = torch.ones(1, requires_grad=True)
            y = module(x)
            y.backward()
            pairs.append((y.item(), x.grad.item()))
    return torch.tensor(pairs).T


def test_shake_shake_blends_at_random_while_training():
    outputs, gradients = draws_of(ShakeShake(Times(0.0), Times(1.0)).train())
    assert 0 <= outputs.min() < 0.05 and 0.95 < outputs.max() <= 1
    assert outputs.mean().item() == pytest.approx(0.5, abs=0.05)
    assert gradients.mean().item() == pytest.approx(0.5, abs=0.05)
    assert abs(torch.corrcoef(torch.stack([outputs, gradients]))[0, 1]) < 0.15  # independent coefficients


def test_shake_shake_averages_in_evaluation():
    """It used to be fixed in training and random at prediction."""
    outputs, gradients = draws_of(ShakeShake(Times(0.0), Times(1.0)).eval(), n=5)
    assert outputs.tolist() == [0.5] * 5
    assert gradients.tolist() == [0.5] * 5


def test_shake_drop_drops_with_its_probability_while_training():
    outputs, gradients = draws_of(ShakeDrop(0.7).train(), n=1000)
    survived = (outputs == 1) & (gradients == 1)
    assert survived.float().mean().item() == pytest.approx(0.7, abs=0.05)
    dropped_outputs, dropped_gradients = outputs[~survived], gradients[~survived]
    assert dropped_outputs.min() < -0.9 and dropped_outputs.max() > 0.9
    assert dropped_gradients.min() >= 0 and dropped_gradients.max() <= 1
    assert outputs.mean().item() == pytest.approx(0.7, abs=0.05)


def test_shake_drop_is_its_expectation_in_evaluation():
    outputs, _ = draws_of(ShakeDrop(0.7).eval(), n=5)
    assert outputs.tolist() == pytest.approx([0.7] * 5)


def test_shake_coefficients_are_shared_by_the_batch():
    y = ShakeShake(Times(0.0), Times(1.0)).train()(torch.ones(8))
    assert len(set(y.tolist())) == 1


def test_seeded_rng_repeats_and_leaves_the_global_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded_rng(7, 3):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded_rng(7, 3):
        assert torch.equal(torch.rand(3), first)
    with seeded_rng(7, 4):
        assert not torch.equal(torch.rand(3), first)
    assert derived_seed(1, 2) != derived_seed(2, 1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_keeps_the_mean_and_passes_gradients_of_kept_units_only(rate):
    torch.manual_seed(0)
    layer = Dropout(rate)
    x = torch.ones(1000, 301, requires_grad=True)
    out = layer(x)
    is_dropped = out == 0
    assert is_dropped.float().mean().item() == pytest.approx(rate, abs=0.005)
    assert is_dropped.float().mean(dim=0).std().item() < 0.02  # no unit is favoured
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)
    torch.testing.assert_close(out[~is_dropped], torch.full_like(out[~is_dropped], 1 / (1 - rate)), rtol=1e-4, atol=0)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())


def test_dropout_does_nothing_in_evaluation_mode_and_repeats_under_a_seed():
    layer, x = Dropout(0.5), torch.randn(7, 5)
    torch.testing.assert_close(layer.eval()(x), x)
    layer.train()
    with seeded_rng(1):
        first = layer(x)
    with seeded_rng(1):
        torch.testing.assert_close(layer(x), first)
