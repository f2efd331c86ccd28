"""Centring and scaling by what the training rows show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CHUNK = 64  # rows in memory at a time
ENOUGH = 4096  # rows of images, sounds and series that a mean and deviation are taken from, evenly spread


@dataclass(frozen=True)
class Scale:
    """x → (x − mean) / deviation, along one axis of a sample.

    Attributes:
        mean: a number for each place of the axis: column of a vector, channel of a map.
        deviation: the same.
        axis: of a sample.
        padded: leave steps of zeros along the first axis at zero.
    """

    mean: list[float]
    deviation: list[float]
    axis: int = 0
    padded: bool = False

    def apply(self, block: np.ndarray) -> np.ndarray:
        """float32 (B, …)."""
        shape = [1] * block.ndim
        shape[self.axis + 1] = len(self.mean)
        mean = np.asarray(self.mean, dtype=np.float32).reshape(shape)
        deviation = np.asarray(self.deviation, dtype=np.float32).reshape(shape)
        scaled: np.ndarray = (block - mean) / deviation
        return scaled * _real(block)[..., None] if self.padded else scaled


def fit_scale(
    read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, width: int, axis: int, padded: bool
) -> Scale:
    """Mean and standard deviation over rows; a constant column keeps its scale.

    Args:
        read: from rows to float (B, …).
        rows: of the training samples that have the modality.
        width: length of the axis.
        axis: of a sample, that has a mean and deviation each.
        padded: steps of zeros along the first axis do not count.
    """
    mean = _mean(read, rows, np.zeros(width), axis, padded, power=1)
    deviation = np.sqrt(
        _mean(read, rows, mean, axis, padded, power=2)
    )  # two passes: mean(x²) − mean² would cancel
    constant = deviation <= np.finfo(np.float32).eps * np.abs(mean)
    return Scale(mean.tolist(), np.where(constant, 1.0, deviation).tolist(), axis, padded)


def spread(rows: np.ndarray) -> np.ndarray:
    """At most ENOUGH of the rows, evenly spread: a decoded image has 100,000 pixels, and 4,096 of them say it all."""
    if len(rows) <= ENOUGH:
        return rows
    return rows[np.linspace(0, len(rows) - 1, ENOUGH).astype(np.int64)]


def _real(block: np.ndarray) -> np.ndarray:
    """bool (B, L): steps that are not padding."""
    return np.asarray((block != 0).any(axis=-1))


def _mean(
    read: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    centre: np.ndarray,
    axis: int,
    padded: bool,
    power: int,
) -> np.ndarray:
    """Mean of (x − centre)^power, (width,); zeros for no rows."""
    total = np.zeros(len(centre))
    count = 0
    for start in range(0, len(rows), CHUNK):
        block = read(rows[start : start + CHUNK])
        if padded:
            block = block[_real(block)][:, None]
            flat = np.moveaxis(block, 2, 0).reshape(len(centre), -1)
        else:
            flat = np.moveaxis(block, axis + 1, 0).reshape(len(centre), -1)
        total += ((flat.astype(np.float64) - centre[:, None]) ** power).sum(1)
        count += flat.shape[1]
    return total / max(count, 1)
