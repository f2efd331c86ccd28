"""The base of LFM and LFM-LB: their loss (1 − α) L_CLS + α L_MM."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, positive, require
from equipoise.heads.parts.checks import one_width
from equipoise.methods.parts.alignment import ALIGNMENTS, alignment_loss, require_partners
from equipoise.methods.parts.auxiliary import require_trained_classifiers
from equipoise.methods.parts.losses import fused_loss
from equipoise.registry import Effect
from equipoise.training.context import Context
from equipoise.training.method import Method


class Aligned(Method):
    """Classification and alignment, weighed by an α that the subclass gives.

    Args:
        alignment: "infonce" compares features (paper), "js" compares logits by the Jensen-Shannon
            divergence, "kl-mean" by their divergence from the mean of both (published code).
        temperature: τ of InfoNCE.
        loss_scale: factor on the whole loss.
    """

    effect: ClassVar[Effect] = {"temperature": ("alignment", {"infonce"})}

    def __init__(
        self, alignment: str = "infonce", temperature: float = 0.1, loss_scale: float = 1.0
    ) -> None:
        super().__init__()
        require(
            type(self).__name__,
            choice("alignment", alignment, ALIGNMENTS),
            positive("temperature", temperature),
            positive("loss_scale", loss_scale),
        )
        self.alignment = alignment
        self.temperature = temperature
        self.loss_scale = loss_scale

    def setup(self, ctx: Context) -> None:
        """Check that there is something to align.

        Raises:
            ConfigError: there is a single modality, InfoNCE is to compare features of different
                widths, or the divergence is between classifiers that the fused loss does not train.
        """
        require_partners(type(self).__name__, ctx, "use method 'joint'")
        if self.alignment == "infonce":
            one_width("InfoNCE", ctx.model.head.widths)
        else:
            remedy = "use head 'concat' or 'sum', or 'alignment' infonce"
            require_trained_classifiers(
                f"{type(self).__name__}: alignment {self.alignment!r}", ctx.model.head, remedy
            )

    @abstractmethod
    def weight(self, ctx: Context) -> float | Tensor:
        """α of this step: a float, or a tensor () where it is learned."""

    def terms(self, output: Output, batch: Batch, ctx: Context) -> tuple[Tensor, Tensor]:
        """L_CLS and L_MM, both ()."""
        matching = alignment_loss(self.alignment, output, batch, ctx, self.temperature)
        return fused_loss(output, batch, ctx), matching

    def on_epoch_start(self, ctx: Context) -> None:
        ctx.log(alpha=self.weight(ctx))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Eq. 1; with a constant α = 0 it is joint training."""
        alpha = self.weight(ctx)
        if isinstance(alpha, float) and alpha == 0:
            return self.loss_scale * fused_loss(output, batch, ctx)
        classification, matching = self.terms(output, batch, ctx)
        return self.loss_scale * ((1 - alpha) * classification + alpha * matching)
