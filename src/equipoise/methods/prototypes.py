"""Prototypes: the mean feature of each class in each modality, and the classifier they make without a head (PMR)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from equipoise.evaluating import evaluating

if TYPE_CHECKING:
    from equipoise.training.context import Context


def log_distribution(features: Tensor, prototypes: Tensor, known: Tensor) -> Tensor:
    """log q (B, C) from features (B, d), prototypes (C, d) and which of them are known (C,)."""
    # Not by the expansion of the square, which loses the digits of what is near; at distance 0 its gradient is 0.
    distance = torch.cdist(features, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
    return (-distance).masked_fill(~known, torch.finfo(distance.dtype).min).log_softmax(1)


class Prototypes(nn.Module):
    """The prototypes of all modalities; part of a method's memory.

    Args:
        widths: {modality: d_m}.
        classes: C.
        dtype: of the features.

    Attributes:
        means: (C, Σ d_m), the modalities side by side; 0 for a class without a prototype.
        known: bool (M, C), which classes have one.
    """

    means: Tensor
    known: Tensor

    def __init__(self, widths: Mapping[str, int], classes: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.modalities, self.widths = list(widths), list(widths.values())
        self.register_buffer("means", torch.zeros(classes, sum(self.widths), dtype=dtype))
        self.register_buffer("known", torch.zeros(len(widths), classes, dtype=torch.bool))

    @torch.no_grad()
    def take(self, ctx: Context, share: float, momentum: float) -> None:
        """Take them anew from the first batches of the epoch, in eval mode: c ← ε c_old + (1 − ε) c_new.

        Args:
            ctx: whose model and training table.
            share: of the epoch's batches.
            momentum: 1 − ε, the share of c_new, where there is a c_old.
        """
        sums = torch.zeros_like(self.means)
        counts = torch.zeros(self.known.shape, dtype=sums.dtype, device=sums.device)
        for batch in islice(ctx.batches(ctx.train), ceil(share * len(ctx.train))):
            with evaluating(ctx.model):
                features = ctx.model(batch).features
            sums.index_add_(0, batch.label, torch.cat(list(features.values()), dim=1))  # zeros where absent
            for number, modality in enumerate(self.modalities):
                counts[number].index_add_(0, batch.label, batch.present[modality].to(sums.dtype))
        sums, counts = ctx.sum(sums), ctx.sum(counts)
        spread = self._spread(counts)
        new = sums / spread.clamp_min(1)
        kept = torch.where(self._spread(self.known), (1 - momentum) * self.means + momentum * new, new)
        self.means.copy_(torch.where(spread > 0, kept, self.means))
        self.known |= counts > 0

    def log_distribution(self, modality: str, features: Tensor) -> Tensor:
        """log q_m (B, C) of features (B, d_m)."""
        number = self.modalities.index(modality)
        return log_distribution(features, torch.split(self.means, self.widths, dim=1)[number], self.known[number])

    def knows(self, modality: str, label: Tensor) -> Tensor:
        """Which samples have a prototype of their class, bool (B,) from labels (B,)."""
        return self.known[self.modalities.index(modality)][label]

    def _spread(self, values: Tensor) -> Tensor:
        """(M, C) → (C, Σ d): a value per modality and class, for every entry of its prototype."""
        return torch.cat([v.unsqueeze(1).expand(-1, w) for v, w in zip(values, self.widths, strict=True)], dim=1)
