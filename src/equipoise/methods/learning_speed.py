"""The conditional learning speed of branches that see each other (Wu et al., ICML 2022), see `greedy`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def speed(parameters: Iterable[nn.Parameter]) -> Tensor:
    """μ (), the squared gradients over the squared parameters."""
    parts = [(p, p.grad) for p in parameters]
    moved = [g.square().sum() for _, g in parts if g is not None]
    size = torch.stack([p.detach().square().sum() for p, _ in parts]).sum()
    return torch.stack(moved).sum() / size if moved else torch.zeros_like(size)


def bypass_rates(bypass: Tensor, main: Tensor) -> Tensor:
    """BDR (M,), NaN where nothing was measured."""
    return torch.where((bypass > 0) & (main > 0), (bypass / main).log10(), torch.nan)


def neediest(rates: Tensor, tolerance: float) -> Tensor:
    """The branch to care for, bool (M,): the one with the largest BDR if it leads the smallest by more than ε."""
    largest, smallest = rates.nan_to_num(-torch.inf), rates.nan_to_num(torch.inf)
    chosen = F.one_hot(largest.argmax(), len(rates)).bool()
    return chosen & (largest.max() - smallest.min() > tolerance)
