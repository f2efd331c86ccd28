"""The whole assessment of a split: its metrics, each class, the confusions and the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.evaluation.intervals import draw_counts, interval, resampled
from equipoise.evaluation.metrics import (
    Counts,
    class_auroc,
    class_average_precision,
    measure,
    sample_log_loss,
    softmax,
)


def assess(predictions: Predictions) -> dict[str, Any]:
    """Measure a split, over the samples that have a label.

    Returns:
        What `measure` returns, with "intervals" beside the metrics of each modality, {metric: [low,
        high]} at 95 % (see `intervals`); and of the fused prediction: "intervals"; "classes", for
        each class its name, its support, precision, recall, F1, average precision, AUROC and mean
        log-loss, and the intervals of these; "confusion", counts (C, C) of true class by predicted
        class. What is not defined is None.
    """
    known = predictions.label >= 0
    label = predictions.label[known]
    logits = predictions.fused[known]
    measured = measure(predictions)
    for modality, found in measured["modalities"].items():
        rows = known & predictions.present[modality]
        found["intervals"] = _intervals(predictions.logits[modality][rows], predictions.label[rows])
    if not len(label):
        return {**measured, "intervals": {}, "classes": [], "confusion": []}
    probability = softmax(logits)
    draws = resampled(probability, label, draw_counts(len(label)))
    values = _by_class(probability, label)
    classes = []
    for code, name in enumerate(predictions.classes):
        classes.append(
            {
                "class": name,
                "support": int((label == code).sum()),
                **{metric: _plain(found[code]) for metric, found in values.items()},
                "intervals": {m: interval(found[code]) for m, found in draws.by_class.items()},
            }
        )
    size = len(predictions.classes)
    pairs = np.bincount(label * size + probability.argmax(1), minlength=size * size)
    return {
        **measured,
        "intervals": {metric: interval(found) for metric, found in draws.overall.items()},
        "classes": classes,
        "confusion": pairs.reshape(size, size).tolist(),
    }


def _intervals(logits: np.ndarray, label: np.ndarray) -> dict[str, list[float] | None]:
    """{metric: its interval} of logits (N, C); empty without samples."""
    if not len(label):
        return {}
    draws = resampled(softmax(logits), label, draw_counts(len(label)))
    return {metric: interval(values) for metric, values in draws.overall.items()}


def _by_class(probability: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """{metric: (C,)}; NaN where it is not defined."""
    counts = Counts.of(probability, label)
    loss = np.bincount(
        label, weights=sample_log_loss(probability, label), minlength=probability.shape[1]
    )
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "average_precision": class_average_precision(probability, label),
        "auroc": class_auroc(probability, label),
        "log_loss": np.where(counts.true > 0, loss / np.maximum(counts.true, 1), np.nan),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
