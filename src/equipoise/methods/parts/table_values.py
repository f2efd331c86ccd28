"""Values of the model for every row of a table, for methods that read one between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.data.table.loader import Loader
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
        """Select rows by index."""
        return FeatureTable(
            {m: x[select] for m, x in self.features.items()},
            {m: p[select] for m, p in self.present.items()},
        )


def read_features(ctx: Context) -> FeatureTable:
    """Encode the training table once, in evaluation mode; modalities in alphabetical order."""
    rows = len(ctx.train.table)
    like = next(ctx.model.head.parameters())
    names = sorted(ctx.model.modalities)
    features = {m: like.new_zeros(rows, ctx.model.head.widths[m]) for m in names}
    present = {m: like.new_zeros(rows) for m in names}

    def encode(batch: Batch) -> None:
        for m, z in ctx.model.encode(batch).items():
            features[m][batch.index] = z.to(like.dtype)
            present[m][batch.index] = batch.present[m].to(like.dtype)

    ctx.over(ctx.train, encode)
    # Every rank wrote its own rows, the others are zero: the sum is the whole table.
    return FeatureTable(
        {m: ctx.sum(x) for m, x in features.items()},
        {m: ctx.sum(p) > 0 for m, p in present.items()},
    )


def table_values(ctx: Context, loader: Loader, values: Callable[[Output, Batch], Tensor]) -> Tensor:
    """Values of every sample, in evaluation mode and without gradients.

    Args:
        ctx: holds the model.
        loader: of the table, in any order.
        values: of a batch, (B, K) floating point.

    Returns:
        (N, K) in the order of the table's rows, the same on every rank.
    """
    found = ctx.over(loader, lambda batch: (batch.index, values(ctx.model(batch), batch)))
    order = ctx.gather(torch.cat([rows for rows, _ in found])).argsort()
    return ctx.gather(torch.cat([part for _, part in found]))[order]


def table_means(ctx: Context, loader: Loader, values: Callable[[Output, Batch], Tensor]) -> Tensor:
    """Means over a whole table, in evaluation mode and without gradients.

    Args:
        ctx: holds the model.
        loader: of the table, in any order.
        values: of a batch, (B,) or (B, K); NaN where a sample does not count.

    Returns:
        The mean over the samples of all ranks, () or (K,); NaN where none counts.
    """

    def sums(batch: Batch) -> Tensor:
        found = values(ctx.model(batch), batch).double()
        known = ~found.isnan()
        return torch.stack([torch.where(known, found, 0.0).sum(0), known.double().sum(0)])

    whole = ctx.sum(torch.stack(ctx.over(loader, sums)).sum(0))
    return whole[0] / whole[1]
