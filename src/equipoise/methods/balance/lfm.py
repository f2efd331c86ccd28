r"""LFM: facilitating multimodal classification via dynamically learning modality gap.

Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap.
NeurIPS 2024.
Code: github.com/njustkmg/NeurIPS24-LFM

Idea:
    A loss that draws the features of one sample's modalities together is added to classification.
    It counts much at first, so that the modalities learn from each other, and less and less
    afterwards. Here its weight is a function of the epoch (LFM-H); `lfm_learned.py` has the learned
    weight (LFM-LB).

Equations:
    $$L = (1 - \alpha) \, L_{CLS} + \alpha \, L_{MM} \qquad \text{(Eq. 1)}$$

    $L_{CLS}$ is the cross-entropy of the fused prediction. $L_{MM}$ is the symmetric InfoNCE
    between the features of two modalities of the same sample, with the cosine over the temperature
    as similarity; for more than two modalities it is the mean over all pairs. A sample enters a
    pair only where it has both. The heuristic weight of the paper in epoch $t = 1, 2, \dots$ is

    $$\alpha_t = 1 - \exp(-1/t)$$

    The paper gives no temperature; 0.1 is customary. It also reports a polynomial that was fitted
    to a learned weight on Kinetics-Sounds, whose number of epochs it does not state. The polynomial
    falls to 0.074 at $t = 26$, rises again, and is above 1 from $t = 38$ on, where classification
    would end. `polynomial` stretches its falling part over the run; `polynomial-printed` is the
    printed form.

Where published code departs:
    L_MM is ½ [KL(m ‖ p) + KL(m ‖ q)], p and q the two
    softmax outputs and m their mean. It resembles
    Jensen-Shannon's divergence (`alignment: js`), has
    the arguments the other way round, and no bound      `alignment: kl-mean`
    α is a polynomial of degree 5 in the epoch, 0.795 at
    first and 0.084 in the end of 200 epochs             `alpha: released`
    the loss is doubled                                  `loss_scale: 2`
    the logits are the mean of two linear heads          head `sum`, option `reduction: mean`
"""

from __future__ import annotations

from typing import ClassVar

from equipoise.checks import choice, inside, require
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.schedules import SCHEDULES, VALUED, schedule, warn_of_schedule
from equipoise.registry import Effect
from equipoise.training.context import Context


class LFM(Aligned):
    """LFM with α as a function of the epoch.

    Args:
        alpha: its course over the epochs: "heuristic" (paper), "constant", "stepwise" (p in the
            first half, 1 − p after), "polynomial" (the paper's fit for Kinetics-Sounds, over the
            fraction of the run), "polynomial-printed" (the same fit, by the number of the epoch) or
            "released" (published code).
        alpha_value: α of "constant", p of "stepwise".
    """

    effect: ClassVar[Effect] = {**Aligned.effect, "alpha_value": ("alpha", set(VALUED))}

    def __init__(
        self,
        alpha: str = "heuristic",
        alpha_value: float = 0.5,
        alignment: str = "infonce",
        temperature: float = 0.1,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(alignment, temperature, loss_scale)
        require(
            "LFM",
            choice("alpha", alpha, SCHEDULES),
            inside("alpha_value", alpha_value, "[0, 1]"),
        )
        self.alpha = alpha
        self.schedule = schedule(alpha, alpha_value)

    def setup(self, ctx: Context) -> None:
        super().setup(ctx)
        warn_of_schedule(self.alpha, ctx.epochs)

    def weight(self, ctx: Context) -> float:
        return self.schedule(ctx.epoch + 1, ctx.epochs)
