"""The weight α of an alignment loss over the epochs t = 1, 2, … (LFM, section 3.3 and Table 4)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

Schedule = Callable[[int, int], float]
"""(epoch t from 1, number of epochs T) → α in [0, 1]"""

VALUED = ("constant", "stepwise")
"""Schedules that take a number."""

SCHEDULES = (*VALUED, "heuristic", "polynomial", "polynomial-printed", "released")

FALL = 26.17
"""The epoch at which the printed polynomial is smallest (α = 0.074); it rises afterwards."""

RISEN = 38
"""The first epoch from which on the printed polynomial is above 1 for good."""

RELEASED = (
    0.795376296,
    -3.35472727e-3,
    -1.22989557e-4,
    2.92947416e-6,
    -2.23835486e-8,
    5.39717505e-11,
)
"""Coefficients of the polynomial in LFM's released code, for 200 epochs that count from 0."""


def heuristic(epoch: int) -> float:
    """α_t = 1 − exp(−1/t): 0.632, 0.393, 0.283, … (Ours-H)."""
    return 1 - math.exp(-1 / epoch)


def stepwise(epoch: int, epochs: int, value: float) -> float:
    """h(p): α = p in the first half of the epochs, 1 − p after."""
    return value if 2 * epoch <= epochs else 1 - value


def polynomial(epoch: float) -> float:
    """The fit reported for Kinetics-Sounds, clipped to [0, 1].

    1.5e-4 t³ − 6.5e-3 t² + 3.2e-2 t + 1
    """
    return min(1.0, max(0.0, 1.5e-4 * epoch**3 - 6.5e-3 * epoch**2 + 3.2e-2 * epoch + 1))


def released(epoch: int, epochs: int) -> float:
    """The polynomial of the released code: 0.795 at first, 0.461 half-way, 0.084 in the end.

    It is that of the code in a run of 200 epochs, and stretched over the run in any other.
    """
    e = 200 * (epoch - 1) / epochs
    return min(1.0, max(0.0, sum(c * e**k for k, c in enumerate(RELEASED))))


def schedule(name: str, value: float) -> Schedule:
    """The schedule of a name.

    Args:
        name: one of `SCHEDULES`.
        value: α of "constant", p of "stepwise"; the others do not read it.
    """
    number = float(value)  # YAML writes 0 and 1 as integers, and α is logged as a float
    return {
        "constant": lambda t, epochs: number,
        "stepwise": lambda t, epochs: stepwise(t, epochs, number),
        "heuristic": lambda t, epochs: heuristic(t),
        "polynomial": lambda t, epochs: polynomial(FALL * t / epochs),
        "polynomial-printed": lambda t, epochs: polynomial(t),
        "released": released,
    }[name]


def warn_of_schedule(name: str, epochs: int) -> None:
    """Warn where a schedule ends the classification for good.

    Args:
        name: one of `SCHEDULES`.
        epochs: of a modality.
    """
    if name == "polynomial-printed" and epochs >= RISEN:
        warnings.warn(
            f"'alpha' polynomial-printed: from epoch {RISEN} on α is 1 and nothing is learned "
            f"about the classes; there are {epochs} epochs, so take fewer, or 'alpha' polynomial, "
            "which is stretched over the run",
            stacklevel=3,
        )
