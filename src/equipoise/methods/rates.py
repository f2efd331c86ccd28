"""Learning rates of modalities, from constants and from accuracies (see `mslr`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import torch
from torch import Tensor

SMALLEST = 0.01


def smooth(rates: Sequence[float], share: float) -> list[float]:
    """c_m^s g^(1−s), g the geometric mean."""
    mean = sum(map(log, rates)) / len(rates)
    return [exp(share * log(rate) + (1 - share) * mean) for rate in rates]


def ratios(now: Tensor, window: Tensor) -> Tensor:
    """r (M,): accuracies now (M,) over their means in the window (K, M); 1 where there is nothing to compare."""
    found = now / window.mean(0)
    return torch.where(found.isfinite(), found, 1.0).clamp_min(SMALLEST)
