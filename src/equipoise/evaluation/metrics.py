"""Metrics of a split: pure functions of probabilities (N, C) and labels (N,).

The softmax is computed in float64. All but the log-loss are fractions from 0 to 1. A metric that
the labels do not define is None, such as the AUROC of labels of a single class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.batch import Predictions
from equipoise.settings import SMALLER_IS_BETTER

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


@dataclass(frozen=True)
class Counts:
    """Counts of each class.

    Attributes:
        right: int (C,), samples of the class that are predicted as it.
        true: int (C,), samples of the class, its support.
        predicted: int (C,), samples that are predicted as the class.
    """

    right: np.ndarray
    true: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, label: np.ndarray) -> Counts:
        """Count the samples with these probabilities (N, C) and labels (N,)."""
        classes = probability.shape[1]
        predicted = probability.argmax(axis=1)
        return cls(
            *(
                np.bincount(codes, minlength=classes)
                for codes in (label[predicted == label], label, predicted)
            )
        )

    @property
    def recall(self) -> np.ndarray:
        """Fraction (C,) of the samples of each class that are predicted as it; NaN without any."""
        return _ratio(self.right, self.true)

    @property
    def precision(self) -> np.ndarray:
        """Fraction (C,) of the predictions of each class that are right; NaN without any."""
        return _ratio(self.right, self.predicted)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean (C,) of precision and recall; NaN for a class that does not occur at all.

        It is 0 for a class that occurs only in the labels, or only in the predictions.
        """
        return _ratio(2 * self.right, self.true + self.predicted)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def balanced_accuracy(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean recall of the classes that occur in the labels."""
    return float(np.nanmean(Counts.of(probability, label).recall))


def macro_f1(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean F1 score of the classes that occur in labels or predictions."""
    return float(np.nanmean(Counts.of(probability, label).f1))


def class_average_precision(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Average precision of each class against all others.

    It is the mean, over the samples of the class, of the precision among all samples that have at
    least the same score: the sum over thresholds of (R_n - R_{n-1}) P_n, ties at one threshold.

    Args:
        probability: (N, C).
        label: int (N,).

    Returns:
        (C,); NaN for a class without samples.
    """
    found = np.full(probability.shape[1], np.nan)
    for k, of_class, everything in _scores_by_class(probability, label):
        own = len(of_class) - np.searchsorted(of_class, of_class, side="left")
        among = len(everything) - np.searchsorted(everything, of_class, side="left")
        found[k] = (own / among).mean()
    return found


def class_auroc(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each class against all others.

    It is the probability that a sample of the class scores higher than another sample, where a tie
    counts half (Mann and Whitney's U).

    Args:
        probability: (N, C).
        label: int (N,).

    Returns:
        (C,); NaN for a class of no samples, or of all.
    """
    found = np.full(probability.shape[1], np.nan)
    for k, of_class, everything in _scores_by_class(probability, label):
        positives = len(of_class)
        negatives = len(everything) - positives
        if negatives:
            # Twice the number of samples below each score, ties counted half; whole numbers, so
            # that the sum is exact.
            below = sum(
                np.searchsorted(everything, of_class, side=side).sum() for side in ("left", "right")
            )
            found[k] = (below - positives**2) / (2 * positives * negatives)
    return found


def _scores_by_class(
    probability: np.ndarray, label: np.ndarray
) -> Iterable[tuple[int, np.ndarray, np.ndarray]]:
    """Each class that occurs, with the sorted scores of its own samples and of all samples.

    Only the values are sorted, and only the samples of a class are looked up among all: together
    these are N look-ups, whatever the number of classes.
    """
    columns = np.sort(probability.T, axis=1)
    for k in np.unique(label):
        yield int(k), np.sort(probability[label == k, k]), columns[k]


def mean_average_precision(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision of the classes that occur in the labels."""
    return float(np.nanmean(class_average_precision(probability, label)))


def auroc(probability: np.ndarray, label: np.ndarray) -> float | None:
    """Mean area under the ROC curve of each class against all others (macro, one-vs-rest).

    Only classes that occur in the labels count; None where a single class occurs.
    """
    areas = class_auroc(probability, label)
    return None if np.isnan(areas).all() else float(np.nanmean(areas))


def sample_log_loss(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Negative logarithm (N,) of the probability of the true class, at most 36.04.

    Probabilities are cut at the precision of float64, as scikit-learn does, so that one certain
    mistake does not make the mean infinite.
    """
    epsilon = np.finfo(np.float64).eps
    true = probability[np.arange(len(label)), label]
    losses: np.ndarray = -np.log(np.clip(true, epsilon, 1 - epsilon))
    return losses


def log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean negative logarithm of the probability of the true class, in nats; smaller is better."""
    return float(sample_log_loss(probability, label).mean())


def calibration_error(probability: np.ndarray, label: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: |mean confidence − accuracy| of each bin, weighted by its size.

    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017, Eq. 3.

    Args:
        probability: (N, C).
        label: int (N,).
        bins: number of intervals of equal width (a, b] into which confidences are sorted.
    """
    which, gap = calibration_bins(probability, label, bins)
    gaps = np.bincount(which, weights=gap, minlength=bins)
    return float(np.abs(gaps).sum() / len(label))


def calibration_bins(
    probability: np.ndarray, label: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray]:
    """The bin (N,) of each sample's confidence, and confidence minus correctness (N,)."""
    confidence = probability.max(axis=1)
    correct = probability.argmax(axis=1) == label
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1), confidence - correct


_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "mean_average_precision": mean_average_precision,
    "auroc": auroc,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}
ALL_METRICS = tuple(_METRICS)
"""The name of every metric."""


def worth(metric: str, value: float | None) -> float:
    """A metric as a number that is larger for the better of two values.

    Args:
        metric: its name.
        value: None for a metric that was not defined, which is worth 0.
    """
    if value is None:
        return 0.0
    return -float(value) if metric in SMALLER_IS_BETTER else float(value)


def score(
    logits: np.ndarray, label: np.ndarray, metrics: Iterable[str] = ALL_METRICS
) -> dict[str, Any]:
    """Some metrics of logits (N, C), by name; None for each if there is no sample."""
    if len(label) == 0:
        return dict.fromkeys(metrics)
    probability = softmax(logits)
    return {name: _METRICS[name](probability, label) for name in metrics}


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


def measure(
    predictions: Predictions,
    fused: Iterable[str] = ALL_METRICS,
    alone: Iterable[str] = ALL_METRICS,
) -> dict[str, Any]:
    """Metrics of a split, over the samples that have a label.

    Args:
        predictions: of the split.
        fused: names of the metrics of the fused prediction.
        alone: names of the metrics of each modality alone.

    Returns:
        {"fused": {metric: value}, "modalities": {name: {metric: value, "count": n}}, "count": N}.
        The metrics of a modality are over the n samples that have it.
    """
    known = predictions.label >= 0
    modalities = {}
    for modality in predictions.modalities:
        rows = known & predictions.present[modality]
        values = score(predictions.logits[modality][rows], predictions.label[rows], alone)
        modalities[modality] = {**values, "count": int(rows.sum())}
    together = score(predictions.fused[known], predictions.label[known], fused)
    return {"fused": together, "modalities": modalities, "count": int(known.sum())}
