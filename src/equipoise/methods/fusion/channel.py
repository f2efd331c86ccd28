r"""Channel: joint training of the head `channel`, which also learns each modality's mean squeeze.

Vaezi Joze, Shaban, Iuzzolino, Koishida. MMTM: Multimodal Transfer Module for CNN Fusion. CVPR 2020.
This is the baseline Channel of the LFM paper.
Code: github.com/haamoon/mmtm

Idea:
    The modalities recalibrate each other's features through gates that read the squeezes of all of
    them (head `channel`). A running mean of each squeeze is kept for prediction: it stands in for a
    modality that a sample lacks, and for the others when one modality is read alone, as in the code
    of Greedy Multi-modal Learning.

    Any number of modalities; a step costs one forward and one backward pass.

Equations:
    $$L = \mathrm{CE}(f, y)$$

    With the mean over the samples of all ranks that have modality $m$ in the batch,

    $$\bar s_m \leftarrow \bar s_m + \rho \, (\mathrm{mean} \, s_m - \bar s_m)$$

    `loss: fused+unimodal` adds $\sum_m \mathrm{CE}(v_m, y)$, where $v_m$ is modality $m$ alone.

Where published code departs:
    v_m is the branch score of the full pass, which has seen the
    other modalities                                                   not offered
    two optimisers, which share the module, alternate                  not offered
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, require
from equipoise.heads.channel import Channel as ChannelHead
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context

LOSSES = ("fused", "fused+unimodal")


@torch.no_grad()
def remember_squeezes(output: Output, batch: Batch, ctx: Context, momentum: float) -> None:
    """Move the means s̄_m of head `channel` towards those of this batch.

    The loss has read the old means, so this must come after its backward pass.

    Args:
        output: of the model on this batch.
        batch: the samples.
        ctx: takes the means over the samples of all ranks.
        momentum: ρ, the fraction of the way that the means move.
    """
    for modality, features in output.features.items():
        if ctx.anyone_has(modality, batch):
            mean = ctx.mean(ctx.sample_mean(features, batch.present[modality]))
            ctx.model.head.get_buffer(f"mean_{modality}").lerp_(mean, momentum)


class Channel(OwnHead[ChannelHead]):
    """Joint training that keeps the running means of the squeezes.

    Args:
        loss: "fused", or "fused+unimodal" for the modalities' own losses too.
        momentum: ρ, the fraction of the newest batch in the running mean.
    """

    name = "channel"
    kind = ChannelHead

    def __init__(self, loss: str = "fused", momentum: float = 0.1) -> None:
        super().__init__()
        require("Channel", choice("loss", loss, LOSSES), inside("momentum", momentum, "(0, 1]"))
        self.unimodal_weight = float(loss == "fused+unimodal")
        self.momentum = momentum

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return auxiliary_loss(
            dict.fromkeys(output.logits, self.unimodal_weight), output, batch, ctx
        )

    def step(self, batch: Batch, ctx: Context) -> None:
        """The usual step; the means move once the backward pass no longer needs the old ones."""
        output = ctx.model(batch)
        ctx.backward(self.loss(output, batch, ctx))
        remember_squeezes(output, batch, ctx, self.momentum)
        ctx.update()
