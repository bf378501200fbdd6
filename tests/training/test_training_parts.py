import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.training import losses, optimizers
from autopytorch_lite.training.device import available_devices, resolve_device, resolve_precision
from autopytorch_lite.training.evaluation import (
    VECTORS_PER_CHUNK,
    class_probabilities,
    evaluation_outputs,
    target_values,
)
from autopytorch_lite.training.regularization import Mixup, Standard
from autopytorch_lite.training.rows import TensorRows
from autopytorch_lite.training.stopping import EarlyStopping, best_epoch

OUTPUTS = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-3.0, 1.0]])
CODES = torch.tensor([0, 1, 1])


# losses


def test_cross_entropy_is_the_negative_log_likelihood_per_row():
    expected = -torch.log_softmax(OUTPUTS, dim=1)[torch.arange(3), CODES]
    torch.testing.assert_close(losses.cross_entropy(OUTPUTS, CODES), expected)


def test_class_weights_follow_the_law_and_survive_absent_classes():
    assert losses.class_weights([6, 3, 0]) == pytest.approx([0.5, 1.0, 3.0])


def test_weighted_cross_entropy_agrees_with_torch_on_all_rows():
    weighted = losses.ClassWeightedCrossEntropy([1, 2])(OUTPUTS, CODES)
    expected = F.cross_entropy(OUTPUTS, CODES, weight=torch.tensor(losses.class_weights([1, 2])))
    torch.testing.assert_close(weighted.mean(), expected)


def test_weighted_cross_entropy_gives_classes_equal_influence():
    weighted = losses.ClassWeightedCrossEntropy([1, 2])(torch.zeros(3, 2), CODES)
    assert weighted[0].item() == pytest.approx((weighted[1] + weighted[2]).item())


def test_smoothing_blends_the_label_with_all_classes():
    plain, smoothed = losses.cross_entropy(OUTPUTS, CODES), losses.smoothed_cross_entropy(0.2)(OUTPUTS, CODES)
    uniform = -torch.log_softmax(OUTPUTS, dim=1).mean(dim=1)
    torch.testing.assert_close(smoothed, 0.8 * plain + 0.2 * uniform)


@pytest.mark.parametrize(
    ("row_loss", "targets"),
    [
        (losses.cross_entropy, CODES),
        (losses.ClassWeightedCrossEntropy([1, 2]), CODES),
        (losses.squared_error, torch.arange(6.0).view(3, 2)),
        (losses.huber(0.5), torch.arange(6.0).view(3, 2)),
    ],
)
def test_the_loss_of_an_ensemble_is_the_mean_of_its_members(row_loss, targets):
    members = torch.stack([OUTPUTS, 2 * OUTPUTS, OUTPUTS - 1], dim=1)
    expected = sum(row_loss(members[:, k], targets) for k in range(3)) / 3
    torch.testing.assert_close(losses.row_losses(members, targets, row_loss), expected)
    torch.testing.assert_close(losses.row_losses(OUTPUTS, targets, row_loss), row_loss(OUTPUTS, targets))


@pytest.mark.parametrize("targets", [torch.zeros(3, 2), torch.zeros(6)])
def test_squared_error_averages_targets(targets):
    torch.testing.assert_close(losses.squared_error(OUTPUTS, targets), torch.tensor([2.5, 0.125, 5.0]))


def test_squared_error_of_flat_targets_does_not_broadcast():
    assert losses.squared_error(torch.zeros(3, 1), torch.tensor([1.0, 2.0, 3.0])).tolist() == [1, 4, 9]


def test_huber_is_linear_beyond_delta():
    result = losses.huber(1.0)(torch.tensor([[0.5], [3.0]]), torch.zeros(2))
    assert result.tolist() == pytest.approx([0.125, 2.5])


# optimisers


def test_weight_decay_of_adam_is_part_of_the_gradient_and_of_adamw_is_not():
    def decayed(factory):
        weight = torch.nn.Parameter(torch.tensor([10.0]))
        weight.grad = torch.tensor([0.0])
        factory([weight]).step()
        return weight.item()

    assert decayed(optimizers.adam(0.1, weight_decay=0.5)) == pytest.approx(9.9)  # a normalised step
    assert decayed(optimizers.adamw(0.1, weight_decay=0.5)) == pytest.approx(9.5)
    assert decayed(optimizers.sgd(0.1, weight_decay=0.5)) == pytest.approx(9.5)
    assert decayed(optimizers.rmsprop(0.1, weight_decay=0.5)) == pytest.approx(9.0)  # gradient / sqrt(0.01 gradient^2)


@pytest.mark.parametrize(
    ("factory", "plain"),
    [
        (optimizers.sgd(0.1, 0.01, 0.9), lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01, foreach=False)),
        (optimizers.adam(0.1, 0.01), lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.01, foreach=False)),
        (optimizers.adamw(0.1, 0.01), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01, foreach=False)),
        (
            optimizers.rmsprop(0.1, 0.01, 0.9, 0.8),
            lambda p: torch.optim.RMSprop(p, 0.1, 0.8, weight_decay=0.01, momentum=0.9, foreach=False),
        ),
    ],
)
def test_fast_updates_equal_the_plain_ones(factory, plain):
    def path(make):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = make([weight])
        for _ in range(5):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
        return weight.detach()

    torch.testing.assert_close(path(factory), path(plain))


# stopping


def test_best_epoch_is_the_first_lowest():
    assert best_epoch([3.0, 1.0, 2.0, 1.0]) == 2
    assert best_epoch([math.nan, 5.0, math.nan]) == 2
    assert best_epoch([math.nan, math.nan]) == 1
    assert best_epoch([]) == 0


def test_small_improvements_do_not_count():
    assert best_epoch([3.0, 2.95, 2.9, 2.8], min_delta=0.15) == 4
    assert EarlyStopping(2, min_delta=0.5).should_stop([3.0, 2.8, 2.6])
    assert not EarlyStopping(2).should_stop([3.0, 2.8, 2.6])


def test_patience_counts_epochs_without_improvement():
    stopping = EarlyStopping(patience=2)
    assert [stopping.should_stop([1.0, 2.0, 2.0, 2.0][:n]) for n in range(5)] == [False, False, False, True, True]


# mixup


def test_mixup_without_alpha_is_the_standard_technique(table, network):
    rng = np.random.default_rng(0)
    one, other = (technique(network(), table[0], losses.cross_entropy, rng) for technique in (Mixup(0.0), Standard()))
    assert torch.equal(one, other)


def test_mixup_blends_embedded_inputs_and_losses(table, network):
    net, batch = network(), table[0]
    result = Mixup(0.7)(net, batch, losses.cross_entropy, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    share, partner = rng.beta(0.7, 0.7), rng.permutation(len(batch))
    embedded = net.embed(batch.dense, batch.codes)
    outputs = net.outputs(share * embedded + (1 - share) * embedded[partner])
    own, other = F.cross_entropy(outputs, batch.targets, reduction="none"), batch.targets[partner]
    expected = share * own + (1 - share) * F.cross_entropy(outputs, other, reduction="none")
    torch.testing.assert_close(result, expected)
    assert not torch.allclose(result, Standard()(net, batch, losses.cross_entropy, rng))


def test_mixup_takes_the_partners_weights(table, network):
    net, rows = network(), table[0]
    weights = torch.zeros(len(rows))
    weights[0] = 1.0
    batch = TensorRows(rows.dense, rows.codes, rows.targets, weights)
    result = Mixup(0.7)(net, batch, losses.cross_entropy, np.random.default_rng(4))
    assert (result != 0).sum() == 2  # row 0 and the row whose partner it is


# evaluation and devices


def test_evaluation_in_chunks_equals_one_pass_and_keeps_the_mode(network):
    net = network(max_dropout=0.5).train()
    n = 2 * VECTORS_PER_CHUNK + 1
    dense, codes = torch.randn(n, 4), torch.randint(-1, 5, (n, 2))
    outputs = evaluation_outputs(net, dense, codes)
    assert net.training
    torch.testing.assert_close(outputs, net.eval()(dense, codes))


def test_predictions_of_classes_and_values():
    probabilities = class_probabilities(OUTPUTS)
    assert probabilities.dtype == torch.float64
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, dtype=torch.float64))
    assert target_values(OUTPUTS).tolist() == OUTPUTS.tolist()


def test_an_ensemble_predicts_the_mean_of_probabilities_and_of_values():
    members = torch.stack([OUTPUTS, 3 * OUTPUTS], dim=1)
    expected = (OUTPUTS.double().softmax(dim=1) + (3 * OUTPUTS.double()).softmax(dim=1)) / 2
    torch.testing.assert_close(class_probabilities(members), expected)
    torch.testing.assert_close(target_values(members), 2 * OUTPUTS.double())


def test_devices_and_precisions_by_name():
    assert resolve_device("cpu") == torch.device("cpu")
    assert str(resolve_device("auto")) in available_devices()
    assert resolve_precision("auto", torch.device("cpu")) == "float32"
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    with pytest.raises(UnknownNameError, match="device 'cuda:77'"):
        resolve_device("cuda:77")
    with pytest.raises(UnknownNameError, match="float32"):
        resolve_precision("float31", torch.device("cpu"))
