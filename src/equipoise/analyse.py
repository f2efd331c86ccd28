"""Analyses of finished runs: `equipoise.analyse.gap("runs/mla")` returns a record.

Every function takes a run, its folder, the folder of a comparison, or several of them. A record has
`to_frame()`, `figure()` for pages and notebooks, and `save(folder)` for CSV, SVG and PDF.
"""

from __future__ import annotations

from equipoise.analysis.confusion import confusion_difference
from equipoise.analysis.contribution import shapley
from equipoise.analysis.course import alpha, phases
from equipoise.analysis.disagreement import disagreement
from equipoise.analysis.gap import gap
from equipoise.analysis.gradcam import gradcam
from equipoise.analysis.landscape import landscape
from equipoise.analysis.record import Record
from equipoise.analysis.sensitivity import sensitivity
from equipoise.analysis.spectrum import spectrum

__all__ = [
    "Record",
    "alpha",
    "confusion_difference",
    "disagreement",
    "gap",
    "gradcam",
    "landscape",
    "phases",
    "sensitivity",
    "shapley",
    "spectrum",
]
