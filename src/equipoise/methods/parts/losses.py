"""Cross-entropies and probabilities that several methods use."""

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


def fused_loss(output: Output, batch: Batch, ctx: Context) -> Tensor:
    """Cross-entropy of the fused logits, averaged over the samples of all ranks."""
    return ctx.sample_mean(cross_entropy(output.fused, batch.label))


def unimodal_loss(modality: str, output: Output, batch: Batch, ctx: Context) -> Tensor:
    """Cross-entropy of one modality's own logits, over the samples of all ranks that have it.

    Args:
        modality: whose logits.
        output: of the model on the batch.
        batch: the samples.
        ctx: takes the mean.
    """
    losses = cross_entropy(output.logits[modality], batch.label)
    return ctx.sample_mean(losses, batch.present[modality])
