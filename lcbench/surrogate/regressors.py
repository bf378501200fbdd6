"""Four families of regression, fitted with scikit-learn and kept as arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.neural_network import MLPRegressor

from autopytorch_lite.types import Array, FloatArray
from lcbench.surrogate.predictors import GaussianProcesses, Networks, Predictor, Trees, matern

N_TREES = 100
N_ROUNDS = 200
LEARNING_RATE = 0.06
N_NETWORKS = 5
HIDDEN = (32, 32)
N_FOR_LENGTHS = 250
N_FOR_VARIANCE = 250

Fit: TypeAlias = Callable[[FloatArray, FloatArray, int], Predictor]
"""From features, shape (n, n_columns), weights of variance about 1, shape (n, n_weights), and a seed."""


@dataclass(frozen=True)
class Family:
    """How a kind of regression is fitted, and what holds it afterwards."""

    fit: Fit
    predictor: type[Predictor]


def fit_forest(x: FloatArray, y: FloatArray, seed: int) -> Trees:
    """A random forest for each weight; its trees disagree where little is known."""
    forests = [
        RandomForestRegressor(n_estimators=N_TREES, max_features=0.6, random_state=seed).fit(x, target)
        for target in y.T
    ]
    trees = [[tree.tree_ for tree in forest.estimators_] for forest in forests]
    return Trees.packed(trees, base=[0.0] * len(trees), scale=1 / N_TREES, spread=1.0)


def fit_boosting(x: FloatArray, y: FloatArray, seed: int) -> Trees:
    """Gradient boosting for each weight. It has no opinion about its own uncertainty."""
    settings = {"max_depth": 4, "min_samples_leaf": 4, "subsample": 0.7, "init": "zero", "random_state": seed}
    boosters = [
        GradientBoostingRegressor(n_estimators=N_ROUNDS, learning_rate=LEARNING_RATE, **settings).fit(
            x, target - target.mean()
        )
        for target in y.T
    ]
    trees = [[tree.tree_ for tree in booster.estimators_[:, 0]] for booster in boosters]
    return Trees.packed(trees, base=y.mean(axis=0).tolist(), scale=LEARNING_RATE, spread=0.0)


def fit_networks(x: FloatArray, y: FloatArray, seed: int) -> Networks:
    """Networks that differ in where they began, all weights at once."""
    networks = []
    for member in range(N_NETWORKS):
        network = MLPRegressor(
            hidden_layer_sizes=HIDDEN,
            activation="tanh",
            solver="lbfgs",
            alpha=0.3,
            max_iter=400,
            random_state=1000 * seed + member,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the limit on iterations is meant
            networks.append(network.fit(x, y if y.shape[1] > 1 else y[:, 0]))
    layers = [np.stack([network.coefs_[i] for network in networks]) for i in range(3)]
    biases = [np.stack([network.intercepts_[i][None] for network in networks]) for i in range(3)]
    return Networks(layers[0], biases[0], layers[1], biases[1], layers[2], biases[2])


def fit_gaussian_processes(x: FloatArray, y: FloatArray, seed: int) -> GaussianProcesses:
    """Gaussian processes of all rows; their lengthscales and noise maximise the likelihood of some of them."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    parts = zip(*(_process(x, target) for target in y.T), strict=True)
    return GaussianProcesses(x, *(np.stack(part) for part in parts))


def _process(x: FloatArray, y: FloatArray) -> Sequence[Array]:
    """Lengthscales, variance, coefficients and precision of one weight."""
    matern_kernel = Matern(np.ones(x.shape[1]), (0.05, 50.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.05, 50.0)) * matern_kernel + WhiteKernel(0.1, (1e-4, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a column that does not matter ends at the largest length
        process = GaussianProcessRegressor(kernel, alpha=0.0).fit(x[:N_FOR_LENGTHS], y[:N_FOR_LENGTHS])
    fitted = process.kernel_
    variance, lengths, noise = fitted.k1.k1.constant_value, fitted.k1.k2.length_scale, fitted.k2.noise_level
    covariance = variance * matern(x / lengths, x / lengths) + noise * np.eye(len(x))
    precision = np.linalg.inv(covariance[:N_FOR_VARIANCE, :N_FOR_VARIANCE])
    return np.atleast_1d(lengths), np.array(variance), np.linalg.solve(covariance, y), precision


FAMILIES = {
    "forest": Family(fit_forest, Trees),
    "boosting": Family(fit_boosting, Trees),
    "network": Family(fit_networks, Networks),
    "gaussian_process": Family(fit_gaussian_processes, GaussianProcesses),
}
"""Families of regression by name."""
