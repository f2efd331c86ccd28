r"""DOMFN: divergence-orientated multi-modal fusion network.

Yang, Zhang, Gao, Gao, Zhu. DOMFN: A Divergence-Orientated Multi-Modal Fusion Network for Resume
Assessment. ACM Multimedia 2022.
Code: github.com/njustkmg/MM22_DOMFN (the source of the equations here)

Idea:
    It is decided sample by sample whether to fuse. Where the modalities' predictions agree with
    their mean, the fused predictor is trained, and it answers. Where one of them diverges too much
    they are trained apart, and the surest modality answers.

    In a first part of the epochs the modalities train apart, all samples alike. The gate stays shut
    until then, so that validation asks the surest modality and not a fused predictor that nothing
    has trained. Any number of modalities. For a sample that lacks some, mean and gate are over the
    others; with a single one the gate is closed.

    Each sample of a minibatch has its own gate, and the losses of the samples are averaged. The
    cost is that of late fusion, and a fused predictor of two layers.

Equations:
    The divergence of a modality's prediction $p_m$ from the mean $\bar p$ of all, and the gate:

    $$\pi_m = \max_k (p_{mk} - \bar p_k)^2 \qquad
    \mathrm{fuse} \Leftrightarrow \pi_m < \gamma \tau \; \text{for all } m$$

    With the cross-entropies of a sample, its loss where it is fused is

    $$\sum_m (\tfrac{1}{2} \mathrm{CE}_m^2 - \eta \, \pi_m) + \sum_m \mathrm{CE}_m + \mathrm{CE}_f$$

    and where its modalities are trained apart

    $$\sum_m \mathrm{CE}_m$$

    The minus rewards diversity, which the gate bounds. With $M$ modalities
    $\pi_m \leq ((M - 1) / M)^2$, so that for two of them the published $\gamma \tau = 0.4$ never
    closes the gate. The default is 0.8 of the bound (head option `threshold`).

Where published code departs:
    γ = 0.8 and τ = 0.5 (or 0.2)                          head options `gamma`, `tau`
    softmax cross-entropy of sigmoid outputs              head option `output: sigmoid`
    30 epochs of pretraining and 200 after; here the
    same fraction of any number of epochs                 `pretraining`
    it steps sample by sample                             not offered
    a learning rate for each modality                     not offered
    the answer among equally sure modalities is
    undefined; here it is the first modality's            not offered
    features are joined in two other ways besides
    concatenation                                         not offered
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.heads import domfn
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context
from equipoise.training.phase import Phase


def agreement(head: domfn.DOMFN, output: Output, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """{modality: π (B,)}, and 1 where the gate is open, else 0 (B,), without gradient."""
    logits = torch.stack([output.logits[m] for m in head.modalities])
    present = torch.stack([batch.present[m] for m in head.modalities])
    divergence = domfn.penalties(head.probability(logits), present)
    fuse = head.gate(divergence.detach(), present).to(divergence.dtype)
    return dict(zip(head.modalities, divergence, strict=True)), fuse


class DOMFN(OwnHead[domfn.DOMFN]):
    """Fusion where the modalities agree, separate training where they do not.

    Args:
        eta: η, the reward for divergence within the gate.
        pretraining: fraction of the epochs, at the start, in which the modalities train apart.
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
            ConfigError: the head is another one.
        """
        head = self.head(ctx.model)
        count = len(head.modalities)
        bound = ((count - 1) / count) ** 2
        if head.literal is not None and head.literal > bound:
            warnings.warn(
                f"the gate of head 'domfn' never closes: γτ = {head.literal:g}, and {count} "
                f"modalities diverge by {bound:.3g} at most; use its option 'threshold'",
                stacklevel=2,
            )

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = min(round(self.pretraining * epochs), epochs - 1)
        # The fused predictor has not trained, and patience must not run out before it does.
        yield Phase(first, selectable=False)
        yield Phase(epochs - first)

    def on_epoch_start(self, ctx: Context) -> None:
        self.head(ctx.model).fusing.fill_(not self.pretrains(ctx))

    def pretrains(self, ctx: Context) -> bool:
        """True where the modalities train apart in this epoch."""
        return ctx.epoch < round(self.pretraining * ctx.epochs)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = {m: ctx.sample_loss(output.logits[m], batch.label) for m in ctx.training}
        if self.pretrains(ctx):
            means = [ctx.sample_mean(own[m], batch.present[m], batch.weight) for m in own]
            return torch.stack(means).sum()
        divergence, fuse = agreement(self.head(ctx.model), output, batch)
        ctx.log(fused=ctx.sample_mean(fuse))
        # Where the gate is open the prediction is the fused predictor's, so this is CE_f.
        fused = ctx.sample_loss(output.fused, batch.label)
        total = ctx.sample_mean(fuse * fused, weight=batch.weight)
        for m, entropy in own.items():
            inside = entropy.square() / 2 - self.eta * divergence[m]
            gated = entropy + fuse * inside
            total = total + ctx.sample_mean(gated, batch.present[m], batch.weight)
        return total
