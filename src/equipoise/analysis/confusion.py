"""The difference of the confusions of two runs: which mistakes one makes and the other does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from equipoise.analysis.opened import Opened, Runs, open_runs
from equipoise.analysis.picture import Grid, Panel, Picture
from equipoise.analysis.record import Record
from equipoise.batch import Predictions
from equipoise.checks import choice, require
from equipoise.errors import ConfigError, RunError

MOST_WRITTEN = 12
"""The most classes for which the values are written into the cells."""


def fractions(predictions: Predictions, part: str) -> np.ndarray:
    """The fraction (C, C) of each true class that is predicted as each class.

    Args:
        predictions: of a split.
        part: "fused" or a modality, of which the samples that have it count.
    """
    known = predictions.label >= 0
    logits = predictions.fused
    if part != "fused":
        known = known & predictions.present[part]
        logits = predictions.logits[part]
    size = len(predictions.classes)
    codes = predictions.label[known] * size + logits[known].argmax(1)
    counts = np.bincount(codes, minlength=size * size).reshape(size, size)
    found: np.ndarray = counts / counts.sum(1, keepdims=True).clip(min=1)
    return found


def confusion_difference(
    runs: Runs, *, part: str = "fused", split: str = "test", trust: bool = False
) -> Record:
    """Subtract the confusions of the first run from those of each other run.

    Args:
        runs: at least two finished runs, their folders, or the folder of a comparison.
        part: fused, or a modality.
        split: whose predictions the runs have stored, validation or test.
        trust: without effect, as no network is loaded.

    Returns:
        A table with a row for each other run, true and predicted class: the fractions of the true
        class under both runs, and their difference. On the diagonal more is better, elsewhere less.

    Raises:
        ConfigError: no such split or modality.
        RunError: fewer than two runs, or runs of different classes.
    """
    require("confusion-difference", choice("split", split, ("validation", "test")))
    opened = open_runs(runs, trust)
    if len(opened) < 2:
        raise RunError("confusion-difference: a difference needs at least two runs")
    first, *others = opened
    reference = first.predictions(split)
    before = _checked(first, reference, reference, part)
    rows: list[dict[str, Any]] = []
    panels = []
    names = [str(name) for name in reference.classes]
    for one in others:
        after = _checked(one, one.predictions(split), reference, part)
        for true, row in enumerate(names):
            for predicted, column in enumerate(names):
                pair = before[true, predicted], after[true, predicted]
                rows.append(
                    {
                        **one.facts,
                        "reference": first.label,
                        "true": row,
                        "predicted": column,
                        "fraction": float(pair[1]),
                        "reference fraction": float(pair[0]),
                        "difference": float(pair[1] - pair[0]),
                    }
                )
        grid = Grid(
            after - before,
            names,
            names,
            "difference",
            diverging=True,
            write=len(names) <= MOST_WRITTEN,
        )
        title = f"{one.label} − {first.label}, {part}"
        panels.append(Panel([grid], title, x="predicted", y="true"))
    picture = Picture(panels, columns=min(2, len(panels)))
    return Record("confusion-difference", pd.DataFrame(rows), picture)


def _checked(
    one: Opened, predictions: Predictions, reference: Predictions, part: str
) -> np.ndarray:
    if part not in ("fused", *predictions.modalities):
        known = ", ".join(("fused", *predictions.modalities))
        raise ConfigError(f"{one.run.folder}: no part {part!r}; there are {known}")
    if predictions.classes != reference.classes:
        raise RunError(f"{one.run.folder}: its classes are not those of the first run")
    return fractions(predictions, part)
