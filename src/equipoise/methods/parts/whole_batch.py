"""The samples of all ranks, for losses that combine or compare samples of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.training.context import Context


@dataclass(frozen=True)
class WholeBatch:
    """The N samples of a step, in the order of the ranks, the same on every rank.

    A loss that every rank computes from them in full has the right gradient: the mean over ranks of
    what reaches the encoders is that of one process with the whole batch.

    Attributes:
        values: {modality: (N, K)} of the modalities that were asked for; zeros where absent.
        present: {modality: bool (N,)} of every modality.
        label: int64 (N,).
    """

    values: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)


def whole_batch(
    shown: Sequence[str], values: Mapping[str, Tensor], batch: Batch, ctx: Context
) -> WholeBatch:
    """Gather values of all ranks, with their gradients.

    Args:
        shown: modalities that some sample has on any rank.
        values: {modality: (B, K)} of this rank, features or logits; K may differ.
        batch: the samples of this rank.
        ctx: exchanges between ranks.
    """
    if ctx.runtime.world == 1:
        return WholeBatch({m: values[m] for m in shown}, batch.present, batch.label)
    side_by_side = torch.cat([values[m] for m in shown], 1)
    if not side_by_side.requires_grad and torch.is_grad_enabled():
        # A rank without any sample of these modalities takes part in the backward exchange too.
        side_by_side = side_by_side.detach().requires_grad_()
    parts = torch.split(ctx.gather(side_by_side), [values[m].shape[1] for m in shown], 1)
    rows = torch.stack([batch.label, *(p.long() for p in batch.present.values())], 1)
    label, *present = ctx.gather(rows).unbind(1)
    return WholeBatch(
        dict(zip(shown, parts, strict=True)),
        {m: p.bool() for m, p in zip(batch.present, present, strict=True)},
        label,
    )
