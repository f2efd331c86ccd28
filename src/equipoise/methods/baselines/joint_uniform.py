r"""Joint training with uniform unimodal losses: the yardstick of methods with unimodal losses.

Wei, Hu. MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance. ICML 2024 (its
uniform baseline). The method has no paper of its own.

Idea:
    The fused loss stops teaching a weak modality once a strong one predicts well. So every modality
    is also trained on its own prediction, all with one constant weight. Methods such as MMPareto,
    InfoReg, MCR, MLB and MIDAS add something to this sum, and much of what they gain over joint
    training is gained by the sum alone: compare them with this row. MCR's tables call it
    Multi-Loss.

    The head says whose prediction that is. With `auxiliary`, the default, each modality has a
    classifier of its own, which the fused prediction does not use. With `concat` it is the part of
    the modality in the fused logits, the shared head of ARL and InfoReg. With `sum` or `late` the
    classifiers of the modalities are themselves what is fused.

    Any number of modalities. A modality's loss is a mean over the samples that have it. The cost is
    that of joint training.

Equations:
    $$L = \mathrm{CE}(f, y) + \lambda \sum_m \mathrm{CE}(v_m, y)$$

    $f$ are the fused logits and $v_m$ the logits that modality $m$ alone predicts. On head `concat`
    these are $z_m W_m^\top + b / M$, so that $\sum_m v_m = f$. With $\lambda = 0$ it is joint
    training.

    $\lambda$ is 1 in MMPareto, MLB and MIDAS, 0.5 in the warm-up of Data Remixing, 4 in ARL and
    0.01 in MCR on CREMA-D. With `normalise` it is divided by the number of modalities.

    On CREMA-D joint training and this sum reach 66.61 and 70.81 in InfoReg's table, and 62.6 and
    69.2 in MCR's.

Where published code departs:
    ARL's part of a modality has the whole bias b, not b/M    not offered
"""

from __future__ import annotations

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import flag, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class JointUniform(Method):
    """The loss of the fused prediction and those of all modalities, with one weight.

    Args:
        weight: λ, the weight of each modality's own loss; 0 is joint training.
        normalise: divide λ by the number of modalities, so that their losses together weigh λ.
    """

    def __init__(self, weight: float = 1.0, normalise: bool = False) -> None:
        super().__init__()
        require("JointUniform", not_negative("weight", weight), flag("normalise", normalise))
        self.weight = weight
        self.normalise = normalise

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        count = len(ctx.training) if self.normalise else 1
        return auxiliary_loss(dict.fromkeys(ctx.training, self.weight / count), output, batch, ctx)
