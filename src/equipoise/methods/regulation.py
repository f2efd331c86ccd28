"""When a modality is held back, and how strongly (InfoReg, see `inforeg`)."""

from __future__ import annotations

import torch
from torch import Tensor


def growth(history: Tensor) -> Tensor:
    """G (M,) from the traces (M, w + 1) of the last epochs, oldest first: growth of the mean over w of them."""
    now, before = history[:, 1:].mean(1), history[:, :-1].mean(1)
    return (now - before) / now.clamp_min(torch.finfo(now.dtype).tiny)


def pull(lead: Tensor, growing: Tensor, beta: float, strength: float, threshold: float) -> Tensor:
    """α (M,) from Δ (M,) and G (M,); 0 where a modality is not ahead or its window is over."""
    held = (lead > 0) & (growing > threshold)
    return torch.where(held, strength * torch.exp(beta * torch.tanh(lead)), 0.0)


def leads(scores: Tensor) -> Tensor:
    """Δ (M,): each score minus the mean of the others', M ≥ 2."""
    count = len(scores)
    return (scores - scores.mean()) * count / (count - 1)
