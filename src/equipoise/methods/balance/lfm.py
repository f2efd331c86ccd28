"""LFM: facilitating multimodal classification via dynamically learning modality gap.

Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap.
NeurIPS 2024.
Code: github.com/njustkmg/NeurIPS24-LFM

L = (1 − α) L_CLS + α L_MM (Eq. 1): cross-entropy of the fused prediction, and symmetric InfoNCE
between the features of two modalities of the same sample. α follows the epochs; α_t = 1 − exp(−1/t)
is the paper's heuristic (LFM-H). The learned α (LFM-LB) is in `lfm_learned.py`. The paper gives no
temperature; 0.1 is customary.

Where the published code departs from the paper:
  L_MM is the Jensen-Shannon divergence of the two softmax outputs    `alignment: js`
  the loss is doubled                                                 `loss_scale: 2`
  the logits are the mean of two linear heads                         head `sum`, option `reduction: mean`
"""

from __future__ import annotations

from equipoise.checks import choice, inside, only_where, or_default, require
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.schedules import SCHEDULES, VALUED, schedule
from equipoise.training.context import Context


class LFM(Aligned):
    """α as a function of the epoch.

    Args:
        alpha: "heuristic" (paper), "constant", "stepwise" or "polynomial".
        alpha_value: α of "constant", p of "stepwise"; null for 0.5.
    """

    def __init__(
        self,
        alpha: str = "heuristic",
        alpha_value: float | None = None,
        alignment: str = "infonce",
        temperature: float | None = None,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(alignment, temperature, loss_scale)
        value = or_default(alpha_value, 0.5)
        require(
            "LFM",
            choice("alpha", alpha, SCHEDULES),
            *only_where(
                "'alpha' is constant or stepwise", alpha in VALUED, alpha_value=alpha_value
            ),
            inside("alpha_value", value, "[0, 1]"),
        )
        self.schedule = schedule(alpha, value)

    def weight(self, ctx: Context) -> float:
        return self.schedule(ctx.epoch + 1, ctx.epochs)
