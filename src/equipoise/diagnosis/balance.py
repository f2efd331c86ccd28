"""Counts of the classes, in the whole data set and in every split."""

from __future__ import annotations

from collections import Counter
from typing import Any

from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.diagnosis.study import Study

FEW = 10
"""With fewer samples little can be learned or measured about a class."""


def count_classes(study: Study) -> dict[str, Any]:
    """Count classes and splits.

    Returns:
        {"samples": {split: n}, "unlabelled": rows without a label, "classes": {class: {"all": n,
        split: n}}, "largest": {"class", "share": fraction of the labelled rows}, "few": classes
        with fewer than `FEW` samples, "not_in": {split: classes that it lacks},
        "majority_accuracy": {split: accuracy of always answering the largest training class}}.
        Entries per split are empty where there are no splits.
    """
    everywhere = Counter(label for label in study.label if label is not None)
    splits = SPLIT_NAMES if study.split is not None else ()
    inside = {split: _count_labels(study, split) for split in splits}
    classes = study.classes
    largest = None
    if everywhere:
        name, count = everywhere.most_common(1)[0]
        largest = {"class": name, "share": count / everywhere.total()}
    return {
        "samples": {split: len(study.rows(split)) for split in splits},
        "unlabelled": len(study.label) - everywhere.total(),
        "classes": {
            c: {"all": everywhere[c], **{split: inside[split][c] for split in splits}}
            for c in classes
        },
        "largest": largest,
        "few": [c for c in classes if everywhere[c] < FEW],
        "not_in": {
            split: [c for c in classes if not counts[c]]
            for split, counts in inside.items()
            if counts
        },
        "majority_accuracy": _majority(inside),
    }


def _count_labels(study: Study, split: str) -> Counter[str]:
    labels = [study.label[row] for row in study.rows(split)]
    return Counter(label for label in labels if label is not None)


def _majority(inside: dict[str, Counter[str]]) -> dict[str, float]:
    """Accuracy, per split, of always answering the largest training class."""
    if not inside or not inside["train"]:
        return {}
    answer = inside["train"].most_common(1)[0][0]
    return {
        split: inside[split][answer] / inside[split].total()
        for split in ("validation", "test")
        if inside[split]
    }
