"""Presence masks of the modalities that a head reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor


class Presence(dict[str, Tensor]):
    """{modality: bool (B,)}, and the modalities that every row has, as far as the host knows.

    Args:
        present: {modality: bool (B,)}.
        complete: modalities that every row has. One may be left out, at the price of a product with
            ones.
    """

    def __init__(self, present: Mapping[str, Tensor], complete: Collection[str]) -> None:
        super().__init__(present)
        self.complete = frozenset(complete)


def complete_in(present: Mapping[str, Tensor]) -> frozenset[str]:
    """The modalities that every row is known to have without asking the device."""
    return present.complete if isinstance(present, Presence) else frozenset()


def masked(modality: str, values: Tensor, present: Mapping[str, Tensor]) -> Tensor:
    """Values (B, …) with zeros in the rows that lack the modality; as they are where none does."""
    if modality in complete_in(present):
        return values
    return values * present[modality].view(-1, *(1,) * (values.dim() - 1))


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
