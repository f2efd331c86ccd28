"""Hiding modalities at random, so that a run can be studied with modalities missing.

The content of a hidden cell is never an input of the network. In training it is either gone (the
strict regime: a method is compared as if the content had never been recorded), or it exists and may
be revealed as a target of reconstruction (the simulated regime, in which AE, CRA, MMIN and similar
methods were published).
"""

from __future__ import annotations

import warnings
import zlib

import numpy as np

from equipoise.data.table.table import Table
from equipoise.errors import ConfigError, suggest


def hide_cells(
    present: np.ndarray, rate: float, rng: np.random.Generator, *, exact: bool = False
) -> np.ndarray:
    """Hide cells of a presence matrix such that every row keeps at least one.

    One present modality per row, chosen uniformly, is kept; each other is hidden with probability
    q = rate · M / (M − 1), so that in complete rows the expected fraction of hidden cells is
    exactly `rate`.

    Args:
        present: bool (N, M); cells that are False stay False.
        rate: fraction of cells to hide; above (M − 1)/M it is lowered to that, with a warning.
        rng: source of the draws.
        exact: hide exactly the expected number of cells, rounded: round(rate · N · M) in complete
            rows. The fraction then has no variance, which matters in small splits.

    Returns:
        bool (N, M), the cells that stay present.

    Raises:
        ConfigError: the rate is not in [0, 1).
    """
    rows, modalities = present.shape
    _check_rate(rate)
    if modalities < 2 or rate == 0:
        return present.copy()
    highest = (modalities - 1) / modalities
    if rate > highest:
        warnings.warn(
            f"missing rate {rate:g} lowered to {highest:.3g}: "
            f"each sample keeps one of {modalities} modalities",
            stacklevel=2,
        )
        rate = highest
    kept = np.where(present, rng.random(present.shape), -1).argmax(axis=1)
    candidates = present.copy()
    candidates[np.arange(rows), kept] = False
    hidden = _choose(candidates, rate * modalities / (modalities - 1), rng, exact)
    left: np.ndarray = present & ~hidden
    return left


def hide_modality(
    present: np.ndarray, rate: float, column: int, rng: np.random.Generator, *, exact: bool = False
) -> np.ndarray:
    """Hide one modality in a fraction of the rows that have it and another one.

    Args:
        present: bool (N, M); cells that are False stay False, and so no row loses its last cell.
        rate: the fraction, in [0, 1).
        column: of the modality.
        rng: source of the draws.
        exact: hide exactly that fraction, rounded to whole rows.

    Returns:
        bool (N, M), the cells that stay present.

    Raises:
        ConfigError: the rate is not in [0, 1).
    """
    _check_rate(rate)
    others = np.delete(present, column, axis=1).any(axis=1)
    left: np.ndarray = present.copy()
    left[:, column] &= ~_choose(present[:, column] & others, rate, rng, exact)
    return left


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
    """Hide cells of a table; a pure function of (seed, split).

    Args:
        table: whose cells to hide.
        rate: fraction of the cells, or of the samples where one modality is named.
        seed: of the draw.
        split: each split has draws of its own.
        exact: hide that fraction exactly, not in expectation.
        modality: hide this one only; None for all.
        simulated: hidden content exists, and batches can reveal it; otherwise it is gone.

    Returns:
        A view of the table; the table itself at rate 0.

    Raises:
        ConfigError: the table has no such modality, or the rate is not in [0, 1).
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
        left = hide_cells(present, rate, rng, exact=exact)
    else:
        left = hide_modality(present, rate, table.modalities.index(modality), rng, exact=exact)
    return table.with_present(
        {m: left[:, k] for k, m in enumerate(table.modalities)}, existing=simulated
    )


def _choose(
    candidates: np.ndarray, chance: float, rng: np.random.Generator, exact: bool
) -> np.ndarray:
    """Choose candidates, each with that chance, or exactly that fraction of them."""
    if not exact:
        chosen: np.ndarray = candidates & (rng.random(candidates.shape) < chance)
        return chosen
    cells = np.flatnonzero(candidates)
    chosen = np.zeros(candidates.shape, dtype=bool)
    chosen.flat[rng.choice(cells, round(chance * len(cells)), replace=False)] = True
    return chosen


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ConfigError(f"missing rate must be in [0, 1), found {rate!r}")
