"""From the user's files to batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.data.datasets.prepare import prepare
    from equipoise.data.sources import load, read_table

__all__ = ["load", "prepare", "read_table"]

_MODULES = {"load": "sources", "prepare": "datasets.prepare", "read_table": "sources"}


def __getattr__(name: str) -> Any:
    """Imported on first use: listing data sets must not wait for pandas and torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
