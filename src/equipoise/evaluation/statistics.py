"""Statistics of several seeds, and of two methods on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n − 1), which is None for a single value."""
    data = np.asarray(values, dtype=np.float64)
    return float(data.mean()), float(data.std(ddof=1)) if len(data) > 1 else None


AT_ONCE = 100
"""Draws that are made at a time, so that they take little memory."""


@dataclass(frozen=True)
class Difference:
    """Mean accuracy of method A minus that of method B.

    Attributes:
        difference: as observed.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        p: two-sided p-value of no difference.
    """

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Difference:
    """Compare two methods on the same test samples.

    Each draw resamples both seeds and samples, so that the interval covers other trainings as well
    as other samples. A and B get the same samples: what makes a sample hard for both cancels.

    Args:
        a: bool (S_a, N), whether method A was right; a row per seed.
        b: bool (S_b, N), the same for method B.
        draws: number of bootstrap draws.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    observed = float(a.mean() - b.mean())
    # How often each draw takes each seed and each sample: their products are all that is needed.
    seeds_a, seeds_b = (_taken(rng, len(of), draws) for of in (a, b))
    differences = np.empty(draws)
    for start in range(0, draws, AT_ONCE):
        some = slice(start, start + AT_ONCE)
        samples = _taken(rng, a.shape[1], len(differences[some]))
        right = seeds_a[some] @ a / len(a) - seeds_b[some] @ b / len(b)
        differences[some] = (right * samples).mean(1)
    low, high = np.quantile(differences, [0.025, 0.975])
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    # A p-value of 0 would claim more than a finite number of draws can show.
    p = min(1.0, 2 * max(beyond, 1 / draws))
    return Difference(observed, float(low), float(high), float(p))


def _taken(rng: np.random.Generator, size: int, draws: int) -> np.ndarray:
    """How often each draw, of `size` with replacement, takes each of them, float (draws, size)."""
    drawn = rng.integers(size, size=(draws, size)) + size * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=size * draws)
    return counts.reshape(draws, size).astype(np.float64)
