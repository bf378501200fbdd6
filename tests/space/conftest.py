"""A small graph with every feature the compiler knows, and data sets to compile it for."""

import pytest

from autopytorch_lite.pipeline.graph import (
    Categorical,
    Choice,
    Component,
    Constant,
    Float,
    Int,
    Nothing,
    Sequential,
    Step,
)
from autopytorch_lite.types import DatasetInfo, Task


class Fake(Component):
    """A component made of its name, its hyperparameters, and the data it applies to."""

    name = "fake"

    def __init__(self, name, *hyperparameters, applies=lambda info: True, declare=None):
        self.name = name
        self._declare = declare or (lambda info: hyperparameters)
        self._applies = applies

    def applies(self, info):
        return self._applies(info)

    def hyperparameters(self, info):
        return self._declare(info)

    def build(self, values, info):
        return self.name, dict(values)


def has_categories(info):
    return info.n_categorical > 0


def is_classification(info):
    return info.task.is_classification


def is_regression(info):
    return not info.task.is_classification


def _widths(info):
    return (Int("min_levels", 3, 300, log=True), *(Float(f"width_{j}", 0.0, 1.0) for j in range(info.n_categorical)))


def make_graph():
    mlp = Fake(
        "mlp",
        Int("num_layers", 1, 5),
        Categorical("use_dropout", (False, True)),
        Float("max_dropout", 0.0, 1.0, default=0.2, when={"use_dropout": (True,)}),
        Categorical("shape", ("funnel", "brick", "stairs")),
        Int("steps", 2, 4, when={"shape": ("brick", "stairs"), "use_dropout": (True,)}),
    )
    neural = Sequential(
        "neural",
        (
            Step("batching", Fake("minibatch", Int("batch_size", 16, 512, log=True))),
            Choice("preprocessing", (Nothing(), Fake("svd", Int("target_dim", 10, 256)))),
            Choice(
                "embedding",
                (Fake("none", applies=has_categories), Fake("learned", applies=has_categories, declare=_widths)),
                requires={"preprocessing": ("none",)},
            ),
            Choice("backbone", (mlp, Fake("linear"))),
            Choice("schedule", (Fake("cosine", Constant("T_max", "max_budget")), Fake("flat")), default="flat"),
            Choice(
                "loss",
                (
                    Fake("cross_entropy", applies=is_classification),
                    Fake("weighted", applies=is_classification),
                    Fake("squared_error", applies=is_regression),
                ),
            ),
        ),
        dict,
    )
    trees = Fake("trees", Float("learning_rate", 1e-3, 1.0, log=True, default=0.1))
    return Choice("learner", (neural, trees), default="neural")


@pytest.fixture
def graph():
    return make_graph()


@pytest.fixture
def info():
    """Binary classification without categorical columns."""
    return DatasetInfo(Task.BINARY, 100, n_numeric=5, cardinalities=(), n_outputs=2, class_counts=(50, 50))


@pytest.fixture
def categorical_info():
    """Binary classification with two categorical columns."""
    return DatasetInfo(Task.BINARY, 100, n_numeric=5, cardinalities=(4, 9), n_outputs=2, class_counts=(50, 50))


@pytest.fixture
def regression_info():
    """Regression without categorical columns."""
    return DatasetInfo(Task.REGRESSION, 100, n_numeric=5, cardinalities=(), n_outputs=1)


@pytest.fixture
def fake():
    """Makes components."""
    return Fake
