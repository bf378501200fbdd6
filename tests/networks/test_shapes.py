import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopytorch_lite.errors import UnknownNameError
from autopytorch_lite.networks.shapes import (
    SHAPES,
    group_dropouts,
    hidden_widths,
    layer_dropouts,
    residual_widths,
)


@pytest.mark.parametrize(
    ("num_layers", "n_inputs", "n_outputs", "max_units", "widths"),
    [
        (1, 10, 2, 64, []),
        (2, 10, 2, 64, [64]),
        (4, 10, 2, 64, [64, 44, 24]),  # step trunc(62 / 3) = 20
        (3, 100, 2, 64, [100, 51]),  # a table wider than max_units widens the first layer
        (4, 10, 100, 64, [64, 64, 64]),  # never widens towards more outputs
    ],
)
def test_funnel_follows_the_papers_law(num_layers, n_inputs, n_outputs, max_units, widths):
    assert hidden_widths("funnel", num_layers, n_inputs, n_outputs, max_units) == widths


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ("brick", [60, 60, 60, 60, 60, 60]),
        ("funnel", [60, 50, 40, 30, 20, 10]),
        ("triangle", [20, 28, 36, 44, 52, 60]),
        ("long_funnel", [60, 60, 60, 60, 40, 20]),
        ("diamond", [28, 44, 60, 45, 30, 15]),
        ("hexagon", [28, 44, 60, 60, 40, 20]),
        ("stairs", [60, 60, 40, 40, 20, 20]),
    ],
)
def test_each_shape_for_six_hidden_layers(shape, widths):
    assert hidden_widths(shape, 7, 12, 0, 60) == widths


@given(
    shape=st.sampled_from(SHAPES),
    num_layers=st.integers(1, 20),
    n_inputs=st.integers(1, 300),
    n_outputs=st.integers(1, 300),
    max_units=st.integers(1, 300),
)
def test_every_shape_has_the_right_length_and_range(shape, num_layers, n_inputs, n_outputs, max_units):
    widths = hidden_widths(shape, num_layers, n_inputs, n_outputs, max_units)
    peak = max(n_inputs, max_units)
    assert len(widths) == num_layers - 1
    assert not widths or max(widths) == peak
    assert all(min(n_inputs, n_outputs, peak) <= width <= peak for width in widths)


def test_residual_widths_start_the_funnel_two_layers_early():
    assert residual_widths("funnel", 2, 10, 4, 64) == [64, 44, 24]  # L = 4, without the output layer


def test_dropout_rates_fall_linearly_from_the_maximum():
    assert layer_dropouts("funnel", 5, 0.8) == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert layer_dropouts("funnel", 1, 0.8) == []


def test_the_last_of_several_groups_has_no_dropout():
    assert group_dropouts("funnel", 3, 0.8) == pytest.approx([0.8, 0.4, 0.0])


def test_a_single_group_has_the_maximum_dropout():
    assert group_dropouts("funnel", 1, 0.8) == [0.8]


def test_unknown_shape_offers_the_closest():
    with pytest.raises(UnknownNameError, match="funnel"):
        hidden_widths("funel", 3, 1, 1, 1)
