"""Presence masks of the modalities that a head reads."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def only(modality: str, modalities: Iterable[str], features: Tensor) -> dict[str, Tensor]:
    """Presence {modality: bool (B,)} in which every row has this modality and no other.

    Args:
        modality: the present one.
        modalities: all of them.
        features: (B, d), for the number of rows and the device.
    """
    full = torch.ones(len(features), dtype=torch.bool, device=features.device)
    return {m: full if m == modality else ~full for m in modalities}


def stacked(values: Iterable[Tensor], present: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack values and presence for a fusion over the present modalities.

    A row without any modality counts as having all of them, with zeros: a fusion over nothing would
    divide by zero.

    Args:
        values: (B, …) of each modality.
        present: bool (B,) of each modality.

    Returns:
        Values (M, B, …) and presence bool (M, B).
    """
    shown = torch.stack(list(present))
    nothing = ~shown.any(0)
    stack = torch.stack(list(values))
    return stack.masked_fill(nothing.view(1, -1, *(1,) * (stack.dim() - 2)), 0.0), shown | nothing
