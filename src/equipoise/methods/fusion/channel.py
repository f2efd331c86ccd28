"""Channel: joint training of the head `channel`, which also learns the mean squeeze of each
modality.

Vaezi Joze, Shaban, Iuzzolino, Koishida. MMTM: Multimodal Transfer Module for CNN Fusion. CVPR 2020;
the baseline Channel of the LFM paper.

    L = CE(f, y)        s̄_m ← s̄_m + ρ (mean over the batch of s_m − s̄_m)

s̄_m stands for a modality that a sample lacks, and for the others when one modality is read alone,
as in the code of Greedy Multi-modal Learning. The mean is over the samples of all ranks that have
the modality. `loss: fused+unimodal` adds Σ_m CE(v_m, y), where v_m is modality m alone; the
published code takes the branch score of the full pass there, which has seen the other modalities.
Official MMTM code alternates two optimisers that share the module; that schedule is not offered.
Any number of modalities; one forward and one backward pass.
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


class Channel(OwnHead[ChannelHead]):
    """Joint training that keeps the running means of the squeezes.

    Args:
        loss: "fused", or "fused+unimodal" for the modalities' own losses too.
        momentum: ρ, the share of the newest batch in the running mean.
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
        """As every method's, except that the means move, once the backward pass has no more need of the old ones."""
        output = ctx.model(batch)
        ctx.backward(self.loss(output, batch, ctx))
        remember_squeezes(output, batch, ctx, self.momentum)
        ctx.update()


@torch.no_grad()
def remember_squeezes(output: Output, batch: Batch, ctx: Context, momentum: float) -> None:
    """Move the means s̄_m of head `channel` a share of the way to those of this batch; after its backward pass."""
    for modality, features in output.features.items():
        if ctx.anyone_has(modality, batch):
            mean = ctx.mean(ctx.sample_mean(features, batch.present[modality]))
            ctx.model.head.get_buffer(f"mean_{modality}").lerp_(mean, momentum)
