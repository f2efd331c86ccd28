"""Fusion baselines: other heads under joint training, and methods that own their fusion."""

from __future__ import annotations

from equipoise.registry import MethodEntry

ENTRIES: list[MethodEntry] = []
