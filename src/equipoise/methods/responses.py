"""How the modalities' own responses compare (AGM, see `agm`)."""

from __future__ import annotations

import torch
from torch import Tensor


def relative(scores: Tensor) -> Tensor:
    """r (M,) of the scores (M,), or τ of their running means; their product is 1."""
    count = len(scores)
    return torch.exp(count / (count - 1) * (scores.mean() - scores))


def coefficients(scores: Tensor, means: Tensor, alpha: float, cap: float) -> Tensor:
    """κ (M,)."""
    return torch.exp(alpha * (relative(means) - relative(scores)).clamp_max(cap))
