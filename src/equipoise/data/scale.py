"""Centring and scaling by what the training rows show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from equipoise.data.table import Splits, Table

CHUNK = 512  # rows in memory at a time


@dataclass(frozen=True)
class Scale:
    """x → (x − mean) / deviation, column by column for vectors, channel by channel for maps."""

    mean: list[float]
    deviation: list[float]

    def apply(self, block: np.ndarray) -> np.ndarray:
        """(B, …) of one modality; the first axis of a sample is the one with a mean and deviation each."""
        shape = (len(self.mean), *(1,) * (block.ndim - 2))
        mean = np.asarray(self.mean, dtype=np.float32).reshape(shape)
        deviation = np.asarray(self.deviation, dtype=np.float32).reshape(shape)
        scaled: np.ndarray = (block - mean) / deviation
        return scaled


def standardise(parts: Splits) -> Splits:
    """Every split scaled by what the training rows show; the scales go into `preprocessing`."""
    scales = {m: fit_scale(parts.train, m) for m in parts.train.modalities}
    return replace(
        parts,
        train=parts.train.scaled(scales),
        validation=parts.validation.scaled(scales),
        test=parts.test.scaled(scales),
        holdout=parts.holdout and parts.holdout.scaled(scales),
        preprocessing={**parts.preprocessing, "scales": {m: asdict(scale) for m, scale in scales.items()}},
    )


def fit_scale(table: Table, modality: str) -> Scale:
    """Mean and standard deviation over the rows that have the modality; a constant column keeps its scale."""
    rows = table.store_rows[table.present[modality]]
    store, width = table.arrays[modality], table.specs[modality].shape[0]
    mean = _mean(store, rows, np.zeros(width), power=1)
    deviation = np.sqrt(_mean(store, rows, mean, power=2))  # a second pass: mean(x²) − mean² would cancel
    constant = deviation <= np.finfo(np.float32).eps * np.abs(mean)
    return Scale(mean.tolist(), np.where(constant, 1.0, deviation).tolist())


def _mean(store: np.ndarray, rows: np.ndarray, centre: np.ndarray, power: int) -> np.ndarray:
    """Mean of (x − centre)^power per column or channel, (width,); zeros for no rows."""
    total, count = np.zeros(len(centre)), 0
    for start in range(0, len(rows), CHUNK):
        block = np.asarray(store[rows[start : start + CHUNK]], dtype=np.float64)
        flat = block.reshape(len(block), len(centre), -1)
        total += ((flat - centre[:, None]) ** power).sum((0, 2))
        count += flat.shape[0] * flat.shape[2]
    return total / max(count, 1)
