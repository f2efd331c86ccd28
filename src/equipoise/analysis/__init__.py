"""Analyses of finished runs: each a function of runs that returns a record.

A record has its numbers as a table and its picture for a page or a paper, see `record.Record`.
"""

from __future__ import annotations

from equipoise.registry import Entry, Registry

ANALYSES = Registry(
    "analysis",
    [
        Entry(
            "gap",
            "equipoise.analysis.gap:gap",
            "distance between the features of two modalities, with their picture",
            paper="Liang et al. Mind the Gap. NeurIPS 2022",
            year=2022,
        ),
    ],
    plural="analyses",
)
