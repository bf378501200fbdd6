"""Runs to report on: real scikit-learn models trained by successive halving, written as run directories."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from autopytorch_lite.history.files import TrialFiles
from autopytorch_lite.history.store import HistoryStore, write_json_atomic
from autopytorch_lite.history.trial import Finished, Proposal, Proposed, Status, TrialKey
from autopytorch_lite.metrics import Metric, resolve_metric, standard_metrics
from autopytorch_lite.types import Task

BUDGETS = (3, 9, 27)
LOADERS: dict[Task, Callable[[], Any]] = {
    Task.MULTICLASS: load_digits,
    Task.BINARY: load_breast_cancer,
    Task.REGRESSION: load_diabetes,
}


@dataclass
class SmallSearch:
    """A search good enough to look at: random configurations, three rungs, one third promoted each time."""

    path: Path
    task: Task
    n_configurations: int = 18
    seed: int = 0
    clock_s: float = 0.0
    models: dict[int, Any] = field(default_factory=dict)
    curves: dict[int, list[float]] = field(default_factory=dict)
    losses: dict[TrialKey, float] = field(default_factory=dict)
    trajectory: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        data = LOADERS[self.task]()
        X, y = data.data[:600], data.target[:600]
        stratify = y if self.task.is_classification else None
        rows = train_test_split(X, y, test_size=0.33, random_state=0, stratify=stratify)
        self.train_X, self.val_X, self.train_y, self.val_y = rows
        self.scaler = StandardScaler().fit(self.train_X)
        self.target_scale = 1.0 if self.task.is_classification else float(self.train_y.std())
        self.classes = [str(name) for name in data.target_names] if self.task.is_classification else []
        self.n_outputs = len(self.classes) or 1
        self.metric: Metric = resolve_metric(None, self.task, self.n_outputs)
        self.columns = [str(name) for name in data.feature_names]
        self.files = TrialFiles(self.path / "files")

    def run(self, n_rungs: int = 3) -> Path:
        """Evaluate, promote, select; returns the run directory."""
        self.write_description()
        rng = np.random.default_rng(self.seed)
        alive = {i: self.sample(rng) for i in range(self.n_configurations)}
        configs = dict(alive)
        with HistoryStore(self.path) as store:
            for rung, budget in enumerate(BUDGETS[:n_rungs]):
                for config_id in sorted(alive):
                    proposal = self.proposal(config_id, configs[config_id], budget, rung)
                    store.append(Proposed(proposal))
                    store.append(self.evaluate(proposal))
                alive = self.promoted(alive, budget)
        return self.path

    def promoted(self, alive: dict[int, dict[str, Any]], budget: int) -> dict[int, dict[str, Any]]:
        ranked = sorted(
            (i for i in alive if TrialKey(i, budget) in self.losses), key=lambda i: self.losses[TrialKey(i, budget)]
        )
        return {i: alive[i] for i in ranked[: max(len(alive) // 3, 1)]}

    def proposal(self, config_id: int, config: dict[str, Any], budget: int, rung: int) -> Proposal:
        origin = "portfolio" if config_id < 4 else "model" if config_id % 3 else "random"
        previous = BUDGETS[rung - 1] if rung else None
        return Proposal(config_id, config, budget, resume_from=previous, origin=origin, bracket=0, rung=rung)

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        optimizer = str(rng.choice(["adam", "sgd"]))
        backbone = str(rng.choice(["shaped_mlp", "shaped_resnet"]))
        config: dict[str, Any] = {
            "learner:__choice__": "neural",
            "batching:minibatch:batch_size": int(2 ** rng.uniform(4, 8)),
            "backbone:__choice__": backbone,
            f"backbone:{backbone}:max_units": int(2 ** rng.uniform(4, 8)),
            f"backbone:{backbone}:use_dropout": bool(rng.random() < 0.5),
            "optimizer:__choice__": optimizer,
            f"optimizer:{optimizer}:learning_rate": float(10 ** rng.uniform(-4, -1)),
            f"optimizer:{optimizer}:weight_decay": float(10 ** rng.uniform(-5, -1)),
            "preprocessing:__choice__": "none",
        }
        if optimizer == "sgd":
            config["optimizer:sgd:momentum"] = float(rng.uniform(0.1, 0.99))
        if rng.random() < 0.3:
            config["preprocessing:__choice__"] = "truncated_svd"
            config["preprocessing:truncated_svd:target_dim"] = int(rng.integers(2, 2 * len(self.columns)))
        return config

    def evaluate(self, proposal: Proposal) -> Finished:
        started, start = self.clock_s, time.perf_counter()
        status, loss, error, trace, metrics = Status.OK, None, "", "", {}
        try:
            predictions = self.train(proposal)
            loss = self.metric.loss(self.targets, predictions)
            metrics = {m.name: m.value(self.targets, predictions) for m in standard_metrics(self.task, self.n_outputs)}
            self.keep(proposal.key, predictions, loss)
        except ArithmeticError as problem:
            status, error, trace = Status.DIVERGED, str(problem), traceback.format_exc()
        except ValueError as problem:
            status, error, trace = Status.CRASHED, str(problem).splitlines()[0], traceback.format_exc()
        self.clock_s += time.perf_counter() - start
        curve = tuple(self.curves.get(proposal.config_id, ()))
        seconds = self.clock_s - started
        return Finished(proposal.key, status, loss, seconds, curve=curve, metrics=metrics, error=error, traceback=trace,
                        started_s=started, finished_s=self.clock_s)  # fmt: skip

    @property
    def targets(self) -> np.ndarray:
        return self.val_y if self.task.is_classification else self.val_y.reshape(-1, 1)

    def train(self, proposal: Proposal) -> np.ndarray:
        config = proposal.config
        train, val = self.prepared(config)
        model = self.models.setdefault(proposal.config_id, self.model(config))
        curve = self.curves.setdefault(proposal.config_id, [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            while len(curve) < proposal.budget:
                if self.task.is_classification:
                    model.partial_fit(train, self.train_y, classes=np.arange(self.n_outputs))
                    predictions = model.predict_proba(val)
                else:
                    model.partial_fit(train, self.train_y / self.target_scale)
                    predictions = model.predict(val).reshape(-1, 1) * self.target_scale
                curve.append(self.metric.loss(self.targets, predictions))
                if not np.isfinite(curve[-1]) or curve[-1] > 60 * min(curve[0], 10 * self.target_scale):
                    raise ArithmeticError(f"validation loss left all bounds in epoch {len(curve)}")
        return predictions

    def prepared(self, config: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        train, val = self.scaler.transform(self.train_X), self.scaler.transform(self.val_X)
        if config["preprocessing:__choice__"] == "none":
            return train, val
        svd = TruncatedSVD(config["preprocessing:truncated_svd:target_dim"], random_state=0).fit(train)
        return svd.transform(train), svd.transform(val)

    def model(self, config: dict[str, Any]) -> MLPClassifier | MLPRegressor:
        optimizer, backbone = config["optimizer:__choice__"], config["backbone:__choice__"]
        units = config[f"backbone:{backbone}:max_units"]
        cls = MLPClassifier if self.task.is_classification else MLPRegressor
        return cls(
            hidden_layer_sizes=(units,) if backbone == "shaped_mlp" else (units, units),
            solver=optimizer,
            learning_rate_init=config[f"optimizer:{optimizer}:learning_rate"],
            alpha=config[f"optimizer:{optimizer}:weight_decay"],
            momentum=config.get("optimizer:sgd:momentum", 0.9),
            batch_size=config["batching:minibatch:batch_size"],
            random_state=0,
        )

    def keep(self, key: TrialKey, predictions: np.ndarray, loss: float) -> None:
        with self.files.staging(key) as folder:
            np.save(folder / "validation_predictions.npy", predictions)
        self.losses[key] = loss
        self.select()

    def select(self) -> None:
        """The best five with weights by rank: an ensemble to draw, not a method."""
        best = sorted(self.losses, key=lambda key: self.losses[key])[:5]
        weights = np.arange(len(best), 0, -1) / np.arange(len(best), 0, -1).sum()
        blend = sum(w * self.files.validation_predictions(key) for w, key in zip(weights, best, strict=True))
        loss = self.metric.loss(self.targets, blend)
        self.trajectory.append({"seconds": self.clock_s, "loss": loss, "n_members": len(best)})
        members = [{**key._asdict(), "weight": float(w)} for key, w in zip(best, weights, strict=True)]
        single = {**best[0]._asdict(), "loss": self.losses[best[0]]}
        write_json_atomic(self.path / "ensemble.json", {
            "format": 1, "metric": self.metric.label, "loss": loss, "members": members,
            "n_candidates": len(self.losses), "best_single": single, "trajectory": self.trajectory,
        })  # fmt: skip

    def write_description(self) -> None:
        write_json_atomic(self.path / "run.json", {
            "format": 1, "created": "2026-01-01T00:00:00+00:00", "task": self.task.value,
            "metric": self.metric.label, "seed": 0,
            "request": {"metric": self.metric.name}, "arguments": {"time_limit": 30, "n_jobs": 1, "metric": None},
            "versions": {"autopytorch-lite": "0.1.0", "numpy": np.__version__},
            "dataset": {
                "fingerprint": "0" * 8, "n_rows": len(self.train_X) + len(self.val_X), "n_columns": len(self.columns),
                "columns": [{"name": name, "kind": "numeric"} for name in self.columns],
                "classes": self.classes or None, "target_names": ["target"], "resampling": "0.33",
            },
        })  # fmt: skip
        (self.path / "files").mkdir(exist_ok=True)
        np.save(self.path / "files" / "validation_targets.npy", self.targets)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Task, Path]]:
    """One finished run for each task, with rows held out."""
    runs = {}
    for task in Task:
        path = SmallSearch(tmp_path_factory.mktemp(f"run_{task.value}"), task).run()
        (path / "DONE").touch()
        runs[task] = path
    holdout = {"rows": 150, "metrics": {"accuracy": 0.951, "neg_log_loss": 0.17, "balanced_accuracy": 0.949}}
    write_json_atomic(runs[Task.MULTICLASS] / "holdout.json", holdout)
    yield runs


@pytest.fixture
def small_search() -> type[SmallSearch]:
    return SmallSearch
