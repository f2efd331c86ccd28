r"""Weight: own and fused predictions trained together, the own ones weighed sample by sample.

Yang, Wang, Zhan, Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI
2019. This is the baseline Weight ("prediction weighting") of the LFM paper, after CMML.
Code: github.com/njustkmg/IJCAI19_CMML

Idea:
    Each sample weighs its modalities, and the modalities' own predictions are trained beside the
    weighted one. The head makes $f$: `weight` puts weights on predictions, `weight-hidden` puts
    CMML's weights on hidden features.

    Any number of modalities; a step costs one forward and one backward pass.

Equations:
    $$L = \sum_m \mathrm{CE}(v_m, y) + \lambda \, \mathrm{CE}(f, y)$$

    Each own loss is a mean over the samples that have the modality. $\lambda = 2$ is that of CMML's
    code.

Where published code departs:
    PaddleMM's port has λ = 3                                       `fused_weight: 3`
    PaddleMM's port swaps the weights of text and image             not offered
    CMML's code leaves the fused predictor out of the optimiser     not offered
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require
from equipoise.methods.parts.auxiliary import require_own_classifiers
from equipoise.methods.parts.losses import fused_loss, unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class Weight(Method):
    """The modalities' own losses and λ times the fused one.

    Args:
        fused_weight: λ, the weight of the fused prediction's loss.
    """

    def __init__(self, fused_weight: float = 2.0) -> None:
        super().__init__()
        require("Weight", not_negative("fused_weight", fused_weight))
        self.fused_weight = fused_weight

    def setup(self, ctx: Context) -> None:
        """Check the head.

        Raises:
            ConfigError: it has no classifier per modality.
        """
        require_own_classifiers("weight", ctx.model.head, "weight")

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = torch.stack([unimodal_loss(m, output, batch, ctx) for m in output.logits])
        return own.sum() + self.fused_weight * fused_loss(output, batch, ctx)
