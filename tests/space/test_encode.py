import itertools
import math
import time

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Constant, OrdinalHyperparameter
from ConfigSpace.conditions import (
    AndConjunction,
    EqualsCondition,
    GreaterThanCondition,
    InCondition,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    NormalFloatHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.space.compile import compile
from autopytorch_lite.space.configuration import check_config, from_config, to_config
from autopytorch_lite.space.encode import VectorCodec

CHOICES = [("a", "b"), ("a", "b", "c"), (True, False), (1, 2, 5), (0.1, 0.5)]


@st.composite
def hyperparameters(draw, name):
    """One hyperparameter of any supported kind."""
    kind = draw(st.sampled_from(["float", "int", "category", "ordinal", "constant"]))
    log = draw(st.booleans())
    if kind == "float":
        low = draw(st.floats(1e-8, 1e3) if log else st.floats(-1e3, 1e3))
        width = draw(st.floats(1e-3, 1e3))
        return UniformFloatHyperparameter(name, low, low * (1 + width) if log else low + width, log=log)
    if kind == "int":
        low = draw(st.integers(1, 100) if log else st.integers(-50, 100))
        return UniformIntegerHyperparameter(name, low, low + draw(st.integers(1, 1000)), log=log)
    if kind == "category":
        return CategoricalHyperparameter(name, draw(st.sampled_from(CHOICES)))
    if kind == "ordinal":
        return OrdinalHyperparameter(name, draw(st.sampled_from([("s", "m", "l"), (1, 4, 16)])))
    return Constant(name, draw(st.sampled_from([3, 0.5, "x", True])))


@st.composite
def conditional_spaces(draw):
    """Spaces in which hyperparameters depend on up to two categorical ones before them.

    Only equality, membership and "and": on other conditions with inactive parents ConfigSpace contradicts itself.
    """
    space = ConfigurationSpace(seed=draw(st.integers(0, 2**16)))
    made = []
    for i in range(draw(st.integers(1, 9))):
        child = draw(hyperparameters(f"h{i}"))
        space.add(child)
        parents = [h for h in made if isinstance(h, CategoricalHyperparameter)]
        if parents and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique_by=lambda h: h.name))
            conditions = [draw(conditions_on(child, parent)) for parent in chosen]
            space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
        made.append(child)
    return space


def conditions_on(child, parent):
    values = st.sampled_from(parent.choices)
    return st.one_of(
        values.map(lambda value: EqualsCondition(child, parent, value)),
        st.lists(values, min_size=1, unique=True).map(lambda many: InCondition(child, parent, many)),
    )


def assert_same(found, expected):
    """The same names, the same values; floats to the digits that decoding keeps."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, float):
            assert found[name] == pytest.approx(value, rel=1e-10, abs=1e-8)
        else:
            assert found[name] == value
            assert type(found[name]) is type(value)


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(conditional_spaces())
def test_decoding_undoes_encoding(space):
    codec = VectorCodec(space)
    for configuration in space.sample_configuration(5):
        config = to_config(configuration)
        decoded = codec.decode(codec.encode(config))
        assert_same(decoded, config)
        assert codec.decode(codec.encode(decoded)) == decoded


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(conditional_spaces(), st.integers(0, 2**16))
def test_samples_are_legal_and_survive_the_round_trip_exactly(space, seed):
    codec = VectorCodec(space)
    rng = np.random.default_rng(seed)
    for config in (codec.sample(rng) for _ in range(5)):
        from_config(config, space)
        vector = codec.encode(config)
        assert codec.decode(vector) == config
        assert np.array_equal(codec.encode(codec.decode(vector)), vector, equal_nan=True)


@settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(conditional_spaces(), st.integers(0, 2**16))
def test_any_vector_decodes_to_a_legal_configuration(space, seed):
    """Also one with numbers outside of the axes and NaN anywhere."""
    codec = VectorCodec(space)
    rng = np.random.default_rng(seed)
    vector = rng.normal(0.5, 2.0, codec.n_dims)
    vector[rng.random(codec.n_dims) < 0.3] = np.nan
    check_config(codec.decode(vector), space)


@settings(max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(conditional_spaces())
def test_vectors_lie_on_their_axes_and_are_nan_exactly_where_inactive(space):
    codec = VectorCodec(space)
    configs = [to_config(configuration) for configuration in space.sample_configuration(4)]
    vectors = codec.encode_many(configs)
    assert vectors.shape == (4, codec.n_dims)
    assert vectors.dtype == np.float64
    for config, vector in zip(configs, vectors, strict=True):
        for name, kind, n_choices, position in zip(codec.names, codec.kinds, codec.n_choices, vector, strict=True):
            assert math.isnan(position) == (name not in config)
            if name in config:
                assert position in range(n_choices) if kind == "categorical" else 0.0 <= position <= 1.0


def test_constants_have_no_dimension_and_are_put_back(graph, categorical_info):
    space = compile(graph, {"backbone:__choice__": "mlp", "learner:__choice__": "neural"}, categorical_info)
    codec = VectorCodec(space)
    assert "backbone:__choice__" not in codec.names
    assert "schedule:cosine:T_max" not in codec.names
    config = codec.default() | {"schedule:__choice__": "cosine"}
    config = codec.decode(codec.encode(config))
    assert config["backbone:__choice__"] == "mlp"
    assert config["schedule:cosine:T_max"] == "max_budget"


def test_parents_come_before_children(graph, categorical_info):
    names = VectorCodec(compile(graph, None, categorical_info)).names
    assert names.index("learner:__choice__") < names.index("backbone:__choice__") < names.index("backbone:mlp:shape")
    assert names.index("backbone:mlp:use_dropout") < names.index("backbone:mlp:max_dropout")


def test_kinds_and_numbers_of_choices(graph, info):
    codec = VectorCodec(compile(graph, None, info))
    described = dict(zip(codec.names, zip(codec.kinds, codec.n_choices.tolist(), strict=True), strict=True))
    assert described["backbone:mlp:shape"] == ("categorical", 3)
    assert described["backbone:mlp:use_dropout"] == ("categorical", 2)
    assert described["backbone:mlp:num_layers"] == ("continuous", 0)
    assert described["learner:trees:learning_rate"] == ("continuous", 0)


@pytest.mark.parametrize(
    ("hyperparameter", "value", "position"),
    [
        (UniformFloatHyperparameter("x", 0.0, 4.0), 1.0, 0.25),
        (UniformFloatHyperparameter("x", 1e-4, 1.0, log=True), 1e-3, 0.25),
        (UniformFloatHyperparameter("x", 1e-4, 1.0, log=True), 1.0, 1.0),
        (UniformIntegerHyperparameter("x", 1, 4), 1, 0.125),
        (UniformIntegerHyperparameter("x", 1, 4), 4, 0.875),
        (UniformIntegerHyperparameter("x", 1, 4, log=True), 2, math.log(4) / math.log(9)),
        (CategoricalHyperparameter("x", ["a", "b", "c"]), "c", 2.0),
        (OrdinalHyperparameter("x", ["s", "m"]), "m", 0.75),
    ],
)
def test_axes(hyperparameter, value, position):
    space = ConfigurationSpace()
    space.add(hyperparameter)
    assert VectorCodec(space).encode({"x": value})[0] == pytest.approx(position)


def test_uniform_vectors_make_all_values_equally_likely():
    space = ConfigurationSpace()
    space.add(UniformIntegerHyperparameter("n", 1, 4), CategoricalHyperparameter("c", [True, False]))
    codec = VectorCodec(space)
    rng = np.random.default_rng(0)
    samples = [codec.sample(rng) for _ in range(4000)]
    for value in (1, 2, 3, 4):
        assert sum(sample["n"] == value for sample in samples) == pytest.approx(1000, abs=120)
    assert sum(sample["c"] for sample in samples) == pytest.approx(2000, abs=170)


def test_alternatives_and_negations():
    space = ConfigurationSpace()
    a, b = CategoricalHyperparameter("a", ["x", "y", "z"]), CategoricalHyperparameter("b", [True, False])
    child = Constant("c", 1)
    space.add(a, b, child)
    space.add(OrConjunction(NotEqualsCondition(child, a, "x"), EqualsCondition(child, b, True)))
    codec = VectorCodec(space)
    active = [(u, v) for u in "xyz" for v in (True, False) if "c" in codec.decode(codec.encode({"a": u, "b": v}))]
    assert active == [("x", True), ("y", True), ("y", False), ("z", True), ("z", False)]


@pytest.mark.parametrize(("condition", "active"), [(LessThanCondition, [1, 2]), (GreaterThanCondition, [4, 5])])
def test_conditions_on_the_size_of_a_number(condition, active):
    space = ConfigurationSpace()
    parent, child = UniformIntegerHyperparameter("n", 1, 5), Constant("c", 1)
    space.add(parent, child)
    space.add(condition(child, parent, 3))
    codec = VectorCodec(space)
    assert [n for n in range(1, 6) if "c" in codec.decode(codec.encode({"n": n}))] == active


def test_missing_position_of_an_active_name_means_its_default(graph, info):
    codec = VectorCodec(compile(graph, None, info))
    assert codec.decode(np.full(codec.n_dims, np.nan)) == codec.default()


def test_same_generator_state_same_samples(graph, info):
    codec = VectorCodec(compile(graph, None, info))
    first, second = ([codec.sample(rng) for _ in range(5)] for rng in map(np.random.default_rng, (7, 7)))
    assert first == second


def test_no_configurations_give_no_rows(graph, info):
    codec = VectorCodec(compile(graph, None, info))
    assert codec.encode_many([]).shape == (0, codec.n_dims)


def test_unknown_names_and_illegal_values_are_refused_by_name(graph, info):
    codec = VectorCodec(compile(graph, None, info))
    with pytest.raises(UnknownNameError, match="did you mean 'backbone:mlp:shape'"):
        codec.encode({"backbone:mlp:shap": "brick"})
    for name, value in [
        ("backbone:mlp:shape", "brik"),
        ("backbone:mlp:num_layers", 9),
        ("learner:trees:learning_rate", 0.0),
        ("learner:trees:learning_rate", "fast"),
    ]:
        with pytest.raises(SpaceError, match=name):
            codec.encode({name: value})
    with pytest.raises(SpaceError, match="has 13 numbers, got 3"):
        codec.decode(np.zeros(3))


def test_kinds_without_a_uniform_axis_are_refused():
    space = ConfigurationSpace()
    space.add(NormalFloatHyperparameter("x", mu=0, sigma=1, lower=-1, upper=1))
    with pytest.raises(SpaceError, match="'x' is a NormalFloat"):
        VectorCodec(space)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda config: config.pop("backbone:mlp:shape"), SpaceError, "'backbone:mlp:shape' is missing"),
        (lambda config: config.update({"backbone:mlp:steps": 3}), SpaceError, "'backbone:mlp:steps' is inactive"),
        (
            lambda config: config.update({"backbone:mlp:num_layers": 0}),
            SpaceError,
            "backbone:mlp:num_layers must be in",
        ),
        (
            lambda config: config.update({"backbone:mlp:num_layers": 2.5}),
            SpaceError,
            "backbone:mlp:num_layers must be in",
        ),
        (lambda config: config.update({"backbone:mlp:depth": 3}), UnknownNameError, "backbone:mlp:depth"),
    ],
)
def test_check_says_what_is_wrong_with_a_configuration(graph, info, change, error, message):
    space = compile(graph, None, info)
    config = VectorCodec(space).default()
    check_config(config, space)
    change(config)
    with pytest.raises(error, match=message):
        from_config(config, space)


def test_decoding_forty_dimensions_takes_a_fraction_of_a_millisecond():
    """ConfigSpace needs milliseconds; searchers decode thousands of vectors."""
    space = ConfigurationSpace()
    root = CategoricalHyperparameter("root", ["x", "y"])
    space.add(root)
    for i in range(13):
        gate = CategoricalHyperparameter(f"gate{i}", ["x", "y"])
        rate = UniformFloatHyperparameter(f"rate{i}", 1e-5, 0.1, log=True)
        units = UniformIntegerHyperparameter(f"units{i}", 16, 512, log=True)
        space.add(gate, rate, units)
        space.add(EqualsCondition(rate, gate, "x"))
    codec = VectorCodec(space)
    assert codec.n_dims == 40
    vector = codec.encode(codec.default())
    fastest = min(_seconds(lambda: [codec.decode(vector) for _ in range(20)]) for _ in range(5))
    assert fastest / 20 < 5e-4  # about 5e-5 on an idle machine


def _seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def test_every_value_of_a_long_integer_range_survives():
    for log, low in itertools.product((True, False), (1, 2, 100)):
        space = ConfigurationSpace()
        space.add(UniformIntegerHyperparameter("n", low, low + 2000, log=log))
        codec = VectorCodec(space)
        assert all(codec.decode(codec.encode({"n": n}))["n"] == n for n in range(low, low + 2001))


@given(st.floats(1e-5, 0.1).map(lambda value: float(f"{value:.6g}")), st.booleans())
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
def test_numbers_as_people_write_them_survive_exactly(value, log):
    """Without rounding, 0.002 on a log axis came back as 0.0020000000000000005."""
    space = ConfigurationSpace()
    space.add(UniformFloatHyperparameter("x", 1e-5, 0.1, log=log))
    codec = VectorCodec(space)
    assert codec.decode(codec.encode({"x": value})) == {"x": value}
