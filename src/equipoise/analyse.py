"""Analyses of finished runs: `equipoise.analyse.gap("runs/mla")` returns a record.

Every function takes a run, its folder, the folder of a comparison, or several of them. A record has
`to_frame()`, `figure()` for pages and notebooks, and `save(folder)` for CSV, SVG and PDF.
"""

from __future__ import annotations

from equipoise.analysis.gap import gap
from equipoise.analysis.record import Record

__all__ = ["Record", "gap"]
