"""The weight α of an alignment loss over the epochs t = 1, 2, … (LFM, section 3.3 and Table 4)."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]
"""(epoch t from 1, number of epochs T) → α in [0, 1]"""

VALUED = ("constant", "stepwise")
"""Schedules that take a number."""

SCHEDULES = (*VALUED, "heuristic", "polynomial")


def heuristic(epoch: int) -> float:
    """α_t = 1 − exp(−1/t): 0.632, 0.393, 0.283, … (Ours-H)."""
    return 1 - math.exp(-1 / epoch)


def stepwise(epoch: int, epochs: int, value: float) -> float:
    """h(p): α = p in the first half of the epochs, 1 − p after."""
    return value if 2 * epoch <= epochs else 1 - value


def polynomial(epoch: int) -> float:
    """The fit reported for Kinetics-Sounds, clipped to [0, 1].

    1.5e-4 t³ − 6.5e-3 t² + 3.2e-2 t + 1
    """
    return min(1.0, max(0.0, 1.5e-4 * epoch**3 - 6.5e-3 * epoch**2 + 3.2e-2 * epoch + 1))


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
        "polynomial": lambda t, epochs: polynomial(t),
    }[name]
