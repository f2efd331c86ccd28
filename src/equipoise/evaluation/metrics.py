"""Metrics of a split: pure functions of probabilities (N, C) and labels (N,).

All are fractions from 0 to 1. The softmax is computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from equipoise.batch import Predictions

BINS = 15  # of the calibration error, as in Guo et al. 2017


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, C) of logits (N, C), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponent = np.exp(shifted)
    probability: np.ndarray = exponent / exponent.sum(axis=1, keepdims=True)
    return probability


def accuracy(probability: np.ndarray, label: np.ndarray) -> float:
    """Fraction of the samples whose most probable class is their label."""
    return float((probability.argmax(axis=1) == label).mean())


def macro_f1(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 score over the classes that occur in labels or predictions."""
    from sklearn.metrics import f1_score

    return float(f1_score(label, probability.argmax(axis=1), average="macro", zero_division=0))


def mean_average_precision(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision over the classes that occur in the labels."""
    from sklearn.metrics import average_precision_score

    scores = [average_precision_score(label == k, probability[:, k]) for k in np.unique(label)]
    return float(np.mean(scores))


def calibration_error(probability: np.ndarray, label: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: |mean confidence − accuracy| of each bin, weighted by its size.

    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017, Eq. 3.

    Args:
        probability: (N, C).
        label: int (N,).
        bins: number of intervals of equal width (a, b] into which confidences are sorted.
    """
    confidence = probability.max(axis=1)
    correct = probability.argmax(axis=1) == label
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(label))


_METRICS = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "mean_average_precision": mean_average_precision,
    "calibration_error": calibration_error,
}


def score(logits: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Every metric of logits (N, C); None for each if there is no sample."""
    if len(label) == 0:
        return dict.fromkeys(_METRICS)
    probability = softmax(logits)
    return {name: metric(probability, label) for name, metric in _METRICS.items()}


def absent_fraction(measured: Mapping[str, Any]) -> float | None:
    """Fraction of the cells (sample, modality) that are absent.

    Args:
        measured: as `measure` returns it.

    Returns:
        The fraction; None without samples.
    """
    cells = measured["count"] * len(measured["modalities"])
    if not cells:
        return None
    present = sum(modality["count"] for modality in measured["modalities"].values())
    return float(1 - present / cells)


def measure(predictions: Predictions) -> dict[str, Any]:
    """Metrics of a split, over the samples that have a label.

    Returns:
        {"fused": {metric: value}, "modalities": {name: {metric: value, "count": n}}, "count": N}.
        The metrics of a modality are over the n samples that have it.
    """
    known = predictions.label >= 0
    modalities = {}
    for modality in predictions.modalities:
        rows = known & predictions.present[modality]
        values = score(predictions.logits[modality][rows], predictions.label[rows])
        modalities[modality] = {**values, "count": int(rows.sum())}
    fused = score(predictions.fused[known], predictions.label[known])
    return {"fused": fused, "modalities": modalities, "count": int(known.sum())}
