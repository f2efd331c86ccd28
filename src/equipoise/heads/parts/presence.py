"""Which modalities a head gets to see: one alone, or those present in each row."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def only(modality: str, modalities: Iterable[str], features: Tensor) -> dict[str, Tensor]:
    """{modality: bool (B,)} in which every row of the features (B, d) has this modality and no other."""
    full = torch.ones(len(features), dtype=torch.bool, device=features.device)
    return {m: full if m == modality else ~full for m in modalities}


def stacked(values: Iterable[Tensor], present: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Values (M, B, …) and presence (M, B) for a fusion over the present modalities.

    A row without any modality counts as having all of them, with zeros: there is nothing to go by.
    """
    shown = torch.stack(list(present))
    nothing = ~shown.any(0)
    whole = torch.stack(list(values))
    return whole.masked_fill(nothing.view(1, -1, *(1,) * (whole.dim() - 2)), 0.0), shown | nothing
