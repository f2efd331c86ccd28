"""Hiding modalities at random, so that a run can be studied with modalities missing.

The content of a hidden cell is never an input of the network. In training it is either gone (the
strict regime: a method is compared as if it had never been recorded) or it exists and may be
revealed as a target of reconstruction (the simulated regime, in which AE, CRA, MMIN and their kin
were published).
"""

from __future__ import annotations

import warnings
import zlib

import numpy as np

from equipoise.data.table.table import Table
from equipoise.errors import ConfigError, suggest


def draw(
    present: np.ndarray, rate: float, rng: np.random.Generator, *, exact: bool = False
) -> np.ndarray:
    """Hide cells of a presence matrix such that every row keeps at least one.

    One present modality per row, chosen uniformly, is kept; each other is dropped with q = rate · M
    / (M − 1), so that in complete rows the expected share of hidden cells is exactly `rate`
    (methods-missing, generator c).

    Args:
        present: bool (N, M); cells that are False stay so.
        rate: share of cells to hide; above (M − 1)/M it is lowered to that, with a warning.
        rng: source of the draws.
        exact: hide as many of the droppable cells as q expects, rounded: round(rate · N · M) in
            complete rows (generator d). The share then has no variance, which counts in small
            splits.
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
    hidden = _drop(droppable, rate * modalities / (modalities - 1), rng, exact)
    kept_cells: np.ndarray = present & ~hidden
    return kept_cells


def draw_one(
    present: np.ndarray, rate: float, column: int, rng: np.random.Generator, *, exact: bool = False
) -> np.ndarray:
    """Hide one modality in the share `rate` of the rows that have it and another; the last of a row
    stays.

    Args:
        present: bool (N, M); cells that are False stay so.
        rate: in [0, 1).
        column: of the modality.
        rng: source of the draws.
        exact: hide exactly that share, rounded to whole rows.
    """
    _check_rate(rate)
    others = np.delete(present, column, axis=1).any(axis=1)
    kept: np.ndarray = present.copy()
    kept[:, column] &= ~_drop(present[:, column] & others, rate, rng, exact)
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
    """A view of the table with cells hidden; a pure function of (seed, split), and the table itself
    at rate 0.

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
        raise ConfigError(
            f"missing_modality: no modality {modality!r}{suggest(modality, table.modalities)}"
        )
    if rate == 0:
        return table
    present = np.stack([table.present[m] for m in table.modalities], axis=1)
    rng = np.random.default_rng((seed, zlib.crc32(split.encode())))
    if modality is None:
        kept = draw(present, rate, rng, exact=exact)
    else:
        kept = draw_one(present, rate, table.modalities.index(modality), rng, exact=exact)
    return table.with_present(
        {m: kept[:, k] for k, m in enumerate(table.modalities)}, existing=simulated
    )


def _drop(
    droppable: np.ndarray, chance: float, rng: np.random.Generator, exact: bool
) -> np.ndarray:
    """bool, which of the droppable cells go: each with that chance, or exactly that share of them."""
    if not exact:
        gone: np.ndarray = droppable & (rng.random(droppable.shape) < chance)
        return gone
    cells = np.flatnonzero(droppable)
    gone = np.zeros(droppable.shape, dtype=bool)
    gone.flat[rng.choice(cells, round(chance * len(cells)), replace=False)] = True
    return gone


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ConfigError(f"missing rate must be in [0, 1), found {rate!r}")
