"""When a modality is held back, and how strongly (InfoReg, see `inforeg`)."""

from __future__ import annotations

import torch
from torch import Tensor


def growth(history: Tensor, epochs: int) -> Tensor:
    """G (M,), the relative growth of the mean trace from one epoch to the next; 1 until there are two.

    Args:
        history: traces (M, w + 1) of the last epochs, oldest first; a mean is over w of them, or those there are.
        epochs: how many have been filled in, from the right.
    """
    if epochs < 2:
        return torch.ones_like(history[:, 0])
    seen = history[:, -epochs:]
    now, before = seen[:, 1 - history.shape[1] :].mean(1), seen[:, :-1].mean(1)
    return (now - before) / now.clamp_min(torch.finfo(now.dtype).tiny)


def pull(lead: Tensor, growing: Tensor, beta: float, strength: float, threshold: float) -> Tensor:
    """α (M,) from Δ (M,) and G (M,); 0 where a modality is not ahead or its window is over."""
    held = (lead > 0) & (growing > threshold)
    return torch.where(held, strength * torch.exp(beta * torch.tanh(lead)), 0.0)


def leads(scores: Tensor) -> Tensor:
    """Δ (M,): each score minus the mean of the others', M ≥ 2."""
    count = len(scores)
    return (scores - scores.mean()) * count / (count - 1)
