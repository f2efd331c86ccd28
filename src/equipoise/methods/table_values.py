"""What the model makes of every row of a table: for methods that look at all samples between two epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.data.loader import Loader
from equipoise.evaluating import evaluating

if TYPE_CHECKING:
    from equipoise.training.context import Context


@torch.no_grad()
def table_values(ctx: Context, loader: Loader, values: Callable[[Output, Batch], Tensor]) -> Tensor:
    """Values of every sample, in evaluation mode and without gradients; running statistics stay as they are.

    Args:
        ctx: its model is run; the passes are not counted as those of a step.
        loader: of the table, in any order.
        values: of a batch, (B, K) floating point.

    Returns:
        (N, K) in the order of the table's rows, the same on every rank.
    """
    rows, parts = [], []
    with evaluating(ctx.model), ctx.passes.paused():
        for batch in ctx.batches(loader, epoch=0):
            parts.append(values(ctx.model(batch), batch))
            rows.append(batch.index)
    order = ctx.gather(torch.cat(rows)).argsort()
    return ctx.gather(torch.cat(parts))[order]
