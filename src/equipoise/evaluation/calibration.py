"""Temperature scaling: one number by which logits are divided, fitted on validation.

    T = argmin_T mean_i −log softmax(u_i / T)[y_i]

It changes how sure a model is, never what it predicts. T is at least 1, so it makes no model surer:
where a few validation samples are all right, the smallest T would be best, and wrong for new ones.

Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017, Section 4.2.

The log-loss that is left so is the better judge of epochs: a network gets too sure of its
predictions early, which T mends, while these still improve.

Berta, Holzmüller, Jordan, Bach. Rethinking Early Stopping: Refine, Then Calibrate. 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from equipoise.batch import Predictions

SMALLEST = 1.0
LARGEST = 20.0
STEPS = 24  # of the bisection, after which the temperature is known to a millionth

Temperatures = Mapping[str, Any]
"""{"fused": T, "modalities": {modality: T}}"""


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The temperature with the smallest log-loss, from `SMALLEST` to `LARGEST`; 1 without samples.

    Args:
        logits: (N, C).
        label: int (N,).
    """
    if not len(label):
        return 1.0
    u = logits.astype(np.float64)
    u = u - u.max(axis=1, keepdims=True)
    true = u[np.arange(len(label)), label]

    def rises(inverse: float) -> bool:
        """True where the log-loss, a convex function of 1 / T, grows with 1 / T."""
        p = np.exp(inverse * u)
        p /= p.sum(axis=1, keepdims=True)
        return float(((p * u).sum(axis=1) - true).mean()) > 0

    low, high = np.log(1 / LARGEST), np.log(1 / SMALLEST)
    if not rises(float(np.exp(high))):
        return SMALLEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        if rises(float(np.exp(middle))):
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def fit_temperatures(predictions: Predictions) -> dict[str, Any]:
    """A temperature for the fused prediction, and one for each modality's own.

    Args:
        predictions: of the validation split; samples without a label do not count.
    """
    known = predictions.label >= 0
    modalities = {}
    for modality in predictions.modalities:
        rows = known & predictions.present[modality]
        modalities[modality] = fit_temperature(
            predictions.logits[modality][rows], predictions.label[rows]
        )
    fused = fit_temperature(predictions.fused[known], predictions.label[known])
    return {"fused": fused, "modalities": modalities}


def with_fused_tempered(predictions: Predictions) -> Predictions:
    """The same predictions, the fused ones with the temperature that suits their own labels."""
    known = predictions.label >= 0
    fused = fit_temperature(predictions.fused[known], predictions.label[known])
    return tempered(predictions, {"fused": fused, "modalities": {}})


def tempered(predictions: Predictions, temperatures: Temperatures | None) -> Predictions:
    """The same predictions with their logits divided by the temperatures; None divides nothing.

    A modality without a temperature keeps its logits.
    """
    if temperatures is None:
        return predictions
    own = temperatures["modalities"]
    return replace(
        predictions,
        fused=_divided(predictions.fused, temperatures["fused"]),
        logits={m: _divided(u, own.get(m, 1.0)) for m, u in predictions.logits.items()},
    )


def _divided(logits: np.ndarray, temperature: float) -> np.ndarray:
    # Less the largest first: it stays 0 and all others below it, so that no rounding of the
    # quotient can exchange the predicted class.
    scaled: np.ndarray = (logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature)
    return scaled
