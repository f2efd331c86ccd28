"""TMC: trusted multi-view classification.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021. Extended in IEEE TPAMI 45(2), 2551-2566, 2023.
Code: github.com/hanmenghan/TMC

Each modality gives evidence for the classes, that is a Dirichlet distribution over class probabilities and with it an
opinion: a belief in each class and a mass of uncertainty. The reduced Dempster-Shafer rule combines the opinions, so
that an uncertain modality counts for less. With K classes and ψ the digamma function

    e_m = softplus(z_m W_mᵀ + b_m),  α_m = e_m + 1,  S_m = Σ_k α_mk,  u_m = K / S_m
    e = K (Π_m (1 + e_m / K) − 1),  α = e + 1              the rule, folded over all modalities in closed form
    A(α) = ψ(S) − ψ(α_y)                                   cross-entropy expected under Dirichlet(α)
    ℓ(α) = A(α) + λ_t KL(Dir(α̃) ‖ Dir(1))                 α̃ is α without the evidence for the true class
    L = Σ_m ℓ(α_m) + ℓ(α),  λ_t = min(1, t / T)            t the epoch

The prediction is argmax α; the logits are log α, so that their softmax is α / S. Combining never raises the
uncertainty and the rule holds for any number of modalities. A modality that a sample lacks gives no evidence and has
no loss there. Mean uncertainties over the epoch are logged.

Published variants: the ICLR code counts t from 1 with T = 50 (here the default), the TPAMI code from 0 with T = 10
(`annealing_start: 0`, `annealing_epochs: 10`); both hold a squared-error form of A (`fit: squared-error`). The ICLR
code stacks linear layers without anything between them, which is one linear layer.

Cost: that of joint training with head `sum`, and digamma and lgamma of M + 1 opinions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, require, whole
from equipoise.heads import evidential
from equipoise.heads.base import Head
from equipoise.heads.opinions import uncertainty
from equipoise.methods.dirichlet import FITS, annealed, opinion_loss
from equipoise.methods.own_head import OwnHead

if TYPE_CHECKING:
    from equipoise.training.context import Context

Opinions = dict[str, tuple[Tensor, Tensor | None]]
"""{whose: (log α (B, K), where it counts (B,) or None for everywhere)}"""


class TMC(OwnHead[Head]):
    """One evidential loss for each opinion and one for their combination.

    Args:
        annealing_epochs: T, epochs until the price on misleading evidence is full.
        annealing_start: number of the first epoch; with 0 it costs nothing there.
        fit: "cross-entropy" (paper) or "squared-error" (option of the published code).
    """

    name = "tmc"
    kind: type[Head] = evidential.TMC

    def __init__(self, annealing_epochs: int = 50, annealing_start: int = 1, fit: str = "cross-entropy") -> None:
        super().__init__()
        require(
            type(self).__name__,
            whole("annealing_epochs", annealing_epochs, 1),
            whole("annealing_start", annealing_start, 0),
            choice("fit", fit, FITS),
        )
        self.annealing_epochs = annealing_epochs
        self.annealing_start = annealing_start
        self.fit = fit

    def opinions(self, output: Output, batch: Batch, ctx: Context) -> Opinions:
        """All that have a loss."""
        own: Opinions = {m: (output.logits[m], batch.present[m]) for m in ctx.training}
        return {**own, "fused": (output.fused, None)}

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        opinions = self.opinions(output, batch, ctx)
        doubt = {name: ctx.sample_mean(uncertainty(o.detach()), where) for name, (o, where) in opinions.items()}
        ctx.log(**{f"uncertainty/{name}": value for name, value in doubt.items()})
        weight = annealed(ctx.epoch, self.annealing_epochs, self.annealing_start)
        losses = [
            ctx.sample_mean(opinion_loss(o, batch.label, weight, self.fit), where) for o, where in opinions.values()
        ]
        return torch.stack(losses).sum()
