"""In which settings two configurations differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{"optimiser.lr": (was, now)} of two nested configurations, in alphabetical order; None where one lacks it."""
    before, after = _flat(was), _flat(now)
    pairs = {name: (before.get(name), after.get(name)) for name in sorted({*before, *after})}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
