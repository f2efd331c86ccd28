"""Hiding modalities at random, so that a run can be studied with modalities missing."""

from __future__ import annotations

import warnings
import zlib

import numpy as np

from equipoise.data.table import Table
from equipoise.errors import ConfigError


def draw(present: np.ndarray, rate: float, rng: np.random.Generator, *, exact: bool = False) -> np.ndarray:
    """Hide cells of a presence matrix such that every row keeps at least one.

    One present modality per row, chosen uniformly, is kept; each other is dropped with q = rate · M / (M − 1), so
    that in complete rows the expected share of hidden cells is exactly `rate` (methods-missing, generator c).

    Args:
        present: bool (N, M); cells that are False stay so.
        rate: share of cells to hide; above (M − 1)/M it is lowered to that, with a warning.
        rng: source of the draws.
        exact: hide exactly round(rate · N · M) of the droppable cells instead.
    """
    rows, modalities = present.shape
    if not 0 <= rate < 1:
        raise ConfigError(f"missing rate must be in [0, 1), found {rate!r}")
    if modalities < 2 or rate == 0:
        return present.copy()
    highest = (modalities - 1) / modalities
    if rate > highest:
        warnings.warn(
            f"missing rate {rate:g} lowered to {highest:.3g}: each sample keeps one of {modalities} modalities",
            stacklevel=2,
        )
        rate = highest
    kept = np.where(present, rng.random(present.shape), -1).argmax(axis=1)
    droppable = present.copy()
    droppable[np.arange(rows), kept] = False
    if exact:
        cells = np.argwhere(droppable)
        count = min(round(rate * rows * modalities), len(cells))
        dropped = cells[rng.permutation(len(cells))[:count]]
        result = present.copy()
        result[dropped[:, 0], dropped[:, 1]] = False
        return result
    chance = rate * modalities / (modalities - 1)
    hidden: np.ndarray = droppable & (rng.random(present.shape) < chance)
    kept_cells: np.ndarray = present & ~hidden
    return kept_cells


def mask(table: Table, rate: float, *, seed: int, split: str, exact: bool = False) -> Table:
    """A view of the table with cells hidden; a pure function of (seed, split), and the table itself at rate 0."""
    if rate == 0:
        return table
    present = np.stack([table.present[m] for m in table.modalities], axis=1)
    rng = np.random.default_rng((seed, zlib.crc32(split.encode())))
    hidden = draw(present, rate, rng, exact=exact)
    return table.with_present({m: hidden[:, k] for k, m in enumerate(table.modalities)})
