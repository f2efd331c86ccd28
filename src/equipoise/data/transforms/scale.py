"""Normalisation by the mean and standard deviation of the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

CHUNK = 64
"""Rows in memory at a time."""
ENOUGH = 4096
"""Rows of images, sounds and series that are enough for a mean and a standard deviation."""
LIMIT = 8.0
"""Standard deviations from the mean at which robust scaling cuts."""
COLUMNS = 8
"""Fewest columns of counts: a few integers, such as an age and a year, are measurements."""
LONG_TAIL = 10.0
"""Counts of words or patterns have a maximum of at least this many times their mean; the integers
of pixels do not."""


@dataclass(frozen=True)
class Scale:
    """The map x → (x − mean) / deviation along one axis of a sample.

    Robust scaling cuts the result at `limit`, and takes x → log(1 + x) first where x are counts.

    Attributes:
        mean: a number for each place of the axis, such as a column of a vector or a channel.
        deviation: a standard deviation for each place of the axis.
        axis: of a sample.
        padded: leave steps of zeros along the first axis at zero.
        limit: largest absolute value of the result; 0 for none.
        counts: the numbers are counts, and their logarithms are scaled.
    """

    mean: list[float]
    deviation: list[float]
    axis: int = 0
    padded: bool = False
    limit: float = 0.0
    counts: bool = False

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Scale samples, (B, …) → float32 (B, …)."""
        shape = [1] * block.ndim
        shape[self.axis + 1] = len(self.mean)
        mean = np.asarray(self.mean, dtype=np.float32).reshape(shape)
        deviation = np.asarray(self.deviation, dtype=np.float32).reshape(shape)
        scaled: np.ndarray = (_logarithm(block) if self.counts else block) - mean
        scaled /= deviation
        if self.limit:
            np.clip(scaled, -self.limit, self.limit, out=scaled)
        return scaled * _real(block)[..., None] if self.padded else scaled


def fit_scale(
    read: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    width: int,
    axis: int,
    padded: bool,
    robust: bool = False,
) -> Scale:
    """Compute means and standard deviations over rows; a constant place keeps its scale.

    Args:
        read: returns the samples of rows, float (B, …).
        rows: of the training samples that have the modality.
        width: length of the axis.
        axis: of a sample; each of its places gets a mean and a standard deviation.
        padded: leave out steps of zeros along the first axis.
        robust: cut at `LIMIT`, and recognise counts.
    """
    counts = robust and _are_counts(read, rows, width)
    if counts:
        read = partial(_read_logarithms, read)
    # Two passes, because mean(x²) − mean² would lose precision.
    mean = _mean(read, rows, np.zeros(width), axis, padded, power=1)
    deviation = np.sqrt(_mean(read, rows, mean, axis, padded, power=2))
    constant = deviation <= np.finfo(np.float32).eps * np.abs(mean)
    return Scale(
        mean.tolist(),
        np.where(constant, 1.0, deviation).tolist(),
        axis,
        padded,
        LIMIT if robust else 0.0,
        counts,
    )


def sample_rows(rows: np.ndarray) -> np.ndarray:
    """Pick at most `ENOUGH` of the rows, evenly spread.

    An image has 100,000 pixels, so the statistics of 4,096 images are precise enough.
    """
    if len(rows) <= ENOUGH:
        return rows
    return rows[np.linspace(0, len(rows) - 1, ENOUGH).astype(np.int64)]


def _logarithm(block: np.ndarray) -> np.ndarray:
    """log(1 + x); new data may hold what no training row has, and a negative count is none."""
    logarithm: np.ndarray = np.log1p(np.maximum(block, 0))
    return logarithm


def _read_logarithms(read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    return _logarithm(read(rows))


def _are_counts(read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, width: int) -> bool:
    """True for many columns of integers, none negative, with a long tail."""
    if width < COLUMNS:
        return False
    largest = total = 0.0
    for start in range(0, len(rows), CHUNK):
        block = read(rows[start : start + CHUNK])
        if (block < 0).any() or (block != np.rint(block)).any():
            return False
        largest = max(largest, float(block.max()))
        total += float(block.sum(dtype=np.float64))
    return largest > 1 and largest * len(rows) * width >= LONG_TAIL * total


def _real(block: np.ndarray) -> np.ndarray:
    """Mark the steps that are not padding, (B, L, …) → bool (B, L)."""
    return np.asarray((block != 0).any(axis=-1))


def _mean(
    read: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    centre: np.ndarray,
    axis: int,
    padded: bool,
    power: int,
) -> np.ndarray:
    """Mean of (x − centre)^power over rows and all other axes, (width,); zeros for no rows."""
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
