"""Centring and scaling by what the training rows show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from equipoise.data.table import Table

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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_scale(table: Table, modality: str) -> Scale:
    """Mean and standard deviation over the rows that have the modality; a constant column keeps its scale."""
    rows = table.store_rows[table.present[modality]]
    width = table.specs[modality].shape[0]
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    for start in range(0, len(rows), CHUNK):
        block = np.asarray(table.arrays[modality][rows[start : start + CHUNK]], dtype=np.float64)
        flat = block.reshape(len(block), width, -1)
        count += flat.shape[0] * flat.shape[2]
        total += flat.sum((0, 2))
        squares += (flat**2).sum((0, 2))
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    steady = deviation < 1e-6 * np.maximum(np.abs(mean), 1)
    return Scale(mean.tolist(), np.where(steady, 1.0, deviation).tolist())
