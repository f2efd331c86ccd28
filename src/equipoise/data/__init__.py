"""From the user's files to batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.data.sources import load, read_table

__all__ = ["load", "read_table"]


def __getattr__(name: str) -> Any:
    """Imported on first use: listing data sets must not wait for pandas and torch."""
    if name in __all__:
        from equipoise.data import sources

        return getattr(sources, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
