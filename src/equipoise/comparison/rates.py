"""The missing rates of a sweep, and the folders that hold a comparison for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equipoise.errors import ConfigError

PREFIX = "missing-"


def read_rates(value: Any) -> tuple[float, ...]:
    """Rates from "0.1:0.7:0.1" (first, last, step), "0.1,0.3" or a list, in ascending order.

    Raises:
        ConfigError: neither of these, or a rate outside [0, 1).
    """
    try:
        words = value.split(":") if isinstance(value, str) and ":" in value else None
        if words:
            first, last, step = map(float, words)
            rates = [first + k * step for k in range(int((last - first) / step + 1 + 1e-9))]
        else:
            rates = [
                float(rate) for rate in (value.split(",") if isinstance(value, str) else value)
            ]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        rates = []
    found = tuple(sorted(round(rate, 10) for rate in rates))
    if not found or not all(0 <= rate < 1 for rate in found) or len(set(found)) < len(found):
        raise ConfigError(
            "missing must be a rate in [0, 1), or different ones as first:last:step or a list such as 0.1,0.3, "
            f"found {value!r}"
        )
    return found


def rate_folder(folder: Path, rate: float) -> Path:
    """Where in a sweep's folder the comparison at this rate stands."""
    return folder / f"{PREFIX}{rate:g}"


def find_rates(folder: Path) -> dict[float, Path]:
    """{rate: folder of its comparison} in ascending order; empty if the folder holds no sweep."""
    found = (path for path in folder.glob(f"{PREFIX}*") if (path / "cells").is_dir())
    return dict(sorted((float(path.name.removeprefix(PREFIX)), path) for path in found))
