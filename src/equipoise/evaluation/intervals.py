"""Bootstrap intervals of metrics, for all draws at once.

A draw takes N of the N samples with replacement, whatever their class (the plain bootstrap): the
interval says how much a metric would vary between test sets of this size from the same source, with
as many samples of each class as chance gives. A draw that lacks a class leaves it out of the means
over classes, as the metrics do. Trainings with other seeds would add to the variation.

Every metric is computed from the number of times that each sample was drawn, so no sample is sorted
or compared more than once.

Efron. Bootstrap Methods: Another Look at the Jackknife. Annals of Statistics 7, 1979.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from equipoise.evaluation.metrics import BINS, Counts, calibration_bins, sample_log_loss

DRAWS = 1000
LEVEL = 0.95
AT_ONCE = 50
"""Draws that are made at a time, so that their random numbers take little memory."""


@dataclass(frozen=True)
class Draws:
    """Metrics of every draw.

    Attributes:
        overall: {metric: float (D,)}, of all classes together.
        by_class: {metric: float (C, D)}; NaN where a draw does not define it.
    """

    overall: Mapping[str, np.ndarray]
    by_class: Mapping[str, np.ndarray]


def draw_counts(samples: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """The number of times that each draw took each sample, uint8 (N, D)."""
    rng = np.random.default_rng(seed)
    counts = np.empty((samples, draws), dtype=np.uint8)
    for start in range(0, draws, AT_ONCE):
        width = min(AT_ONCE, draws - start)
        taken = rng.integers(samples, size=(samples, width), dtype=np.int64)
        taken = taken * width + np.arange(width)
        found = np.bincount(taken.ravel(), minlength=samples * width)
        counts[:, start : start + width] = found.reshape(samples, width)
    return counts


def resampled(probability: np.ndarray, label: np.ndarray, counts: np.ndarray) -> Draws:
    """Every metric of every draw.

    Args:
        probability: (N, C).
        label: int (N,).
        counts: (N, D), how often each draw took each sample.
    """
    classes = probability.shape[1]
    size = counts.sum(0, dtype=np.int64)
    predicted = probability.argmax(1)
    right = predicted == label
    of_class = Counts(
        _sums(counts[right], label[right], classes),
        _sums(counts, label, classes),
        _sums(counts, predicted, classes),
    )
    losses = sample_log_loss(probability, label)
    lost = _sums(counts * losses[:, None], label, classes)
    which, gap = calibration_bins(probability, label)
    gaps = _sums(counts * gap[:, None], which, BINS)
    precision, area = _ranked(probability, label, counts)
    by_class = {
        "precision": of_class.precision,
        "recall": of_class.recall,
        "f1": of_class.f1,
        "average_precision": precision,
        "auroc": area,
        "log_loss": np.where(of_class.true > 0, lost / np.maximum(of_class.true, 1), np.nan),
    }
    overall = {
        "accuracy": of_class.right.sum(0) / size,
        "balanced_accuracy": _mean(by_class["recall"]),
        "macro_f1": _mean(by_class["f1"]),
        "mean_average_precision": _mean(precision),
        "auroc": _mean(area),
        "log_loss": lost.sum(0) / size,
        "calibration_error": np.abs(gaps).sum(0) / size,
    }
    return Draws(overall, by_class)


def interval(values: np.ndarray, level: float = LEVEL) -> list[float] | None:
    """The central interval of the defined values (D,); None where none is defined."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def _sums(values: np.ndarray, codes: np.ndarray, groups: int) -> np.ndarray:
    """Sum the rows (n, D) of each group, (groups, D)."""
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    found = np.zeros((groups, values.shape[1]), dtype=kind)
    if len(codes):
        order = np.argsort(codes, kind="stable")
        present, starts = np.unique(codes[order], return_index=True)
        found[present] = np.add.reduceat(values[order], starts, axis=0, dtype=kind)
    return found


def _ranked(
    probability: np.ndarray, label: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and AUROC (C, D) of each class against all others."""
    shape = (probability.shape[1], counts.shape[1])
    precision = np.full(shape, np.nan)
    area = np.full(shape, np.nan)
    size = counts.sum(0, dtype=np.int64)
    for k in np.unique(label):
        score = probability[:, k]
        order = np.argsort(-score, kind="stable")
        own = label == k
        thresholds, which = np.unique(-score[own], return_inverse=True)
        positives = _sums(counts[own], which, len(thresholds))
        reached = np.cumsum(positives, axis=0)
        descending = -score[order]
        first = np.searchsorted(descending, thresholds, side="left")
        last = np.searchsorted(descending, thresholds, side="right")
        # Samples of other classes count between thresholds only, so their sums will do.
        bounds = np.unique(np.r_[0, first, last, len(order)])
        drawn = np.zeros((len(bounds), counts.shape[1]), dtype=np.int64)
        between = np.add.reduceat(counts[order], bounds[:-1], axis=0, dtype=np.int32)
        np.cumsum(between, axis=0, out=drawn[1:])
        above = drawn[np.searchsorted(bounds, first)]
        least = drawn[np.searchsorted(bounds, last)]
        total = reached[-1]
        others = size - total
        with np.errstate(invalid="ignore"):  # 0 / 0 where a draw lacks the class, or all others
            precision[k] = (positives * (reached / np.maximum(least, 1))).sum(0) / total
            # Samples of other classes that score higher, those of equal score counted half.
            higher = (above - (reached - positives) + least - reached) / 2
            area[k] = (positives * (others - higher)).sum(0) / (total * others)
    return precision, area


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean (D,) of the defined values (C, D) of each draw; NaN where none is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, values, 0).sum(0) / known.sum(0)
    return mean
