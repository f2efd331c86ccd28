"""DOMFN: divergence-orientated multi-modal fusion network.

Yang, Zhang, Gao, Gao, Zhu. DOMFN: A Divergence-Orientated Multi-Modal Fusion Network for Resume
Assessment. ACM Multimedia 2022. Code: github.com/njustkmg/MM22_DOMFN (the source of the equations
here)

It decides per sample whether to fuse. Where the modalities' predictions p_m agree with their mean
p̄ the fused predictor is trained and answers; where one of them diverges too much they are trained
apart, and the surest answers:

    π_m = max_k (p_mk − p̄_k)²                              how far a modality diverges
    fuse ⇔ π_m < γτ for all m                              the head's gate
    fused:  Σ_m (½ CE_m² − η π_m) + Σ_m CE_m + CE_f         the minus rewards diversity that the gate bounds
    apart:  Σ_m CE_m

with cross-entropies per sample. A first stretch of epochs trains the modalities apart, all samples
alike; the gate stays shut until then, so that validation asks the surest modality and not a fused
predictor that nothing has trained. Any number of modalities. Of a sample that lacks some, mean and
gate are over the others; with one alone it is closed.

Where this departs from the published code:
  it steps sample by sample                   samples of a minibatch are averaged, each with its own gate
  softmax cross-entropy of sigmoid outputs    head option `output: sigmoid`
  γ = 0.8 and τ = 0.5 (or 0.2)                head options `gamma` and `tau`; with M modalities π ≤ ((M − 1) / M)², so
                                              that for two of them γτ = 0.4 never closes the gate,
                                              and the default is 0.8 of the bound (`threshold`)
  30 epochs of pretraining and 200 after      the same share of whatever number of epochs is asked for
  a learning rate for each modality           the library's optimisers
  an undefined answer among equals            the first modality
Concatenation is the only one of its three ways to join the features that is offered.

Cost: that of late fusion, and a fused predictor of two layers.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.heads import domfn
from equipoise.methods.parts.losses import cross_entropy
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context


def agreement(head: domfn.DOMFN, output: Output, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """{modality: π (B,)}, and where the gate is open, 0 or 1 (B,) without gradient."""
    logits = torch.stack([output.logits[m] for m in head.modalities])
    present = torch.stack([batch.present[m] for m in head.modalities])
    divergence = domfn.penalties(head.probability(logits), present)
    fuse = head.gate(divergence.detach(), present).to(divergence.dtype)
    return dict(zip(head.modalities, divergence, strict=True)), fuse


class DOMFN(OwnHead[domfn.DOMFN]):
    """Fusion where the modalities agree, separate training where they do not.

    Args:
        eta: η, the reward of divergence within the gate.
        pretraining: share of the epochs, at the start, in which the modalities train apart.
    """

    name = "domfn"
    kind = domfn.DOMFN

    def __init__(self, eta: float = 0.5, pretraining: float = 0.13) -> None:
        super().__init__()
        require("DOMFN", not_negative("eta", eta), inside("pretraining", pretraining, "[0, 1)"))
        self.eta = eta
        self.pretraining = pretraining

    def setup(self, ctx: Context) -> None:
        """Warn where the gate can never close.

        Raises:
            ConfigError: another head.
        """
        head = self.head(ctx.model)
        count = len(head.modalities)
        bound = ((count - 1) / count) ** 2
        if head.literal is not None and head.literal > bound:
            warnings.warn(
                f"the gate of head 'domfn' never closes: γτ = {head.literal:g}, and {count} modalities diverge by "
                f"{bound:.3g} at most; use its option 'threshold'",
                stacklevel=2,
            )

    def on_epoch_start(self, ctx: Context) -> None:
        self.head(ctx.model).fusing.fill_(not self.pretrains(ctx))

    def pretrains(self, ctx: Context) -> bool:
        """Whether the modalities train apart in this epoch."""
        return ctx.epoch < round(self.pretraining * ctx.epochs)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = {m: cross_entropy(output.logits[m], batch.label) for m in ctx.training}
        if self.pretrains(ctx):
            return torch.stack([ctx.sample_mean(own[m], batch.present[m]) for m in own]).sum()
        divergence, fuse = agreement(self.head(ctx.model), output, batch)
        ctx.log(fused=ctx.sample_mean(fuse))
        # Where the gate is open the prediction is the fused predictor's, so this is CE_f.
        total = ctx.sample_mean(fuse * cross_entropy(output.fused, batch.label))
        for m, entropy in own.items():
            inside = entropy.square() / 2 - self.eta * divergence[m]
            total = total + ctx.sample_mean(entropy + fuse * inside, batch.present[m])
        return total
