"""A few rows through all trees of a booster at once: level by level in numpy, not tree by tree with a call for each.

scikit-learn calls compiled code once per tree, which takes microseconds whatever the number of rows, and a booster of
ten classes has thousands of trees. (Trees of its forests are called twice as fast, and are deeper: walking them pays
nothing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autopytorch_lite.types import Array, FloatArray, IntArray

FEW_ROWS = 8
"""Rows up to which walking all trees at once is faster than scikit-learn's way."""

_N_CODES = 256
"""Codes that a set of categories may hold in scikit-learn's boosters."""


@dataclass(frozen=True)
class TreeWalk:
    """Trees in flat arrays, one after another; both children of a leaf are the leaf itself.

    Attributes:
        roots: node of each tree's root, shape (n_trees,).
        children: left and right child of each node, one after the other, shape (2 * n_nodes,).
        feature: column that a node looks at, shape (n_nodes,).
        threshold: up to which, inclusive, rows go left, shape (n_nodes,).
        missing_left: whether rows without a value go left, shape (n_nodes,).
        values: of the nodes, shape (n_nodes,).
        depth: steps from a root to the farthest leaf.
        sets: codes that go left, shape (n_sets, 256); None where no node looks at categories.
        set_of: of each node the position of its set, -1 where it looks at a number, shape (n_nodes,).
    """

    roots: IntArray
    children: IntArray
    feature: IntArray
    threshold: FloatArray
    missing_left: Array
    values: FloatArray
    depth: int
    sets: Array | None = None
    set_of: IntArray | None = None

    def leaf_values(self, X: Array) -> FloatArray:
        """What each tree says of each row: (n, d) -> (n, n_trees)."""
        cells_of, first = np.ascontiguousarray(X).ravel(), np.arange(len(X))[:, None] * X.shape[1]
        has_gaps = bool(np.isnan(cells_of).any())
        at = np.broadcast_to(self.roots, (len(X), len(self.roots)))
        for _ in range(self.depth):
            cells = cells_of.take(self.feature.take(at) + first)
            goes_right = ~(cells <= self.threshold.take(at))
            if self.sets is not None and self.set_of is not None:
                set_of = self.set_of.take(at)
                codes = np.clip(np.nan_to_num(cells), 0, _N_CODES - 1).astype(np.intp)
                goes_right = np.where(set_of >= 0, ~self.sets[set_of, codes], goes_right)
            if has_gaps:
                goes_right = np.where(np.isnan(cells), ~self.missing_left.take(at), goes_right)
            at = self.children.take(2 * at + goes_right)
        found: FloatArray = self.values.take(at)
        return found


@dataclass(frozen=True)
class BoosterWalk:
    """A histogram gradient booster of scikit-learn for a few rows.

    Attributes:
        trees: round by round.
        order: its trees' columns among those of the inputs: the categorical ones come first.
        codes: what becomes of the codes of each categorical column, shape (n_codes, n_categorical); NaN: not known.
        baseline: predictions before the first round, shape (1, k).
    """

    trees: TreeWalk
    order: IntArray
    codes: FloatArray
    baseline: FloatArray

    @classmethod
    def of(cls, booster: Any) -> BoosterWalk:
        """The walk through a fitted booster."""
        is_categorical = np.zeros(booster.n_features_in_, dtype=bool)
        codes: FloatArray = np.zeros((0, 0))
        if booster._preprocessor is not None:
            is_categorical = booster.is_categorical_
            codes = _codes_of(booster._preprocessor.named_transformers_["encoder"].categories_)
        order = np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])
        return cls(_walk_of_booster(booster), order, codes, booster._baseline_prediction)

    def raw_predictions(self, X: FloatArray) -> FloatArray:
        """What the booster's loss makes predictions of: (n, d) -> (n, k)."""
        columns, n_categorical = X[:, self.order], self.codes.shape[1]
        if n_categorical:
            cells, beyond = columns[:, :n_categorical], len(self.codes) - 1
            at = np.where((cells >= 0) & (cells < beyond), cells, beyond).astype(np.intp)
            columns[:, :n_categorical] = self.codes[at, np.arange(n_categorical)]
        of_trees = self.trees.leaf_values(columns)
        total: FloatArray = of_trees.reshape(len(X), -1, self.baseline.shape[1]).sum(axis=1) + self.baseline
        return total


def _codes_of(categories: Sequence[FloatArray]) -> FloatArray:
    """Position of each code among the categories of its column, shape (n_codes, n_columns).

    The last row is of what is missing, or beyond all codes: NaN.
    """
    known = [column[~np.isnan(column)].astype(np.intp) for column in categories]
    positions = np.full((2 + max(column.max(initial=0) for column in known), len(known)), np.nan)
    for j, column in enumerate(known):
        positions[column, j] = np.arange(len(column))
    return positions


def _walk_of_booster(booster: Any) -> TreeWalk:
    trees = [tree for trees_of_round in booster._predictors for tree in trees_of_round]
    nodes = np.concatenate([tree.nodes for tree in trees])
    n_nodes = [len(tree.nodes) for tree in trees]
    roots, own = _roots(n_nodes)
    _, own_sets = _roots([len(tree.raw_left_cat_bitsets) for tree in trees], n_nodes)
    is_leaf, is_set = nodes["is_leaf"].astype(bool), nodes["is_categorical"].astype(bool)
    children = _children(nodes["left"] + own, nodes["right"] + own, is_leaf)
    has_sets = bool((is_set & ~is_leaf).any())
    return TreeWalk(
        roots=roots,
        children=children,
        feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.intp),
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=nodes["value"],
        depth=_depth(roots, children),
        sets=_members(np.concatenate([tree.raw_left_cat_bitsets for tree in trees])) if has_sets else None,
        set_of=np.where(is_set & ~is_leaf, nodes["bitset_idx"] + own_sets, -1) if has_sets else None,
    )


def _roots(lengths: Sequence[int], n_nodes: Sequence[int] | None = None) -> tuple[IntArray, IntArray]:
    """Where the part of each tree begins, and the same for each of its nodes, of which there are as many as parts."""
    roots = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
    return roots, np.repeat(roots, lengths if n_nodes is None else n_nodes)


def _children(left: IntArray, right: IntArray, is_leaf: Array) -> IntArray:
    own = np.arange(len(left))
    pairs = np.column_stack([np.where(is_leaf, own, left), np.where(is_leaf, own, right)])
    return pairs.astype(np.intp).ravel()


def _depth(roots: IntArray, children: IntArray) -> int:
    """Steps from the roots to the farthest leaf."""
    pairs = children.reshape(-1, 2)
    depth, at = 0, roots
    while len(at := at[pairs[at, 0] != at]):
        depth, at = depth + 1, pairs[at].ravel()
    return depth


def _members(bits: Array) -> Array:
    """Sets of codes as bits, uint32 (n_sets, 8), as booleans (n_sets, 256)."""
    little = bits.astype("<u4").view(np.uint8)
    return np.unpackbits(little, axis=1, bitorder="little").astype(bool)
