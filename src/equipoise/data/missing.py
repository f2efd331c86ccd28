"""Hiding modalities at random, so that a run can be studied with modalities missing.

The content of a hidden cell is never an input of the network. In training it is either gone (the strict regime: a
method is compared as if it had never been recorded) or it exists and may be revealed as a target of reconstruction
(the simulated regime, in which AE, CRA, MMIN and their kin were published).
"""

from __future__ import annotations

import warnings
import zlib

import numpy as np

from equipoise.data.table import Table
from equipoise.errors import ConfigError, suggest


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
    _check_rate(rate)
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


def draw_one(present: np.ndarray, rate: float, column: int, rng: np.random.Generator) -> np.ndarray:
    """Hide one modality in the share `rate` of the rows, but never the last that a row has.

    Args:
        present: bool (N, M); cells that are False stay so.
        rate: in [0, 1).
        column: of the modality.
        rng: source of the draws.
    """
    _check_rate(rate)
    others = np.delete(present, column, axis=1).any(axis=1)
    kept: np.ndarray = present.copy()
    kept[:, column] &= ~(others & (rng.random(len(present)) < rate))
    return kept


def mask(
    table: Table,
    rate: float,
    *,
    seed: int,
    split: str,
    exact: bool = False,
    modality: str | None = None,
    simulated: bool = False,
) -> Table:
    """A view of the table with cells hidden; a pure function of (seed, split), and the table itself at rate 0.

    Args:
        table: what to hide cells of.
        rate: share of the cells, or of the samples where one modality is named.
        seed: of the draw.
        split: each split has draws of its own.
        exact: hide that share exactly, not in expectation.
        modality: hide this one only.
        simulated: what is hidden exists, and batches can reveal it; otherwise it is gone.

    Raises:
        ConfigError: the table has no such modality.
    """
    if modality is not None and modality not in table.modalities:
        raise ConfigError(f"missing_modality: no modality {modality!r}{suggest(modality, table.modalities)}")
    if rate == 0:
        return table
    present = np.stack([table.present[m] for m in table.modalities], axis=1)
    rng = np.random.default_rng((seed, zlib.crc32(split.encode())))
    if modality is None:
        kept = draw(present, rate, rng, exact=exact)
    else:
        kept = draw_one(present, rate, table.modalities.index(modality), rng)
    return table.with_present({m: kept[:, k] for k, m in enumerate(table.modalities)}, existing=simulated)


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ConfigError(f"missing rate must be in [0, 1), found {rate!r}")
