"""Trees of scikit-learn's forests as a few compact arrays: as they are in memory they take three times the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.tree._tree import NODE_DTYPE, TREE_LEAF, Tree

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.pipeline.trees import join_arrays, split_arrays
from autopytorch_lite.types import Array, FloatArray

KEPT = {"left_child": np.int32, "right_child": np.int32, "feature": np.int32, "missing_go_to_left": np.uint8}
"""What predicting reads of a node, besides its threshold."""


def pack_trees(trees: Sequence[Tree]) -> dict[str, dict[str, Array]]:
    """Fitted trees of one output as plain arrays; what only training reads is left out.

    Inputs are float32 there, so a threshold can be the largest float32 that is not above it.
    """
    nodes = [tree.__getstate__()["nodes"] for tree in trees]
    is_leaf = [tree["left_child"] == TREE_LEAF for tree in nodes]
    packed = {name: join_arrays(tree[name].astype(kept) for tree in nodes) for name, kept in KEPT.items()}
    thresholds = join_arrays(_rounded_down(tree["threshold"]) for tree in nodes)
    values = join_arrays(tree.value[leaves, 0] for tree, leaves in zip(trees, is_leaf, strict=True))
    return {**packed, "threshold": thresholds, "value": values}


def unpack_trees(packed: Mapping[str, Mapping[str, Array]], n_features: int) -> list[Tree]:
    """Inverse of `pack_trees`: the trees predict as before.

    Raises:
        HistoryError: an array does not describe trees; compiled code would follow its indices out of bounds.
    """
    names = (*KEPT, "threshold")
    parts = zip(*(split_arrays(packed[name]) for name in (*names, "value")), strict=True)
    return [_tree(dict(zip(names, arrays, strict=True)), values, n_features) for *arrays, values in parts]


def _tree(fields: dict[str, Array], values: FloatArray, n_features: int) -> Tree:
    nodes = np.zeros(len(fields["left_child"]), dtype=NODE_DTYPE)
    for name, field in fields.items():
        nodes[name] = field
    is_leaf = nodes["left_child"] == TREE_LEAF
    _check_nodes(nodes, is_leaf, n_features)
    if values.ndim != 2 or len(values) != is_leaf.sum():
        raise HistoryError(f"A saved tree has values for its {is_leaf.sum()} leaves, got shape {values.shape}.")
    of_nodes = np.zeros((len(nodes), 1, values.shape[1]))
    of_nodes[is_leaf, 0] = values
    tree = Tree(n_features, np.array([values.shape[1]], dtype=np.intp), 1)
    tree.__setstate__({"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": of_nodes})
    return tree


def _check_nodes(nodes: Array, is_leaf: Array, n_features: int) -> None:
    """Children come after their parent, and features exist: every walk ends, within the arrays."""
    at = np.flatnonzero(~is_leaf)
    inner = nodes[at]
    holds = (
        np.array(len(nodes) > 0),
        (inner["left_child"] > at) & (inner["left_child"] < len(nodes)),
        (inner["right_child"] > at) & (inner["right_child"] < len(nodes)),
        (inner["feature"] >= 0) & (inner["feature"] < n_features),
    )
    if not all(condition.all() for condition in holds):
        raise HistoryError("A saved tree must lead from its root down to leaves, within its nodes and features.")


def _rounded_down(values: FloatArray) -> FloatArray:
    """The largest float32 that is not above each value."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)
