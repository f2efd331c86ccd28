"""LFM: facilitating multimodal classification via dynamically learning modality gap.

Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap. NeurIPS 2024.
Code: github.com/njustkmg/NeurIPS24-LFM

L = (1 − α) L_CLS + α L_MM (Eq. 1): cross-entropy of the fused prediction, and symmetric InfoNCE between the features
of two modalities of the same sample. α follows the epochs; α_t = 1 − exp(−1/t) is the paper's heuristic (LFM-H). The
learned α (LFM-LB) is in `lfm_learned.py`. The paper gives no temperature; 0.1 is customary.

Where the published code departs from the paper:
  L_MM is the Jensen-Shannon divergence of the two softmax outputs    `alignment: js`
  the loss is doubled                                                 `loss_scale: 2`
  the logits are the mean of two linear heads                         head `sum`, option `reduction: mean`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import invalid
from equipoise.methods.alignment import KINDS, alignment_loss, check_widths
from equipoise.methods.base import Method
from equipoise.methods.losses import fused_loss
from equipoise.methods.schedules import SCHEDULES, schedule

if TYPE_CHECKING:
    from equipoise.training.context import Context


class Aligned(Method):
    """Classification and alignment, weighed by an α that a subclass says.

    Args:
        alignment: "infonce" (paper) or "js" (published code).
        temperature: τ of InfoNCE.
        loss_scale: factor on the whole loss.
    """

    def __init__(self, alignment: str = "infonce", temperature: float = 0.1, loss_scale: float = 1.0) -> None:
        super().__init__()
        if alignment not in KINDS:
            raise invalid(type(self).__name__, "alignment", "one of " + ", ".join(KINDS), alignment)
        if not temperature > 0:
            raise invalid(type(self).__name__, "temperature", "positive", temperature)
        if not loss_scale > 0:
            raise invalid(type(self).__name__, "loss_scale", "positive", loss_scale)
        self.alignment = alignment
        self.temperature = temperature
        self.loss_scale = loss_scale

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where InfoNCE is to compare features of different widths."""
        if self.alignment == "infonce":
            check_widths("InfoNCE", ctx)

    def weight(self, ctx: Context) -> float | Tensor:
        """The α in force."""
        raise NotImplementedError

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


class LFM(Aligned):
    """α as a function of the epoch.

    Args:
        alpha: "heuristic" (paper), "constant", "stepwise" or "polynomial".
        alpha_value: α of "constant", p of "stepwise".
        alignment: "infonce" (paper) or "js" (published code).
        temperature: τ of InfoNCE.
        loss_scale: factor on the whole loss.
    """

    def __init__(
        self,
        alpha: str = "heuristic",
        alpha_value: float = 0.5,
        alignment: str = "infonce",
        temperature: float = 0.1,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(alignment, temperature, loss_scale)
        if alpha not in SCHEDULES:
            raise invalid("LFM", "alpha", "one of " + ", ".join(SCHEDULES), alpha)
        if not 0 <= alpha_value <= 1:
            raise invalid("LFM", "alpha_value", "in [0, 1]", alpha_value)
        self.schedule = schedule(alpha, alpha_value)

    def weight(self, ctx: Context) -> float:
        return self.schedule(ctx.epoch + 1, ctx.epochs)
