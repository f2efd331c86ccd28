"""The rows of an estimator's data: their weights, and which of them validate."""

from __future__ import annotations

import hashlib
from numbers import Number
from typing import Any, cast

import numpy as np
from sklearn.utils import check_array

Arrays = dict[str, np.ndarray]
"""{modality: float32 (N, …)}"""

FEWEST = 10
"""Validation rows under which a choice of epochs is chance."""
REPEATED = 8
"""Rows that stand for a validation row of mean weight."""


def check_weights(sample_weight: Any, count: int) -> np.ndarray:
    """Check the weights of rows; all are 1 where none are given."""
    if sample_weight is None:
        return np.ones(count)
    if isinstance(sample_weight, Number):
        sample_weight = np.full(count, sample_weight)
    weight = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weight.shape != (count,):
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected {(count,)}")
    if (weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weight.any():
        raise ValueError("every sample_weight is zero")
    return cast(np.ndarray, weight)


def differ(weight: np.ndarray) -> bool:
    """True if not all weights are the same."""
    return bool((weight != weight[0]).any())


def merge(arrays: Arrays, codes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let the first of all rows that are alike, with the same label, stand for them.

    Args:
        arrays: of N rows.
        codes: (N,) labels.
        weight: (N,).

    Returns:
        The rows that stay, in an order that does not depend on the order of the rows; and (N,)
        weights, in which theirs are the sums.
    """
    rows = np.flatnonzero(weight > 0)
    keys = np.empty(len(rows), dtype=np.uint64)
    for k, row in enumerate(rows):
        content = hashlib.blake2b(codes[row].tobytes(), digest_size=8)
        for array in arrays.values():
            content.update(array[row].tobytes())
        keys[k] = int.from_bytes(content.digest(), "big")
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    summed = np.zeros(len(weight))
    summed[rows[first]] = np.bincount(group, weights=weight[rows])
    return rows[first], summed


def divide_rows(
    rows: np.ndarray,
    codes: np.ndarray,
    weight: np.ndarray,
    fraction: float,
    seed: int,
    *,
    searched: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Keep rows of every class back for validation, in proportion.

    Args:
        rows: (n,) to divide.
        codes: (N,) labels.
        weight: (N,).
        fraction: of the rows for validation.
        seed: of the draw.
        searched: for a search.

    Returns:
        Training rows, and validation rows. These are repeated in proportion to their weights,
        except in a search, which weights them itself and trains on them in the end.

    Raises:
        ValueError: too few rows for a search.
    """
    rng = np.random.default_rng(seed)
    count = round(fraction * len(rows))
    chosen = np.zeros(len(rows), dtype=bool)
    if count:
        order = np.lexsort((rng.random(len(rows)), codes[rows]))
        places = ((np.arange(count) + rng.random()) * len(rows) / count).astype(np.int64)
        chosen[order[places]] = True
    # Every class keeps a row to train on.
    for code in np.setdiff1d(codes[rows], codes[rows][~chosen]):
        chosen[np.flatnonzero(codes[rows] == code)[0]] = False
    if searched:
        if chosen.sum() < len(np.unique(codes[rows])):
            raise ValueError(
                f"{len(rows)} rows are too few for a search; leave out time_limit, or take a "
                "larger validation_fraction"
            )
        return rows[~chosen], rows[chosen]
    if chosen.sum() < FEWEST:
        return rows, _repeat(rows, weight)
    return rows[~chosen], _repeat(rows[chosen], weight)


def _repeat(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Repeat rows in proportion to their weights, since a metric counts every row once."""
    if not differ(weight[rows]):
        return rows
    total = np.cumsum(weight[rows])
    ends = np.floor(total / total[-1] * REPEATED * len(rows) + 0.5).astype(np.int64)
    return np.repeat(rows, np.diff(ends, prepend=0))
