import pytest

from autopytorch_lite.pipeline.rounds import MAX_STEP, MIN_ROUNDS, curve_epochs, rounds_at, step_at


@pytest.mark.parametrize(("epoch", "rounds"), [(1, MIN_ROUNDS), (5, 67), (15, 200)])
def test_an_epoch_is_a_share_of_the_rounds_but_not_too_few(epoch: int, rounds: int) -> None:
    assert rounds_at(epoch, 15, 200) == rounds


def test_a_single_round_is_one_at_every_budget() -> None:
    assert {rounds_at(epoch, 9, 1) for epoch in range(1, 10)} == {1}


def test_the_curve_reads_few_stages_on_a_fixed_grid() -> None:
    assert curve_epochs(100, 100) == [1, *range(10, 101, 10)]
    assert curve_epochs(25, 100) == [1, 10, 20, 25]
    assert curve_epochs(3, 3) == [1, 2, 3]


def test_fewer_rounds_take_larger_steps_up_to_a_limit() -> None:
    assert step_at(100, 100, 0.05) == 0.05
    assert step_at(50, 100, 0.05) == pytest.approx(0.1)
    assert step_at(12, 100, 0.05) == MAX_STEP
    assert step_at(12, 100, 0.5) == 0.5, "a large step is left as it is"
