"""Methods for missing modalities."""

from __future__ import annotations

from equipoise.registry import MethodEntry

ENTRIES: list[MethodEntry] = []
