"""A modality's own response, its Shapley share of the fused logits, and how responses compare (AGM, see `agm`).

f(S) are the fused logits with the modalities outside S deactivated. o_m = Σ_S c_m(S) f(S) over all S, in which f(∅)
cancels, and Σ_m o_m = f(all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

Subset = tuple[str, ...]


def subsets(modalities: Sequence[str]) -> list[Subset]:
    """All but the empty one."""
    return [s for size in range(1, len(modalities) + 1) for s in combinations(modalities, size)]


def share(modality: str, subset: Subset, count: int) -> float:
    """The coefficient of f(S) in the response of a modality, among `count` of them."""
    size = len(subset)
    if modality in subset:
        return factorial(size - 1) * factorial(count - size) / factorial(count)
    return -factorial(size) * factorial(count - size - 1) / factorial(count)


def response(modality: str, fused: Mapping[Subset, Tensor], count: int) -> Tensor:
    """o_m (B, C) from {S: f(S)}."""
    return torch.stack([share(modality, s, count) * f for s, f in fused.items()]).sum(0)


def relative(scores: Tensor) -> Tensor:
    """r (M,) of the scores (M,), or τ of their running means; their product is 1."""
    count = len(scores)
    return torch.exp(count / (count - 1) * (scores.mean() - scores))


def coefficients(scores: Tensor, means: Tensor, alpha: float, cap: float) -> Tensor:
    """κ (M,)."""
    return torch.exp(alpha * (relative(means) - relative(scores)).clamp_max(cap))
