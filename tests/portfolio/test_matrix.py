from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from hypothesis import given, settings
from hypothesis import strategies as st

from autopytorch_lite.errors import PortfolioError, SpaceError, UnknownNameError
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.search.sampling import ConfigurationSampler
from autopytorch_lite.space.encode import VectorCodec
from tests.search.spaces import flat_space, spaces, tree_space

LINEAR = {"net": "linear", "optimizer": "adam", "epochs": 50}
MLP = {"net": "mlp", "depth": 3, "use_dropout": False, "optimizer": "adam", "epochs": 50}
SGD = {"net": "mlp", "depth": 5, "use_dropout": True, "rate": 0.25, "optimizer": "sgd", "momentum": 0.9, "epochs": 50}


def matrix_of(n_tasks: int = 3, n_configs: int = 20, space=None, seed: int = 0, **changes) -> PerformanceMatrix:
    space, rng = space or flat_space(), np.random.default_rng(seed)
    codec = VectorCodec(space)
    configs = [codec.decode(codec.sample_vector(rng).astype(np.float32)) for _ in range(n_configs)]
    shape = (n_tasks, n_configs, 3)
    losses = rng.random(shape)
    losses[rng.random(shape) < 0.1] = np.nan
    fields = {
        "space": space,
        "configs": configs,
        "tasks": [f"task{i}" for i in range(n_tasks)],
        "budgets": [2, 6, 17],
        "losses": losses,
        "seconds": np.cumsum(rng.lognormal(2, 1, shape), axis=2),
        "provenance": {"source": "a test", "n": 3},
        "found_on": [["", "task0", "task1"][i % 3] for i in range(n_configs)],
    }
    return PerformanceMatrix(**(fields | changes))


def same_space(left: ConfigurationSpace, right: ConfigurationSpace) -> bool:
    """Equal hyperparameters and conditions, and the same is forbidden; the order of clauses is not kept."""
    if list(left.values()) != list(right.values()) or set(map(str, left.conditions)) != set(map(str, right.conditions)):
        return False
    rng = np.random.default_rng(0)
    configs = [VectorCodec(left).sample(rng) for _ in range(40)]
    mine, theirs = ConfigurationSampler(left), ConfigurationSampler(right)
    return all(mine.allows(config) == theirs.allows(config) for config in configs)


def same(left: PerformanceMatrix, right: PerformanceMatrix) -> bool:
    names = ("configs", "tasks", "budgets", "provenance", "found_on")
    return (
        same_space(left.space, right.space)
        and all(getattr(left, name) == getattr(right, name) for name in names)
        and all(
            np.array_equal(getattr(left, name), getattr(right, name), equal_nan=True) for name in ("losses", "seconds")
        )
    )


def test_what_it_holds_is_checked_and_cannot_be_changed() -> None:
    matrix = matrix_of()
    assert matrix.losses.dtype == np.float32
    assert matrix.final_losses.shape == (3, 20)
    with pytest.raises(ValueError, match="read-only"):
        matrix.losses[0, 0, 0] = 1.0


INFINITE = np.zeros((3, 20, 3))
INFINITE[1, 4, 2] = np.inf


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"losses": np.zeros((3, 19, 3))}, PortfolioError, r"losses .*\(3, 20, 3\), got \(3, 19, 3\)"),
        ({"seconds": np.zeros((3, 20))}, PortfolioError, r"seconds .*\(3, 20, 3\), got \(3, 20\)"),
        ({"budgets": [2, 17, 6]}, PortfolioError, "ascending"),
        ({"budgets": [0, 6, 17]}, PortfolioError, "at least 1"),
        ({"budgets": [2, 6.5, 17]}, PortfolioError, "whole"),
        ({"tasks": ["a", "b", "a"]}, PortfolioError, "different names"),
        ({"found_on": ["task0"]}, PortfolioError, "found_on must name 20"),
        ({"losses": INFINITE}, PortfolioError, r"losses\[1, 4, 2\]"),
        ({"seconds": np.full((3, 20, 3), -1.0)}, PortfolioError, "negative"),
        ({"configs": [LINEAR] * 20}, SpaceError, "Configuration 0 .*'net'"),
    ],
)
def test_a_contradiction_is_named(changes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        matrix_of(**changes)


def test_a_configuration_that_is_there_twice_is_named() -> None:
    config = matrix_of(n_configs=1).configs[0]
    with pytest.raises(SpaceError, match=r"Configuration 1 .*equals configuration 0"):
        matrix_of(n_configs=2, configs=[config, dict(config)], found_on=())


def test_one_task_can_be_left_out_with_what_was_found_on_it() -> None:
    matrix = matrix_of()
    rest = matrix.without("task1")
    assert rest.tasks == ("task0", "task2")
    kept = [i for i in range(20) if i % 3 != 2]
    assert rest.configs == tuple(matrix.configs[i] for i in kept)
    assert set(rest.found_on) == {"", "task0"}
    assert np.array_equal(rest.losses, matrix.losses[[0, 2]][:, kept], equal_nan=True)
    with pytest.raises(UnknownNameError, match="did you mean 'task1'"):
        matrix.without("task11")


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    matrix = matrix_of()
    matrix.save(tmp_path / "m.npz")
    assert same(PerformanceMatrix.load(tmp_path / "m.npz"), matrix)
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_quantised_it_is_nearly_the_same(tmp_path: Path) -> None:
    matrix = matrix_of(seconds=np.cumsum(np.full((3, 20, 3), 0.5), axis=2) - 0.5)
    matrix.save(tmp_path / "m.npz", quantised=True)
    loaded = PerformanceMatrix.load(tmp_path / "m.npz")
    np.testing.assert_allclose(loaded.losses, matrix.losses, atol=1e-5)
    np.testing.assert_allclose(loaded.seconds, matrix.seconds, rtol=1e-3)
    loaded.save(tmp_path / "again.npz", quantised=True)
    assert same(PerformanceMatrix.load(tmp_path / "again.npz"), loaded)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(space=spaces(), seed=st.integers(0, 2**16), quantised=st.booleans())
def test_any_space_survives_a_file(space, seed: int, quantised: bool, tmp_path_factory) -> None:
    codec, rng = VectorCodec(space), np.random.default_rng(seed)
    configs = list({frozenset(c.items()): c for c in (codec.sample(rng) for _ in range(5))}.values())
    nothing = np.full((1, len(configs), 3), np.nan)
    matrix = matrix_of(space=space, configs=configs, tasks=["a"], losses=nothing, seconds=nothing, found_on=())
    path = tmp_path_factory.mktemp("m") / "m.npz"
    matrix.save(path, quantised=quantised)
    assert same(PerformanceMatrix.load(path), matrix)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_file_is_refused_by_name(part: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    matrix_of().save(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(PortfolioError, match=r"cut\.npz"):
        PerformanceMatrix.load(path)


def test_a_file_with_a_wrong_byte_is_refused_by_name_unless_the_byte_does_not_matter(tmp_path: Path) -> None:
    """np.load does not compare all checksums: it used to return wrong numbers for some of these files."""
    path, matrix = tmp_path / "wrong.npz", matrix_of()
    matrix.save(path)
    content, n_refused = path.read_bytes(), 0
    places = range(0, len(content), 31)
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            assert same(PerformanceMatrix.load(path), matrix)
        except PortfolioError as error:
            assert "wrong.npz" in str(error)
            n_refused += 1
    assert n_refused > 0.8 * len(places)


def rewritten(path: Path, **changes) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes()) | changes
    np.savez_compressed(path, **(arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, r"up to format 1; .*m.npz has format 2"),
        ({"kind": "picture"}, "m.npz must be a performance matrix"),
        ({"budgets": [6, 2, 17]}, "m.npz contradicts itself: budgets"),
        ({"space": {}}, "m.npz is damaged"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(changes: dict, message: str, tmp_path: Path) -> None:
    matrix_of().save(tmp_path / "m.npz")
    rewritten(tmp_path / "m.npz", **changes)
    with pytest.raises(PortfolioError, match=message):
        PerformanceMatrix.load(tmp_path / "m.npz")


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("losses")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name in ("text.npz", "other.npz", "absent.npz"):
        with pytest.raises(PortfolioError, match=name):
            PerformanceMatrix.load(tmp_path / name)


def test_provenance_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(PortfolioError, match="provenance"):
        matrix_of(provenance={"who": object()}).save(tmp_path / "m.npz")


def run_of(*trials: tuple) -> list:
    """Lines of (config_id, config, budget, resume_from, loss or None, seconds, curve)."""
    lines = []
    for number, config, budget, resume_from, loss, seconds, curve in trials:
        proposal = Proposal(number, config, budget, resume_from)
        status = Status.OK if loss is not None else Status.CRASHED
        lines += [Proposed(proposal), Finished(proposal.key, status, loss, seconds, curve)]
    return lines


def test_histories_become_a_matrix_with_all_rungs() -> None:
    first = run_of(
        (0, MLP, 2, None, 0.5, 2.0, ()),
        (1, SGD, 2, None, None, 1.0, ()),
        (0, MLP, 6, 2, 0.4, 4.0, ()),
    )
    second = run_of((0, LINEAR, 6, None, 0.3, 6.0, (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)), (1, MLP, 2, None, 0.9, 3.0, ()))
    cancelled = [Proposed(Proposal(2, SGD, 6)), Finished((2, 6), Status.CANCELLED)]
    matrix = PerformanceMatrix.from_histories(tree_space(), {"a": first, "b": [*second, *cancelled]})
    nan = np.nan
    assert matrix.configs == (MLP, SGD, LINEAR)
    assert matrix.tasks == ("a", "b")
    assert matrix.budgets == (2, 6)
    np.testing.assert_allclose(matrix.losses[0], [[0.5, 0.4], [nan, nan], [nan, nan]], rtol=1e-6)
    np.testing.assert_allclose(matrix.seconds[0], [[2, 6], [1, nan], [nan, nan]])
    np.testing.assert_allclose(matrix.losses[1], [[0.9, nan], [nan, nan], [0.7, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(matrix.seconds[1], [[3, nan], [nan, nan], [2, 6]])


def test_a_trial_of_another_space_is_named() -> None:
    lines = run_of((0, LINEAR, 2, None, 0.1, 1.0, ()), (1, {"net": "cnn"}, 2, None, 0.1, 1.0, ()))
    with pytest.raises(SpaceError, match="Configuration 1 of task 'a'"):
        PerformanceMatrix.from_histories(tree_space(), {"a": lines})
    with pytest.raises(PortfolioError, match="no proposal"):
        PerformanceMatrix.from_histories(tree_space(), {"a": []})
