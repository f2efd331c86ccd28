"""What a composed method minimises, classification and alignment of the modalities in hand, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.evaluating import evaluating
from equipoise.heads.checks import one_width
from equipoise.methods.alignment import KINDS, alignment_loss
from equipoise.methods.auxiliary import require_fused_classifiers, require_trained_classifiers
from equipoise.methods.late import update_apart
from equipoise.methods.losses import fused_loss, unimodal_loss
from equipoise.methods.schedules import Schedule
from equipoise.methods.sharpness import backward_nearby

if TYPE_CHECKING:
    from equipoise.training.context import Context

ALIGNMENTS = ("none", *KINDS)


@dataclass(frozen=True)
class Objective:
    """(1 − α) classification + α alignment, whichever modalities are in hand.

    Attributes:
        separate: classify by each modality's own prediction instead of the fused one.
        alignment: one of ALIGNMENTS.
        temperature: τ of InfoNCE.
        weight: α over the epochs of a modality, whoever else trains in between.
    """

    separate: bool
    alignment: str
    temperature: float
    weight: Schedule

    def update(self, moving: Sequence[str], ctx: Context) -> None:
        """Move the modalities in hand, each by itself where no term of the loss has more than one."""
        if self.separate and self.alignment == "none":
            update_apart(moving, ctx)
        else:
            ctx.update(moving)

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where InfoNCE is to compare features of different widths, or the head does not suit."""
        if self.separate:
            require_fused_classifiers("method 'compose' with separate losses", ctx.model.head, "sum")
        if self.alignment == "infonce":
            one_width("InfoNCE", ctx.model.head.widths)
        elif self.alignment == "js" and not self.separate:
            remedy = "use head 'concat' or 'sum', or 'alignment' infonce"
            require_trained_classifiers("method 'compose' with alignment 'js'", ctx.model.head, remedy)

    def on_epoch_start(self, ctx: Context) -> None:
        if self.alignment != "none":
            ctx.log(alpha=self._alpha(ctx.training, ctx))

    def backward(self, moving: Sequence[str], batch: Batch, ctx: Context, *, rho: float | None) -> Output:
        """Gradients of the modalities in hand, at θ or with a radius ρ at θ + ε*; the output at θ."""
        output: Output = ctx.model(batch, only=moving)
        loss = self(moving, output, batch, ctx)
        if rho is None:
            ctx.backward(loss)
            return output
        groups = [ctx.model.group(m) for m in moving]
        mine = [*(p for group in groups for p in (*group.encoder, *group.head)), *ctx.model.shared]
        moved = [p for p in mine if p.requires_grad]

        def loss_again() -> Tensor:
            return self(moving, ctx.model(batch, only=moving), batch, ctx)

        backward_nearby(loss_again, moved, ctx.gradient(loss, moved), rho, ctx)
        return output

    def __call__(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """The scalar to minimise; `output` is that of the modalities in hand."""
        alpha = self._alpha(moving, ctx)
        if self.alignment == "none" or alpha == 0:
            return self._task(moving, output, batch, ctx)
        pairs = [pair for pair in combinations(ctx.model.modalities, 2) if set(pair) & set(moving)]
        whole = beside(moving, output, batch, ctx)
        matching = alignment_loss(self.alignment, whole, batch, ctx, self.temperature, pairs)
        return (1 - alpha) * self._task(moving, output, batch, ctx) + alpha * matching

    def _alpha(self, moving: Sequence[str], ctx: Context) -> float:
        return self.weight(ctx.trained(moving[0]) + 1, ctx.epochs)

    def _task(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        if self.separate:
            return torch.stack([unimodal_loss(m, output, batch, ctx) for m in moving]).sum()
        return fused_loss(output, batch, ctx)


def beside(moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Output:
    """The output with the modalities not in hand beside it, as they stand: in eval mode and without gradient."""
    others = [m for m in ctx.model.modalities if m not in moving]
    if not others:
        return output
    with evaluating(ctx.model), torch.no_grad():
        there = ctx.model(batch, only=others)
    return replace(output, features={**there.features, **output.features}, logits={**there.logits, **output.logits})
