"""Boosters on disk with all their trees in a few arrays: one by one, thousands take seconds to write and read."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.types import Array

PARTS = ("nodes", "binned_left_cat_bitsets", "raw_left_cat_bitsets")
"""The arrays that a tree consists of; their first axis counts nodes and categorical splits."""


def pack(booster: Any) -> dict[str, Any]:
    """A fitted histogram gradient booster without its trees, and these as plain data; the booster stays whole."""
    trees = [tree for trees_of_round in booster._predictors for tree in trees_of_round]
    bare = copy.copy(booster)
    bare._predictors = []
    packed = {part: join_arrays(getattr(tree, part) for tree in trees) for part in PARTS}
    return {"booster": bare, "trees_per_round": len(booster._predictors[0]), **packed}


def unpack(packed: Mapping[str, Any]) -> Any:
    """Inverse of `pack`: the booster predicts and continues as before.

    Raises:
        HistoryError: an array does not describe trees; compiled code would follow its indices out of bounds.
    """
    booster, width = packed["booster"], packed["trees_per_round"]
    parts = list(zip(*(split_arrays(packed[part]) for part in PARTS), strict=True))
    for arrays in parts:
        _check_tree(*arrays, n_features=booster.n_features_in_)
    trees = [TreePredictor(*arrays) for arrays in parts]
    booster._predictors = [trees[start : start + width] for start in range(0, len(trees), width)]
    return booster


def _check_tree(nodes: Array, binned_bitsets: Array, raw_bitsets: Array, *, n_features: int) -> None:
    """Children come after their parent, features and category sets exist: every walk ends, within the arrays."""
    is_tree = nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1 and len(nodes) > 0
    has_sets = all(sets.dtype == np.uint32 and sets.shape[1:] == (8,) for sets in (binned_bitsets, raw_bitsets))
    if not (is_tree and has_sets):
        raise HistoryError(f"A saved tree has nodes and category sets, got {nodes.dtype} of shape {nodes.shape}.")
    at = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[at]
    n_sets = min(len(binned_bitsets), len(raw_bitsets))
    holds = (
        (inner["left"] > at) & (inner["left"] < len(nodes)),
        (inner["right"] > at) & (inner["right"] < len(nodes)),
        (inner["feature_idx"] >= 0) & (inner["feature_idx"] < n_features),
        (inner["is_categorical"] == 0) | (inner["bitset_idx"] < n_sets),
    )
    if not np.logical_and.reduce(holds).all():
        raise HistoryError("A saved tree must lead from its root down to leaves, within its nodes and features.")


def join_arrays(arrays: Iterable[Array]) -> dict[str, Array]:
    """Arrays one after the other, with their lengths."""
    parts = list(arrays)
    return {"lengths": np.array([len(part) for part in parts]), "values": np.concatenate(parts)}


def split_arrays(joined: Mapping[str, Array]) -> Sequence[Array]:
    """Inverse of `join_arrays`."""
    return np.split(joined["values"], np.cumsum(joined["lengths"])[:-1])
