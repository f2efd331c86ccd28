"""How hard a sample is for a multimodal network, and how much of a table a curriculum shows (BSS, see `bss`)."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output


def difficulty(loss: Tensor, similarity: Tensor) -> Tensor:
    """(N,) in [−1, 1], from ℓ (N,) and the modalities' likeness (N,)."""
    return _unit(loss) - _unit(similarity)


def _unit(values: Tensor) -> Tensor:
    span = values.max() - values.min()
    return (values - values.min()) / span.clamp_min(torch.finfo(values.dtype).tiny)


def curriculum_share(epoch: int, start: float, grow: int) -> float:
    """The easiest share of the table that an epoch, from 0, trains on."""
    if epoch + 1 >= grow:
        return 1.0  # which rounding must not fall short of
    return min(1.0, math.sqrt((1 - start**2) / grow * (epoch + 1) + start**2))


def similarity(output: Output, batch: Batch) -> Tensor:
    """Mean cosine (B,) of the modalities' class probabilities over the pairs a sample has; 0 without any."""
    total = torch.zeros_like(output.fused[:, 0])
    count = torch.zeros_like(total)
    for m, j in combinations(output.logits, 2):
        both = batch.present[m] & batch.present[j]
        alike = F.cosine_similarity(output.logits[m].softmax(1), output.logits[j].softmax(1), dim=1)
        total, count = total + alike * both, count + both
    return total / count.clamp_min(1)
