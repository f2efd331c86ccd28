"""Weight: own and fused predictions are trained together, and each sample weighs the own ones.

The baseline Weight ("prediction weighting") of the LFM paper, after Yang, Wang, Zhan, Xiong, Jiang.
Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI 2019.

    L = Σ_m CE(v_m, y) + λ CE(f, y)

λ = 2 is that of CMML's code (PaddleMM's port has 3); each own loss is a mean over the samples that
have the modality. How f comes about is the head's affair: `weight` (weights on predictions),
`weight-hidden` (CMML's weights on hidden features). Any number of modalities; one forward and one
backward pass.
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
        fused_weight: λ.
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
