"""From the user's files to batches.

The rooms are a ladder, and a row, a presence mask and a path go down it. A room imports from the
rooms above it only, for types too:

    manifest/     the user's table: columns, declarations, and the files that its cells name
    media/        files into arrays
    transforms/   arrays of one shape, and their random augmentation
    decoding/     every file once, into a cache on disk
    table/        splits, hidden cells, batches
    datasets/     one file for each public data set
    locate.py, assemble.py, sources.py    from a source, by way of all these, to splits
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.data.datasets.prepare import prepare
    from equipoise.data.sources import load, read_table

__all__ = ["load", "prepare", "read_table"]

_MODULES = {"load": "sources", "prepare": "datasets.prepare", "read_table": "sources"}


def __getattr__(name: str) -> Any:
    """Import on first use: listing data sets must not wait for pandas and torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
