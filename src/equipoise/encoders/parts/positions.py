"""Fixed tables of sine-cosine positions, as in masked autoencoders (He et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


def sine_cosine_1d(length: int, width: int) -> Tensor:
    """Encode the positions of a sequence.

    Returns:
        (length, width): the sines, then the cosines, of position · 10000^(−k / (width/2)) for
        k = 0 … width/2 − 1.
    """
    return _encoded(torch.arange(length), width).float()


def sine_cosine_2d(rows: int, columns: int, width: int) -> Tensor:
    """Encode the positions of a grid.

    The column comes first because the published grids are built with x first. Weights that were
    trained with these tables need exactly this order.

    Returns:
        (rows · columns, width), row by row: the first half encodes the column, the second the row.
    """
    column = _encoded(torch.arange(columns), width // 2).repeat(rows, 1)
    row = _encoded(torch.arange(rows), width // 2).repeat_interleave(columns, dim=0)
    return torch.cat([column, row], dim=1).float()


def _encoded(places: Tensor, width: int) -> Tensor:
    """Sines and cosines of every place, (N,) → (N, width), in float64."""
    half = width // 2
    frequencies = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = places.to(torch.float64)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
