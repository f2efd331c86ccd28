"""Training methods, by name. A new one is one file and one entry in its family's `__init__`."""

from __future__ import annotations

from equipoise.methods import balance, baselines, fusion, missing
from equipoise.registry import MethodEntry, Registry

METHODS = Registry(
    "method",
    [*baselines.ENTRIES, *balance.ENTRIES, *fusion.ENTRIES, *missing.ENTRIES],
    entry=MethodEntry,
)
"""The entries of all methods, known before any method is imported."""
