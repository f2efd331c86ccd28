"""LFM's loss (1 − α) L_CLS + α L_MM, whatever says α: the base of LFM and LFM-LB."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, only_where, or_default, positive, require
from equipoise.heads.parts.checks import one_width
from equipoise.methods.parts.alignment import KINDS, alignment_loss, require_partners
from equipoise.methods.parts.auxiliary import require_trained_classifiers
from equipoise.methods.parts.losses import fused_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class Aligned(Method):
    """Classification and alignment, weighed by an α that a subclass says.

    Args:
        alignment: "infonce" (paper) or "js" (published code).
        temperature: τ of InfoNCE; null for 0.1.
        loss_scale: factor on the whole loss.
    """

    def __init__(
        self, alignment: str = "infonce", temperature: float | None = None, loss_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.temperature = or_default(temperature, 0.1)
        require(
            type(self).__name__,
            choice("alignment", alignment, KINDS),
            *only_where("'alignment' is infonce", alignment == "infonce", temperature=temperature),
            positive("temperature", self.temperature),
            positive("loss_scale", loss_scale),
        )
        self.alignment = alignment
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
                f"{type(self).__name__}: alignment 'js'", ctx.model.head, remedy
            )

    @abstractmethod
    def weight(self, ctx: Context) -> float | Tensor:
        """The α in force."""

    def terms(self, output: Output, batch: Batch, ctx: Context) -> tuple[Tensor, Tensor]:
        """L_CLS and L_MM."""
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
