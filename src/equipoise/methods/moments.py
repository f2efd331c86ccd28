"""Central moment discrepancy between modalities (Zellinger et al. 2017), over the samples of all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from equipoise.training.context import Context

TINY = 1e-12  # under the root, whose derivative at 0 is infinite


def central_moments(values: Tensor, present: Tensor, ctx: Context, order: int = 5) -> list[Tensor]:
    """Mean and central moments 2 … `order`, each (d,), of values (B, d) over the present samples of all ranks."""
    mean = ctx.mean(ctx.sample_mean(values, present))
    centred = values - mean
    return [mean, *(ctx.mean(ctx.sample_mean(centred**k, present)) for k in range(2, order + 1))]


def distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Σ_k ‖c_k − c'_k‖₂, the bounds of the support left out as IF-MMIN does."""
    squares = torch.stack([(a - b).square().sum() for a, b in zip(first, second, strict=True)])
    total: Tensor = ((squares + TINY).sqrt() - TINY**0.5).sum()
    return total


def discrepancy(values: Mapping[str, Tensor], present: Mapping[str, Tensor], ctx: Context) -> Tensor:
    """The distance of two modalities' moments, averaged over all pairs; 0 with a single modality.

    Args:
        values: {modality: (B, d)}, of one width.
        present: {modality: bool (B,)}; a modality's moments are those of the rows where it is True. A modality that
            no row of any rank has takes part in no pair.
        ctx: tells the means over all ranks.
    """
    moments = {m: central_moments(x, present[m], ctx) for m, x in values.items()}
    there = {m: (ctx.sum(present[m].sum()) > 0) for m in values}
    pairs = list(combinations(sorted(values), 2))
    if not pairs:
        return next(iter(values.values())).new_zeros(())
    both = torch.stack([there[a] & there[b] for a, b in pairs])
    found = torch.stack([distance(moments[a], moments[b]) for a, b in pairs])
    return torch.where(both, found, 0.0).sum() / both.sum().clamp_min(1)
