from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from autopytorch_lite.errors import BudgetError, DataError, SpaceError, UnknownNameError
from autopytorch_lite.types import Config
from lcbench import Benchmark, Surrogate
from lcbench.cli import main
from lcbench.curves import Recording, read_recording
from lcbench.spaces import Features, space_of
from lcbench.storage import RunRecord
from lcbench.surrogate import evaluate
from lcbench.surrogate.curve_space import Components, CurveSpace, NormalScale
from lcbench.surrogate.model import LEVELS, Calibration
from lcbench.surrogate.onnx_export import export_onnx
from lcbench.surrogate.quality import coverage, skill
from lcbench.surrogate.regressors import FAMILIES
from lcbench.surrogate.yahpo import YahpoSurrogate

N_RUNS, N_EPOCHS = 120, 12
TAG = "Train/val_accuracy"


def drawn(rng: np.random.Generator) -> Config:
    config: Config = {
        "learning_rate": float(10 ** rng.uniform(-4, -1)),
        "units": int(2 ** rng.uniform(4, 10)),
        "optimizer": ["sgd", "adam"][int(rng.integers(2))],
    }
    return config | {"momentum": float(rng.random())} if config["optimizer"] == "sgd" else config


class Recorded:
    """Accuracy climbs faster with the rate, sgd is worse without momentum; noise of 0.3; units / 100 s an epoch."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.configs = [drawn(rng) for _ in range(N_RUNS)]
        self.noise = rng.normal(0, 0.3, (N_RUNS, N_EPOCHS + 2))

    def dataset_names(self) -> list[str]:
        return ["table"]

    def config_ids(self, dataset_name: str) -> list[str]:
        return list(map(str, range(N_RUNS)))

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        config = self.configs[int(config_id)]
        distance = np.log10(float(config["learning_rate"])) + 2
        final = 90 - 8 * abs(distance) - 10 * (1 - float(config.get("momentum", 1.0)))
        steps = np.arange(N_EPOCHS + 2)
        accuracy = final * (1 - 0.6 * np.exp(-steps * (3 + distance) / 6)) + self.noise[int(config_id)]
        log = {TAG: accuracy.tolist(), "Train/val_loss": (100 - accuracy).tolist()}
        return RunRecord({**log, "time": (float(config["units"]) / 100 * steps).tolist()}, {}, config)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return read_recording(Benchmark(Recorded()), "table", TAG)


@pytest.fixture(scope="module")
def surrogate(recording: Recording) -> Surrogate:
    """Fitted to the first 90 runs, the best of all families."""
    space = space_of(recording.table.configs)
    return Surrogate.fit_recordings([recording.part(range(90))], space=space)


@pytest.fixture(scope="module", params=FAMILIES)
def small(request: pytest.FixtureRequest, recording: Recording) -> Surrogate:
    """Of one family, fitted to 40 runs."""
    return Surrogate.fit_recordings([recording.part(range(40))], families=[request.param])


def test_curves_of_other_configurations_are_predicted(surrogate: Surrogate, recording: Recording) -> None:
    others = recording.part(range(90, N_RUNS))
    predicted = surrogate.predict("table", others.table.configs)
    assert predicted.shape == (30, N_EPOCHS)
    for epoch in (1, N_EPOCHS):
        assert spearmanr(predicted[:, epoch - 1], -others.table.losses[:, epoch - 1]).statistic > 0.9
    seconds = surrogate.predict_seconds("table", others.table.configs)
    assert np.median(np.abs(seconds / others.seconds - 1)) < 0.05
    assert (np.diff(seconds, axis=1) >= 0).all()


def test_the_family_with_the_smallest_error_is_chosen(surrogate: Surrogate) -> None:
    found = surrogate.comparison
    assert set(found["family"]) == set(FAMILIES)
    assert sorted(set(found["epoch"])) == [1, 12]
    best = found.loc[found["error"].idxmin(), "family"]
    assert set(found.loc[found["chosen"], "family"]) == {best} == {surrogate.family("table")}
    assert best in ("network", "gaussian_process"), "smooth functions are not for trees"


def test_intervals_hold_as_many_new_curves_as_they_say(surrogate: Surrogate, recording: Recording) -> None:
    others = recording.part(range(90, N_RUNS))
    for level in (0.5, 0.9):
        low, high = surrogate.predict_interval("table", others.table.configs, level)
        assert (low <= surrogate.predict("table", others.table.configs)).all()
        assert coverage(-others.table.losses, low, high) == pytest.approx(level, abs=0.12)
    with pytest.raises(BudgetError, match="level"):
        surrogate.predict_interval("table", others.table.configs, 0.99)


def test_calibration_counts_what_lies_inside() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 2, (400, 2))
    residuals = spread * rng.standard_t(3, (400, 2))  # long tails: a normal distribution would be wrong
    found = Calibration.fit(residuals[:200], spread[:200])
    for level in (0.5, 0.9):
        inside = np.abs(residuals[200:]) <= found.half_width(level, spread[200:])
        assert inside.mean() == pytest.approx(level, abs=0.06)
    assert found.quantiles.shape == (len(LEVELS), 2)


def test_predictions_stay_within_what_was_recorded(surrogate: Surrogate, recording: Recording) -> None:
    rng = np.random.default_rng(1)
    predicted = surrogate.predict("table", [drawn(rng) for _ in range(500)])
    known = -recording.part(range(90)).table.losses
    assert known.min() <= predicted.min() and predicted.max() <= known.max()
    config: Config = {"learning_rate": 0.1, "units": 1024, "optimizer": "adam"}
    edge = {**config, "learning_rate": max(float(config["learning_rate"]) for config in recording.table.configs)}
    beyond, there = (surrogate.predict("table", [{**each, "unknown": 1}]) for each in (config, edge))
    assert beyond == pytest.approx(there)


def test_a_saved_surrogate_predicts_the_same(small: Surrogate, recording: Recording, tmp_path: Path) -> None:
    assert small.save(tmp_path / "folder").parent == tmp_path / "folder"
    fitted, loaded = small, Surrogate.load(tmp_path / "folder")
    configs = recording.table.configs
    assert loaded.family("table") == fitted.family("table")
    assert np.array_equal(loaded.predict("table", configs), fitted.predict("table", configs))
    assert np.array_equal(loaded.predict_seconds("table", configs), fitted.predict_seconds("table", configs))
    assert np.array_equal(loaded.predict_interval("table", configs), fitted.predict_interval("table", configs))
    assert loaded.comparison.equals(fitted.comparison)
    assert loaded.recorded("table") == fitted.recorded("table")


def test_the_packed_trees_predict_as_scikit_learn_does() -> None:
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    x = rng.random((80, 3))
    y = np.column_stack([x[:, 0], np.sin(5 * x[:, 1])])
    mean, deviation = FAMILIES["forest"].fit(x, y, 0).predict(x)
    forest = RandomForestRegressor(n_estimators=100, max_features=0.6, random_state=0).fit(x, y[:, 1])
    assert mean[:, 1] == pytest.approx(forest.predict(x))
    of_trees = np.array([tree.predict(x) for tree in forest.estimators_])
    assert deviation[:, 1] == pytest.approx(of_trees.std(axis=0))


def test_an_onnx_file_predicts_the_same(small: Surrogate, recording: Recording, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(export_onnx(small, "table", tmp_path / "model.onnx"))
    facts = session.get_modelmeta().custom_metadata_map
    names, choices = json.loads(facts["names"]), json.loads(facts["choices"])
    configs = recording.table.configs
    rows = [[_number(config.get(name), choices.get(name)) for name in names] for config in configs]
    value, low, high, seconds = session.run(None, {"hyperparameters": np.array(rows)})
    assert value == pytest.approx(small.predict("table", configs), abs=1e-3)
    assert (low, high) == tuple(pytest.approx(end, abs=1e-3) for end in small.predict_interval("table", configs))
    assert seconds == pytest.approx(small.predict_seconds("table", configs), rel=1e-5)
    with pytest.raises(DataError, match=r"end in \.onnx"):
        export_onnx(small, "table", tmp_path / "model.bin")


def _number(value: Any, choices: list[Any] | None) -> float:
    if value is None:
        return np.nan
    return float(value) if choices is None else float(choices.index(value))


def test_curves_come_back_from_their_weights() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, 21)
    losses = np.exp(-np.outer(rng.random(50), steps)) + rng.random((50, 1))
    seconds = rng.uniform(1, 10, (50, 1)) * steps
    space = CurveSpace.fit(losses, seconds)
    weights = space.weights(losses, seconds)
    assert weights.mean(axis=0) == pytest.approx(0, abs=1e-9) and weights.std(axis=0) == pytest.approx(1)
    assert space.scale.to_values(space.scores(weights)) == pytest.approx(losses, abs=0.15)
    assert space.seconds(weights) == pytest.approx(seconds)
    noise = rng.normal(size=(20_000, weights.shape[1]))
    assert space.scores(noise).std(axis=0) == pytest.approx(space.spread(np.ones_like(weights[:1]))[0], rel=0.05)


def test_a_scale_is_even_and_keeps_the_order() -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 5000)
    scale = NormalScale.fit(values)
    scores = scale.to_scores(values)
    assert abs(scores.mean()) < 0.02 and scores.std() == pytest.approx(1, abs=0.03)
    assert scale.to_values(scores) == pytest.approx(values)
    assert scale.to_values(np.array([-99.0, 99.0])).tolist() == [values.min(), values.max()]
    assert Components.fit(np.ones((5, 3))).rows(np.zeros((1, 1))).tolist() == [[1, 1, 1]], "nothing varies"


def test_a_learning_rate_brings_its_speed() -> None:
    rng = np.random.default_rng(0)
    configs: list[Config] = []
    for number in range(40):
        rates: Config = {"o:sgd:learning_rate": 10 ** -rng.uniform(1, 4), "o:sgd:momentum": rng.uniform(0.1, 0.9)}
        other: Config = {"o:adam:learning_rate": 10 ** -rng.uniform(1, 4)}
        size: Config = {"batch_size": int(2 ** rng.uniform(4, 9))}
        configs.append(
            {"o:__choice__": "adam", **other, **size} if number % 2 else {"o:__choice__": "sgd", **rates, **size}
        )
    features = Features(space_of(configs))
    assert [features.codec.names[speed.learning_rate] for speed in features.speeds] == [
        name for name in features.codec.names if name.endswith("learning_rate")
    ]
    rows = features.encode(configs)
    assert rows.shape == (40, features.n_columns) and ((rows >= 0) & (rows <= 1)).all()
    sgd = next(k for k, speed in enumerate(features.speeds) if speed.momentum is not None) - len(features.speeds)
    speeds = [
        float(c["o:sgd:learning_rate"]) / float(c["batch_size"]) / (1 - float(c["o:sgd:momentum"]))
        for c in configs[::2]
    ]
    assert np.corrcoef(rows[::2, sgd], np.log(speeds))[0, 1] == pytest.approx(1)
    assert (rows[1::2, sgd] == 0.5).all()


def test_skill_of_hopeless_predictions() -> None:
    measured = np.array([1.0, 2, 3])
    assert skill(measured, measured) == {"R2": 1, "Spearman": pytest.approx(1)}
    assert skill(measured, np.full(3, 2.0)) == {"R2": 0, "Spearman": 0}
    assert np.isnan(skill(np.ones(3), measured)["R2"])


def test_losses_are_predicted_as_scores_are() -> None:
    benchmark = Benchmark(Recorded())
    config = Recorded().configs[:5]
    scores, losses = (
        Surrogate.fit(benchmark, tag=tag, families=["gaussian_process"]).predict("table", config)
        for tag in (TAG, "Train/val_loss")
    )
    assert scores == pytest.approx(100 - losses, abs=0.5)


def test_runs_are_held_out_on_the_command_line(tmp_path: Path) -> None:
    record = Recorded()
    runs = {number: record.run("table", number) for number in map(str, range(40))}
    data = {"table": {n: {"log": run.log, "results": {}, "config": run.config} for n, run in runs.items()}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    options = ["surrogate", str(tmp_path / "data.json"), "--out", str(tmp_path / "model")]
    result = CliRunner().invoke(main, [*options, "--families", "gaussian_process"])
    assert result.exit_code == 0, result.output
    assert "Fitted to 80% of the runs" in result.output and "inside 90%" in result.output
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["report.csv", "surrogate.npz"]
    options = ["simulate", str(tmp_path / "model"), "--searcher", "random", "--trainings", "3"]
    result = CliRunner().invoke(main, [*options, "--report", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "page.html").is_file()


def test_the_report_is_about_runs_that_were_held_out() -> None:
    found = evaluate(Benchmark(Recorded()), families=["gaussian_process"], share=0.25)
    assert found["epoch"].tolist() == [1, 12]
    assert (found["Spearman"] > 0.9).all() and (found["R2 of seconds"] > 0.9).all()
    with pytest.raises(BudgetError, match="share of runs"):
        evaluate(Benchmark(Recorded()), share=1.0)


def test_what_cannot_be_fitted_or_asked_is_named(surrogate: Surrogate, recording: Recording) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'forest'"):
        Surrogate.fit_recordings([recording], families=["forst"])
    with pytest.raises(DataError, match="at least 20 runs; 'table' has 5"):
        Surrogate.fit_recordings([recording.part(range(5))])
    with pytest.raises(UnknownNameError, match="did you mean 'table'"):
        surrogate.predict("tables", [])
    with pytest.raises(SpaceError, match="must have 'units'"):
        surrogate.predict("table", [{"learning_rate": 0.1, "optimizer": "adam"}])
    with pytest.raises(SpaceError, match="'adagrad'"):
        surrogate.predict("table", [{"learning_rate": 0.1, "units": 64, "optimizer": "adagrad"}])


def test_other_files_are_refused(surrogate: Surrogate, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Surrogate.load(tmp_path)
    path = surrogate.save(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        Surrogate.load(tmp_path)
    np.savez(path, header=np.frombuffer(b'{"kind": "other", "format": 1}', np.uint8))
    with pytest.raises(DataError, match="is 'other'"):
        Surrogate.load(tmp_path)


def write_yahpo(folder: Path) -> None:
    """A graph with the inputs and outputs of YAHPO's network: output k is k rates, the epoch and the code together."""
    onnx = pytest.importorskip("onnx")
    make, types = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Cast", ["x_cat"], ["code"], to=types.FLOAT),
        make.make_node("MatMul", ["x_cont", "matrix"], ["of_numbers"]),
        make.make_node("Add", ["of_numbers", "code"], ["output"]),
    ]
    matrix = np.zeros((8, 6), np.float32)
    matrix[0], matrix[2] = 1, np.arange(6)
    matrix[0, 0] = -1  # time runs backwards
    graph = make.make_graph(
        nodes,
        "made up",
        [
            make.make_tensor_value_info("x_cat", types.INT32, ["n", 1]),
            make.make_tensor_value_info("x_cont", types.FLOAT, ["n", 8]),
        ],
        [make.make_tensor_value_info("output", types.FLOAT, ["n", 6])],
        [onnx.numpy_helper.from_array(matrix, "matrix")],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    numbers = {"batch_size": (16, 512), "num_layers": (1, 5), "max_units": (64, 1024), "epoch": (1, 52)}
    others = {"learning_rate": (1e-4, 0.1), "momentum": (0.1, 0.99), "weight_decay": (1e-5, 0.1), "max_dropout": (0, 1)}
    items = [
        {"name": name, "type": kind, "lower": low, "upper": high, "log": False}
        for kind, ranges in (("uniform_int", numbers), ("uniform_float", others))
        for name, (low, high) in ranges.items()
    ]
    items.append({"name": "OpenML_task_id", "type": "categorical", "choices": ["17", "18"]})
    (folder / "config_space.json").write_text(json.dumps({"hyperparameters": items}))
    (folder / "encoding.json").write_text(json.dumps({"OpenML_task_id": {"#na#": 0, "17": 100, "18": 200}}))


def test_yahpos_network_is_read(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_yahpo(tmp_path)
    found = YahpoSurrogate(tmp_path, "val_cross_entropy")
    assert (found.dataset_names, found.n_epochs, len(found.space)) == (["17", "18"], 52, 7)
    config: Config = {
        "batch_size": 16, "learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.01, "num_layers": 2,
        "max_units": 64, "max_dropout": 0.5, "seed": 3,
    }  # fmt: skip
    expected = np.arange(1, 53) + 0.1 + 200
    assert found.predict("18", [config, config]) == pytest.approx(np.tile(expected, (2, 1)), rel=1e-5)
    assert (found.predict_seconds("17", [config]) == 100 - 52).all(), "times never fall"
    with pytest.raises(UnknownNameError, match="did you mean '17'"):
        found.predict("167", [config])
    with pytest.raises(SpaceError):
        found.predict("17", [{**config, "num_layers": 6}])
    with pytest.raises(UnknownNameError, match="did you mean 'val_accuracy'"):
        YahpoSurrogate(tmp_path, "val_acuracy")
    (tmp_path / "encoding.json").unlink()
    with pytest.raises(DataError, match=r"lacks encoding\.json"):
        YahpoSurrogate(tmp_path)
