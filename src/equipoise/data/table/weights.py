"""Weights of classes, as weights of the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from equipoise.data.table.table import Table
from equipoise.errors import ConfigError, suggest


def class_weights(setting: str | Mapping[str, Any], train: Table) -> np.ndarray | None:
    """The weight of each class.

    Args:
        setting: "none", "balanced" or {class: weight}.
        train: the training rows, whose classes "balanced" counts.

    Returns:
        float64 (C,); None for "none". Balanced weights are N / (C n_c), as in scikit-learn, with
        N and n_c as sums of the rows' own weights where they have some.

    Raises:
        ConfigError: the data have no such class, or every class that occurs weighs 0.
    """
    if setting == "none":
        return None
    counts = np.bincount(train.label, weights=train.weight, minlength=len(train.classes))
    if setting == "balanced":
        occurring = counts > 0
        return np.where(
            occurring, counts.sum() / (occurring.sum() * np.where(occurring, counts, 1)), 0.0
        )
    assert isinstance(setting, Mapping), "the settings take nothing else"
    names = [str(name) for name in train.classes]
    for name in setting:
        if name not in names:
            raise ConfigError(
                f"class_weight: the data have no class {name!r}{suggest(name, names)}"
            )
    weights = np.array([float(setting.get(name, 1.0)) for name in names])
    if not (weights * counts).any():
        raise ConfigError("class_weight: every class weighs 0; nothing is left to learn")
    return weights


def weighted(table: Table, weights: np.ndarray | None) -> Table:
    """The same samples, each weighted by its class as well.

    Args:
        table: labelled rows.
        weights: (C,); None to leave the table as it is.
    """
    if weights is None:
        return table
    own = 1.0 if table.weight is None else table.weight
    return replace(table, weight=weights[table.label] * own)


def weighted_to_train(
    train: Table, holdout: Table | None, setting: str | Mapping[str, Any], sampling: str
) -> tuple[Table, Table | None]:
    """The rows that train, each weighted by its class as well, and scaled to a mean weight of 1.

    The loss of a batch is the plain mean of weighted losses, so that a batch of heavy rows moves
    the network more than one of light rows. The scale keeps such steps as large on average as those
    without weights.

    Args:
        train: the training rows.
        holdout: rows that are kept back from them, whose weights get the same scale.
        setting: "none", "balanced" or {class: weight}.
        sampling: "uniform", or "balanced" where an epoch draws all classes equally often.

    Raises:
        ConfigError: as `class_weights`.
    """
    weights = class_weights(setting, train)
    if weights is None and train.weight is None:
        return train, holdout
    factors = np.ones(len(train.classes)) if weights is None else weights
    own = weighted(train, factors).weight
    assert own is not None, "it has just been weighted"
    sums = np.bincount(train.label, weights=own, minlength=len(train.classes))
    counts = np.bincount(train.label, minlength=len(train.classes))
    if sampling == "balanced":
        mean = (sums[counts > 0] / counts[counts > 0]).mean()
    else:
        mean = sums.sum() / counts.sum()
    factors = factors / mean
    return weighted(train, factors), holdout and weighted(holdout, factors)
