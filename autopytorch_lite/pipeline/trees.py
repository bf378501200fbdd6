"""Boosters on disk with all their trees in a few arrays: one by one, thousands take seconds to write and read."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from autopytorch_lite.types import Array

PARTS = ("nodes", "binned_left_cat_bitsets", "raw_left_cat_bitsets")
"""The arrays that a tree consists of; their first axis counts nodes and categorical splits."""


def pack(booster: Any) -> dict[str, Any]:
    """A fitted histogram gradient booster without its trees, and these as plain data; the booster stays whole."""
    trees = [tree for trees_of_round in booster._predictors for tree in trees_of_round]
    bare = copy.copy(booster)
    bare._predictors = []
    packed = {part: _join(getattr(tree, part) for tree in trees) for part in PARTS}
    return {"booster": bare, "trees_per_round": len(booster._predictors[0]), **packed}


def unpack(packed: Mapping[str, Any]) -> Any:
    """Inverse of `pack`: the booster predicts and continues as before."""
    booster, width = packed["booster"], packed["trees_per_round"]
    trees = [TreePredictor(*arrays) for arrays in zip(*(_split(packed[part]) for part in PARTS), strict=True)]
    booster._predictors = [trees[start : start + width] for start in range(0, len(trees), width)]
    return booster


def _join(arrays: Iterable[Array]) -> dict[str, Array]:
    parts = list(arrays)
    return {"lengths": np.array([len(part) for part in parts]), "values": np.concatenate(parts)}


def _split(joined: Mapping[str, Array]) -> Sequence[Array]:
    return np.split(joined["values"], np.cumsum(joined["lengths"])[:-1])
