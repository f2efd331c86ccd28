"""Losses that several methods share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.training.context import Context


def fused_loss(output: Output, batch: Batch, ctx: Context) -> Tensor:
    """Cross-entropy of the fused logits, averaged over the samples of all ranks."""
    return ctx.sample_mean(F.cross_entropy(output.fused, batch.label, reduction="none"))


def unimodal_loss(modality: str, output: Output, batch: Batch, ctx: Context) -> Tensor:
    """Cross-entropy of one modality's own logits, averaged over the samples of all ranks that have it."""
    losses = F.cross_entropy(output.logits[modality], batch.label, reduction="none")
    return ctx.sample_mean(losses, batch.present[modality])
