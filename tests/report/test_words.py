import pytest

from autopytorch_lite.report.words import (
    duration,
    hyperparameter_words,
    loss_words,
    measured,
    metric_words,
    number,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (125, "2 min 05 s"),
        (7620, "2 h 07 min"),
        (3600, "1 h"),
    ],
)
def test_durations(seconds: float | None, text: str):
    assert duration(seconds) == text


def test_a_score_is_told_apart_from_an_error():
    assert loss_words("neg_log_loss") == "log loss"
    assert loss_words("accuracy") == "1 − accuracy"
    assert metric_words("neg_root_mean_squared_error") == "RMSE"


def test_hyperparameters_are_shortened_but_stay_distinct():
    assert hyperparameter_words("optimizer:sgd:learning_rate") == "sgd learning rate"
    assert hyperparameter_words("optimizer:__choice__") == "optimizer"
    assert hyperparameter_words("optimizer:*:learning_rate") == "optimizer learning rate"
    assert hyperparameter_words("x") == "x"


def test_losses_keep_four_digits():
    assert [measured(value) for value in (0.98, 57.314, 0.1, 12345.6, 1e-6, None)] == [
        "0.9800", "57.31", "0.1000", "12,346", "1e-06", "–",
    ]  # fmt: skip


def test_numbers():
    assert [number(value) for value in (None, float("nan"), 3, 2.0, 0.123456, 12345678)] == [
        "–", "–", "3", "2", "0.1235", "12,345,678",
    ]  # fmt: skip
