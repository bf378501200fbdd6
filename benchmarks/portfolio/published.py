"""Configurations that others published as good defaults, in this package's names.

Numbers of rounds are ours: the published ones stop early on validation rows, which learners here never do. Settings
that the graph lacks are left out.

Sources:
    TUNED: D. Holzmüller, L. Grinsztajn, I. Steinwart: Better by default. NeurIPS 2024; numbers as in pytabkit 1.7,
        models/sklearn/default_params.py (those for classification; "-regression": for regression).
    TABREPO: D. Salinas, N. Erickson: TabRepo. AutoML-Conf 2024; numbers as in AutoGluon 1.2,
        configs/zeroshot/zeroshot_portfolio_2023.py, by the names they have there.
    LIBRARY: defaults of the libraries themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from autopytorch_lite.types import Config, ConfigValue


def _learner(learner: str, **values: ConfigValue) -> Config:
    return {"learner:__choice__": learner, **{f"learner:{learner}:{name}": value for name, value in values.items()}}


TUNED: Mapping[str, Config] = {
    "lightgbm-td": _learner(
        "lightgbm", learning_rate=0.04, n_estimators=300, num_leaves=50, min_child_samples=40, subsample=0.75
    ),
    "lightgbm-td-regression": _learner(
        "lightgbm", learning_rate=0.05, n_estimators=300, num_leaves=100, min_child_samples=3, subsample=0.7
    ),
    "xgboost-td": _learner(
        "xgboost", learning_rate=0.08, n_estimators=200, max_depth=6, min_child_weight=5e-6, subsample=0.65
    ),
    "xgboost-td-regression": _learner(
        "xgboost", learning_rate=0.05, n_estimators=300, max_depth=9, min_child_weight=2.0, subsample=0.7
    ),
    "catboost-td": _learner("catboost", learning_rate=0.08, iterations=300, depth=7, l2_leaf_reg=1e-5, subsample=0.9),
    "realmlp-td": {
        "learner:__choice__": "neural",
        "scaling:__choice__": "smooth_clip",
        "embedding:__choice__": "learned",
        "embedding:learned:min_unique_values_for_embedding": 10,
        "numeric_embedding:__choice__": "pbld",
        "numeric_embedding:pbld:frequency_scale": 0.1,
        "backbone:__choice__": "realmlp",
        "backbone:realmlp:n_layers": 3,
        "backbone:realmlp:width": 256,
        "backbone:realmlp:dropout": 0.15,
        "optimizer:__choice__": "adamw",
        "optimizer:adamw:learning_rate": 0.0025,
        "optimizer:adamw:weight_decay": 0.02,
        "optimizer:adamw:beta2": 0.95,
        "lr_schedule:__choice__": "cosine_log",
        "gradient_clipping:__choice__": "none",
        "batching:minibatch:batch_size": 256,
        "early_stopping:patience:patience": 50,
    },
    "tabm-d": {
        "learner:__choice__": "neural",
        "scaling:__choice__": "quantile",
        "numeric_embedding:__choice__": "piecewise_linear",
        "numeric_embedding:piecewise_linear:n_bins": 48,
        "numeric_embedding:piecewise_linear:dim": 16,
        "backbone:__choice__": "tabm",
        "backbone:tabm:n_members": 16,
        "backbone:tabm:n_layers": 3,
        "backbone:tabm:width": 256,
        "backbone:tabm:dropout": 0.1,
        "optimizer:__choice__": "adamw",
        "optimizer:adamw:learning_rate": 0.002,
        "optimizer:adamw:weight_decay": 1e-5,
        "batching:minibatch:batch_size": 256,
    },
}
"""RealMLP's rate of 0.04 is 0.0025 here; TabM has half the members and half the width, where the default space ends."""

TABREPO: Mapping[str, Config] = {
    "lightgbm-large": _learner(
        "lightgbm", learning_rate=0.03, n_estimators=300, num_leaves=128, min_child_samples=3, colsample_bytree=0.9
    ),
    "lightgbm-r131": _learner(
        "lightgbm", learning_rate=0.0121, n_estimators=600, num_leaves=53, min_child_samples=14, colsample_bytree=0.702
    ),
    "lightgbm-r130": _learner(
        "lightgbm", learning_rate=0.0471, n_estimators=250, num_leaves=89, min_child_samples=56, colsample_bytree=0.625
    ),
    "lightgbm-r15": _learner(
        "lightgbm", learning_rate=0.0186, n_estimators=500, num_leaves=22, min_child_samples=6, colsample_bytree=0.742
    ),
    "catboost-r177": _learner(
        "catboost", learning_rate=0.0686, iterations=300, depth=6, l2_leaf_reg=2.154, max_ctr_complexity=4,
        one_hot_max_size=10,
    ),
    "catboost-r137": _learner(
        "catboost", learning_rate=0.0494, iterations=500, depth=4, l2_leaf_reg=4.559, max_ctr_complexity=3,
        one_hot_max_size=3,
    ),
    "catboost-r69": _learner(
        "catboost", learning_rate=0.0503, iterations=400, depth=5, l2_leaf_reg=1.046, max_ctr_complexity=4,
        one_hot_max_size=2,
    ),
}  # fmt: skip

LIBRARY: Mapping[str, Config] = {
    "lightgbm": _learner("lightgbm", learning_rate=0.1, n_estimators=100),
    "xgboost": _learner("xgboost", learning_rate=0.3, n_estimators=100),
    "catboost": _learner("catboost", learning_rate=0.1, iterations=250),
    "random_forest": _learner("random_forest"),
    "support_vectors": _learner("support_vectors"),
}
"""CatBoost derives its rate from rows and rounds; ours is typical of 250 rounds."""
