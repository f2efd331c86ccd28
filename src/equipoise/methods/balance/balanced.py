r"""Balanced: Equipoise's own composition of what is known to keep modalities in balance.

Idea:
    A network that is trained by the loss of its fused prediction alone stops learning from a
    modality as soon as another one explains the label. Here every modality has a loss of its own,
    on top of two fused predictions that err in different ways: a sum of the modalities' own
    predictions, each with a learned temperature, and a classifier of all features. The prediction
    is the mean of their probabilities. Whole modalities are hidden at random during training, so
    that none relies on another, and rows that lack some are nothing new at prediction.

    The ingredients are known: unimodal losses beside the fused one (Wang, Tran, Feiszli. What Makes
    Training Multi-Modal Classification Networks Hard? CVPR 2020) and modality dropout (Neverova,
    Wolf, Taylor, Nebout. ModDrop: Adaptive Multi-Modal Gesture Recognition. TPAMI 2016). The
    composition and its weights are ours, chosen on validation rows of six small data sets of
    features. Weights that follow how far each modality is from its own best, and label smoothing
    (the setting `label_smoothing`), made no difference there.

    Any number of modalities, any encoders, any missing cells. A step runs every encoder once.

Equations:
    The head predicts by $f = \log \frac12 (\mathrm{softmax}(\mathrm{late}) +
    \mathrm{softmax}(\mathrm{joint}))$ with

    $$v_m = z_m V_m^\top + c_m \qquad \mathrm{late} = \sum_m e^{s_m} v_m \qquad
    \mathrm{joint} = [z_1; \dots; z_M] W^\top + b$$

    over the modalities that a sample has. In every step each of them is hidden with probability
    $p$, given that not all of a sample's are (as in `moddrop`). Of what is left,

    $$L = \mathrm{CE}(\mathrm{late}, y) + \mathrm{CE}(\mathrm{joint}, y)
    + \frac{\lambda}{\sqrt M} \sum_m \mathrm{CE}(v_m, y)$$

    The last sum of $L$ is $\sqrt M$ times the mean over the modalities, each taken over the
    samples that have it. With any other head $\mathrm{CE}(f, y)$ takes the place of the
    first two terms.

Where published code departs:
    This method is ours, and no other code of it is published.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.heads.balanced import Balanced as Head
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.hiding import kept
from equipoise.methods.parts.losses import mean_loss, unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class Balanced(Method):
    """Losses of both fused predictions and of every modality, under modality dropout.

    Args:
        unimodal_weight: λ; the loss of each modality's own prediction counts λ/√M.
        drop: p, the probability with which a modality of a sample is hidden in a step.
    """

    def __init__(self, unimodal_weight: float = 1.0, drop: float = 0.2) -> None:
        super().__init__()
        require(
            "Balanced",
            not_negative("unimodal_weight", unimodal_weight),
            inside("drop", drop, "[0, 1)"),
        )
        self.unimodal_weight = unimodal_weight
        self.drop = drop

    def step(self, batch: Batch, ctx: Context) -> None:
        """Take a step on what modality dropout leaves of the batch."""
        if self.drop:
            rates = dict.fromkeys(batch.modalities, self.drop)
            batch = batch.hide(kept(batch, rates, ctx))
        super().step(batch, ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """L of the cells that the batch shows."""
        fused = [mean_loss(logits, batch, ctx) for logits in self.fused(output, batch, ctx)]
        loss = torch.stack(fused).sum()
        if self.unimodal_weight == 0:
            return loss
        own = [unimodal_loss(m, output, batch, ctx) for m in ctx.training]
        weight = self.unimodal_weight / math.sqrt(len(ctx.training))
        return loss + weight * torch.stack(own).sum()

    def fused(self, output: Output, batch: Batch, ctx: Context) -> tuple[Tensor, ...]:
        """The fused predictions (B, C) that train: late and joint, or f of a head without them."""
        head = ctx.model.head
        if not isinstance(head, Head):
            return (output.fused,)
        features = features_here(output, batch)
        late = head.late(features, output.logits, batch.present)
        return late, head.joint(features, batch.present)
