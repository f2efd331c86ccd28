"""Scores of the modalities' own predictions, for methods that compare modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.methods.parts.losses import true_probability
from equipoise.training.context import Context

OTHERS = ("mean", "sum", "min")


@torch.no_grad()
def true_class_scores(shown: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
    """s (M,), the mean of softmax(u_m)[y] over the samples of all ranks that have the modality.

    It has no gradient.

    Args:
        shown: the M modalities.
        output: of the model on the batch.
        batch: the samples.
        ctx: takes the means.
    """
    true = {m: true_probability(output.logits[m], batch.label) for m in shown}
    return ctx.mean(torch.stack([ctx.sample_mean(true[m], batch.present[m]) for m in shown]))


def ratios(scores: Tensor, others: str = "mean") -> Tensor:
    """ρ (M,), each score (M,) over the mean, sum or minimum of the others'; M ≥ 2."""
    count = len(scores)
    own = torch.eye(count, dtype=torch.bool, device=scores.device)
    if others == "min":
        reduced = scores.expand(count, count).masked_fill(own, torch.inf).amin(1)
    else:
        total = scores.expand(count, count).masked_fill(own, 0).sum(1)
        reduced = total / (count - 1 if others == "mean" else 1)
    return scores / reduced.clamp_min(torch.finfo(scores.dtype).tiny)
