"""Forests as plain arrays, which are stored in a tenth of the place and read as numbers only."""

from __future__ import annotations

from typing import Any

import numpy as np

LEAF = -1
"""In place of the column that a node asks about."""
FIELDS = ("roots", "column", "threshold", "low", "leaves")


class Forest:
    """The trees of a fitted forest of scikit-learn, side by side.

    The children of a node stand one after the other, so that the place of the first one is enough.

    Args:
        roots: int (T,), the first node of each tree.
        column: int (K,), that a node asks about; `LEAF` in a leaf.
        threshold: (K,), float64; a row whose number is at most this goes to the first child.
        low: int (K,), the first child of a node, or the place of a leaf in `leaves`.
        leaves: float32 (L, C), probabilities.

    Raises:
        ValueError: the arrays do not describe trees.
    """

    def __init__(
        self,
        roots: np.ndarray,
        column: np.ndarray,
        threshold: np.ndarray,
        low: np.ndarray,
        leaves: np.ndarray,
    ) -> None:
        self.roots = roots
        self.column = column
        self.threshold = threshold
        self.low = low
        self.leaves = leaves
        leaf = column == LEAF
        inner = np.flatnonzero(~leaf)
        # A child stands behind its parent, so that every walk ends.
        if not (
            len(roots)
            and len(column) == len(threshold) == len(low)
            and _within(roots, 0, len(column))
            and _within(low[leaf], 0, len(leaves))
            and (low[inner] > inner).all()
            and _within(low[inner], 0, len(column) - 1)
        ):
            raise ValueError("no forest")

    @classmethod
    def of(cls, fitted: Any) -> Forest:
        """Take the trees out of a fitted forest of scikit-learn."""
        roots, column, threshold, low, leaves = [], [], [], [], []
        nodes = 0
        count = 0
        for estimator in fitted.estimators_:
            tree = estimator.tree_
            order = _siblings_together(tree.children_left, tree.children_right)
            place = np.empty(len(order), dtype=np.int64)
            place[order] = np.arange(len(order))
            first = tree.children_left[order]
            leaf = first < 0
            found = np.where(leaf, np.cumsum(leaf) - 1 + count, place[first] + nodes)
            roots.append(nodes)
            column.append(np.where(leaf, LEAF, tree.feature[order]))
            threshold.append(tree.threshold[order])
            low.append(found)
            value = tree.value[order[leaf], 0]
            leaves.append(value / value.sum(axis=1, keepdims=True))
            nodes += len(order)
            count += int(leaf.sum())
        return cls(
            np.array(roots, dtype=np.int32),
            np.concatenate(column).astype(np.int32),
            np.concatenate(threshold),
            np.concatenate(low).astype(np.int32),
            np.concatenate(leaves).astype(np.float32),
        )

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        """The mean of the trees' probabilities, float64 (N, C)."""
        rows = np.arange(len(matrix))
        total = np.zeros((len(matrix), self.leaves.shape[1]))
        matrix = matrix.astype(np.float32, copy=False)
        for root in self.roots:
            node = np.full(len(matrix), root)
            walking = rows
            while len(walking):
                at = node[walking]
                walking = walking[self.column[at] != LEAF]
                at = node[walking]
                higher = matrix[walking, self.column[at]] > self.threshold[at]
                node[walking] = self.low[at] + higher
            total += self.leaves[self.low[node]]
        found: np.ndarray = total / len(self.roots)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: array} to store, with which a forest is made again."""
        return {name: getattr(self, name) for name in FIELDS}


def _siblings_together(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nodes of a tree level by level, the two children of a node one after the other."""
    levels = [np.zeros(1, dtype=np.int64)]
    while len(levels[-1]):
        inner = levels[-1][left[levels[-1]] >= 0]
        levels.append(np.stack([left[inner], right[inner]], axis=1).reshape(-1))
    return np.concatenate(levels)


def _within(values: np.ndarray, least: int, end: int) -> bool:
    return bool(((values >= least) & (values < end)).all())
