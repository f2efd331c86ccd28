"""Losses of the classification, and the probabilities that several methods use.

A loss that trains comes from `mean_loss` or from `ctx.sample_loss`, which the settings `loss`,
`label_smoothing`, `class_weight` and `data.weight` decide. `cross_entropy` is for what a method
estimates: it is always the same measure, and counts every sample once.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.training.context import Context


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy (B,) of each sample, from logits (B, C) and labels (B,)."""
    return F.cross_entropy(logits, label, reduction="none")


def true_probability(logits: Tensor, label: Tensor) -> Tensor:
    """softmax(u)[y] (B,), the probability that logits (B, C) give to the true class (B,)."""
    return logits.softmax(1).gather(1, label.unsqueeze(1)).squeeze(1)


def mean_loss(logits: Tensor, batch: Batch, ctx: Context, where: Tensor | None = None) -> Tensor:
    """The loss of any logits (B, C), averaged over the samples of all ranks by their weights.

    Args:
        logits: (B, C).
        batch: the samples.
        ctx: knows the loss of a sample, and takes the mean.
        where: bool (B,), the samples that count; None for all.
    """
    return ctx.mean_loss(logits, batch.label, where, batch.weight)


def fused_loss(output: Output, batch: Batch, ctx: Context) -> Tensor:
    """The loss of the fused logits, averaged over the samples of all ranks."""
    return mean_loss(output.fused, batch, ctx)


def unimodal_loss(modality: str, output: Output, batch: Batch, ctx: Context) -> Tensor:
    """The loss of one modality's own logits, over the samples of all ranks that have it.

    Args:
        modality: whose logits.
        output: of the model on the batch.
        batch: the samples.
        ctx: takes the mean.
    """
    return mean_loss(output.logits[modality], batch, ctx, batch.rows_with(modality))
