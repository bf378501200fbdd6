import json
import math

import pytest
import torch

from autopytorch_lite.training import schedules

FACTORIES = {
    "none": schedules.constant(),
    "cosine_annealing": schedules.cosine_annealing(),
    "warm_restarts": schedules.cosine_annealing_warm_restarts(T_0=3),
    "alternating_cosine": schedules.alternating_cosine(T_max=3),
    "cyclic": schedules.cyclic(),
    "exponential": schedules.exponential(),
    "step": schedules.step(),
    "cosine_with_warmup": schedules.cosine_with_warmup(),
    "one_cycle": schedules.one_cycle(),
    "cosine_log": schedules.cosine_log(),
    "plateau": schedules.plateau(patience=1),
    "adaptive": schedules.adaptive(T_max=4, patience=1),
}


def optimizer_at(rate):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(factory, n_epochs, *, base=1.0, max_epochs=10, scores=None):
    """Learning rate in each epoch."""
    optimizer = optimizer_at(base)
    schedule = factory(optimizer, max_epochs)
    result = []
    for epoch in range(n_epochs):
        result.append(optimizer.param_groups[0]["lr"])
        schedule.step(scores[epoch] if scores else 1.0)
    return result


def test_cosine_follows_the_papers_law_and_stays_flat():
    result = rates(schedules.cosine_annealing(T_max=4, eta_min=0.2), 8)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(5)]
    assert result == pytest.approx([*expected, 0.2, 0.2, 0.2])


def test_cosine_is_laid_out_for_max_epochs():
    assert rates(schedules.cosine_annealing(eta_min=0.0), 6, max_epochs=10)[5] == pytest.approx(0.5)


def test_cosine_agrees_with_torch_up_to_T_max():
    optimizer = optimizer_at(0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=1e-8)
    expected = []
    for _ in range(10):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates(schedules.cosine_annealing(), 10, base=0.3) == pytest.approx(expected)


def test_warm_restarts_lengthen():
    result = rates(schedules.cosine_annealing_warm_restarts(T_0=2, T_mult=2, eta_min=0.0), 7)
    assert result == pytest.approx([1, 0.5, 1, 0.853553, 0.5, 0.146447, 1], abs=1e-6)


def test_alternating_cosine_falls_and_rises_to_lower_peaks():
    result = rates(schedules.alternating_cosine(T_max=2, amplitude_reduction=0.5, eta_min=0.0), 9)
    assert result == pytest.approx([1, 0.5, 0, 0.25, 0.5, 0.25, 0, 0.125, 0.25])


def test_cyclic_is_a_triangle():
    assert rates(schedules.cyclic(4, 0.2, 1.0), 6) == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.6])


def test_exponential_and_step():
    assert rates(schedules.exponential(0.5), 4) == [1, 0.5, 0.25, 0.125]
    assert rates(schedules.step(2, 0.1), 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert rates(schedules.constant(), 3) == [1, 1, 1]


def test_warmup_rises_linearly_then_falls():
    result = rates(schedules.cosine_with_warmup(warmup_epochs=3, eta_min=0.0), 11)
    assert result[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, (1 + math.cos(math.pi / 7)) / 2])
    assert result[10] == 0
    assert rates(schedules.cosine_with_warmup(warmup_epochs=5), 1, max_epochs=1) == [1.0]


def test_one_cycle_peaks_at_the_base_rate():
    result = rates(schedules.one_cycle(), 11)
    assert result[0] == pytest.approx(1 / 25)
    assert result[3] == 1.0 == max(result)
    assert result[10] == pytest.approx(1 / 25 / 1e4)


def test_cosine_log_has_waves_that_double_and_moves_with_every_step():
    optimizer = optimizer_at(2.0)
    schedule = schedules.cosine_log(n_cycles=2)(optimizer, 3)  # waves of one and two epochs
    result = []
    for _ in range(3):
        for share in (0.0, 0.5):
            schedule.begin_step(share)
            result.append(optimizer.param_groups[0]["lr"])
        schedule.step(1.0)
    peak_share = (1 - math.cos(2 * math.pi * math.log2(1.5))) / 2
    assert result[:3] == pytest.approx([0, 2 * peak_share, 0], abs=1e-9)
    assert result[3] == pytest.approx(1 - math.cos(2 * math.pi * math.log2(2.5)))
    assert max(result[2:]) > 1.8


def test_cosine_log_lets_the_decay_fade_and_leaves_its_base():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0, weight_decay=0.2)
    schedule = schedules.cosine_log()(optimizer, 4)
    decays = []
    for _ in range(4):
        decays.append(optimizer.param_groups[0]["weight_decay"])
        schedule.step(1.0)
    assert decays == pytest.approx([0.2, 0.2, 0.2, 0.1])


def test_plateau_reacts_to_the_score():
    scores = [1.0, 0.5, 0.5, 0.5, 0.5, 0.2]
    assert rates(schedules.plateau(0.1, patience=1), 6, scores=scores) == pytest.approx([1, 1, 1, 1, 0.1, 0.1])


def test_adaptive_restarts_when_the_score_stalls():
    factory = schedules.adaptive(T_max=4, T_mult=2, patience=1, threshold=0.1, eta_min=0.0)
    scores = [1.0, 0.5, 0.49, 0.48, 0.1, 0.1, 0.1]
    half = (1 + math.cos(math.pi / 8)) / 2  # one epoch into the second cycle, which lasts 8
    assert rates(factory, 6, scores=scores) == pytest.approx([1, 0.853553, 0.5, 0.146447, 1, half], abs=1e-6)


@pytest.mark.parametrize("name", FACTORIES)
def test_state_is_json_and_continues_exactly(name):
    scores = [1.0, 0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4]
    whole = rates(FACTORIES[name], 10, scores=scores)
    optimizer = optimizer_at(1.0)
    schedule = FACTORIES[name](optimizer, 10)
    for score in scores[:5]:
        schedule.step(score)
    state = json.loads(json.dumps(schedule.state_dict()))
    continued = optimizer_at(1.0)
    restored = FACTORIES[name](continued, 10)
    continued.load_state_dict(optimizer.state_dict())
    restored.load_state_dict(state)
    result = []
    for score in scores[5:]:
        result.append(continued.param_groups[0]["lr"])
        restored.step(score)
    assert result == whole[5:]


@pytest.mark.parametrize("name", FACTORIES)
def test_every_parameter_group_keeps_its_own_base_rate(name):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    schedule = FACTORIES[name](optimizer, 10)
    for _ in range(4):
        schedule.step(1.0)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.1 * optimizer.param_groups[0]["lr"], rel=1e-3, abs=1e-7)
