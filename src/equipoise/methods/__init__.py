"""Training methods, by name. A new one is one file and one entry here."""

from __future__ import annotations

from equipoise.registry import MethodEntry, Registry

METHODS = Registry(
    "method",
    [
        MethodEntry("joint", "equipoise.methods.joint:Joint", "one loss on the fused prediction", neutral={}),
    ],
)
