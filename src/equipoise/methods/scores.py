"""How well a modality does alone, as methods that compare modalities measure it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output

if TYPE_CHECKING:
    from equipoise.training.context import Context


@torch.no_grad()
def true_class_scores(shown: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
    """s (M,): mean of softmax(u_m)[y] over the samples of all ranks that have the modality, without gradient."""
    label = batch.label.unsqueeze(1)
    true = {m: output.logits[m].softmax(1).gather(1, label).squeeze(1) for m in shown}
    return ctx.mean(torch.stack([ctx.sample_mean(true[m], batch.present[m]) for m in shown]))
