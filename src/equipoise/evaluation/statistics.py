"""Statistics of several seeds, and of two methods on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n − 1), which is None for a single value."""
    data = np.asarray(values, dtype=np.float64)
    return float(data.mean()), float(data.std(ddof=1)) if len(data) > 1 else None


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
    differences = np.empty(draws)
    for draw in range(draws):
        samples = rng.integers(a.shape[1], size=a.shape[1])
        rows_a = rng.integers(len(a), size=len(a))
        rows_b = rng.integers(len(b), size=len(b))
        differences[draw] = a[rows_a][:, samples].mean() - b[rows_b][:, samples].mean()
    low, high = np.quantile(differences, [0.025, 0.975])
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    # A p-value of 0 would claim more than a finite number of draws can show.
    p = min(1.0, 2 * max(beyond, 1 / draws))
    return Difference(observed, float(low), float(high), float(p))
