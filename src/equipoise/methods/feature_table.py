"""The features of the whole training table, for methods that fit something to frozen encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.evaluating import evaluating

if TYPE_CHECKING:
    from equipoise.training.context import Context


@dataclass(frozen=True)
class FeatureTable:
    """Every training row, on every rank.

    Attributes:
        features: {modality: (N, d_m)}, zeros where absent.
        present: {modality: bool (N,)}.
    """

    features: Mapping[str, Tensor]
    present: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def rows(self, select: Tensor) -> FeatureTable:
        """Some rows, by index."""
        return FeatureTable(
            {m: x[select] for m, x in self.features.items()}, {m: p[select] for m, p in self.present.items()}
        )


@torch.no_grad()
def read_features(ctx: Context) -> FeatureTable:
    """Encode the training table once, in evaluation mode; modalities in alphabetical order."""
    model, rows = ctx.model, len(ctx.train.table)
    like = next(model.head.parameters())
    names = sorted(model.modalities)
    features = {m: like.new_zeros(rows, model.head.widths[m]) for m in names}
    present = {m: like.new_zeros(rows) for m in names}
    with evaluating(model), ctx.passes.paused():
        for batch in ctx.batches(ctx.train, epoch=0):
            for m, z in model.encode(batch).items():
                features[m][batch.index] = z.to(like.dtype)
                present[m][batch.index] = batch.present[m].to(like.dtype)
    return FeatureTable({m: ctx.sum(x) for m, x in features.items()}, {m: ctx.sum(p) > 0 for m, p in present.items()})
