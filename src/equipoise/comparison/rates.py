"""The missing rates of a sweep, and the folders that hold a comparison for each rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equipoise.errors import ConfigError

RATE_PREFIX = "missing-"
MOST_RATES = 100
DIGITS = 10
"""Digits of a rate, in numbers and in names of folders alike, so that no two rates share one."""


def read_rates(value: Any) -> tuple[float, ...]:
    """Rates in ascending order, from "0.1:0.7:0.1" (first, last, step), "0.1,0.3" or a list.

    Raises:
        ConfigError: the value is none of these, or a rate is outside [0, 1).
    """
    try:
        rates = _parse_rates(value)
    except ConfigError:
        raise
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        rates = []
    # Rounded, because 0.1 + 2 * 0.1 is not 0.3, and a rate names a folder.
    found = tuple(sorted(round(rate, DIGITS) for rate in rates))
    if not found or not all(0 <= rate < 1 for rate in found) or len(set(found)) < len(found):
        raise ConfigError(
            "missing must be a rate in [0, 1), or different ones as first:last:step or a list "
            f"such as 0.1,0.3, found {value!r}"
        )
    return found


def _parse_rates(value: Any) -> list[float]:
    if isinstance(value, str) and ":" in value:
        first, last, step = map(float, value.split(":"))
        count = int((last - first) / step + 1 + 1e-9)
        if count > MOST_RATES:
            raise ConfigError(
                f"missing: {value!r} asks for {count:,} rates, each of them a comparison of its "
                f"own; at most {MOST_RATES} are taken"
            )
        return [first + k * step for k in range(count)]
    items = value.split(",") if isinstance(value, str) else value
    return [float(item) for item in items]


def rate_folder(folder: Path, rate: float) -> Path:
    """The folder of the comparison at this rate, inside the folder of a sweep."""
    return folder / f"{RATE_PREFIX}{rate:.{DIGITS}g}"


def find_rates(folder: Path) -> dict[float, Path]:
    """{rate: folder of its comparison} in ascending order; empty if the folder holds no sweep."""
    found = (path for path in folder.glob(f"{RATE_PREFIX}*") if (path / "cells").is_dir())
    return dict(sorted((float(path.name.removeprefix(RATE_PREFIX)), path) for path in found))
