"""How often every class occurs, in all and in every split."""

from __future__ import annotations

from collections import Counter
from typing import Any

from equipoise.data.table.splits import NAMES
from equipoise.diagnosis.study import Study

FEW = 10
"""Samples of a class below which little can be learned or measured of it."""


def count_classes(study: Study) -> dict[str, Any]:
    """Counts of classes and splits.

    Returns:
        {"samples": {split: n}, "unlabelled": rows without a label, "classes": {class: {"all": n,
        split: n}}, "largest": {"class", "share"}, "few": classes below `FEW`, "not_in": {split:
            classes that it lacks},
        "majority_accuracy": {split: of always answering the largest training class}}. What needs
        splits is empty where there are none.
    """
    everywhere = Counter(label for label in study.label if label is not None)
    splits = NAMES if study.split is not None else ()
    inside = {
        split: Counter(
            label for label in (study.label[row] for row in study.rows(split)) if label is not None
        )
        for split in splits
    }
    classes = study.classes
    largest = everywhere.most_common(1)
    return {
        "samples": {split: len(study.rows(split)) for split in splits},
        "unlabelled": len(study.label) - everywhere.total(),
        "classes": {
            c: {"all": everywhere[c], **{split: inside[split][c] for split in splits}}
            for c in classes
        },
        "largest": {"class": largest[0][0], "share": largest[0][1] / everywhere.total()}
        if largest
        else None,
        "few": [c for c in classes if everywhere[c] < FEW],
        "not_in": {
            split: [c for c in classes if not counts[c]]
            for split, counts in inside.items()
            if counts
        },
        "majority_accuracy": _majority(inside),
    }


def _majority(inside: dict[str, Counter[str]]) -> dict[str, float]:
    if not inside or not inside["train"]:
        return {}
    answer = inside["train"].most_common(1)[0][0]
    return {
        split: inside[split][answer] / inside[split].total()
        for split in ("validation", "test")
        if inside[split]
    }
