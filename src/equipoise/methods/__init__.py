"""Training methods, by name. A new one is one file and one entry in its family's list."""

from __future__ import annotations

from equipoise.methods.entries import flagship, fusion, missing, rebalancing
from equipoise.registry import MethodEntry, Registry

METHODS = Registry(
    "method", [*flagship.ENTRIES, *fusion.ENTRIES, *rebalancing.ENTRIES, *missing.ENTRIES], entry=MethodEntry
)
