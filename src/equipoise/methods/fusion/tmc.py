r"""TMC: trusted multi-view classification.

Han, Zhang, Fu, Zhou. Trusted Multi-View Classification. ICLR 2021. Extended in IEEE TPAMI 45(2),
2551-2566, 2023.
Code: github.com/hanmenghan/TMC

Idea:
    Each modality gives evidence for the classes, that is a Dirichlet distribution over class
    probabilities, and with it an opinion: a belief in each class and a mass of uncertainty. The
    reduced Dempster-Shafer rule combines the opinions, so that an uncertain modality counts for
    less.

    The prediction is $\arg\max \alpha$; the logits are $\log \alpha$, so that their softmax is
    $\alpha / S$. Combining never raises the uncertainty, and the rule holds for any number of
    modalities. A modality that a sample lacks gives no evidence and has no loss there. Mean
    uncertainties over the epoch are logged.

    The cost is that of joint training with head `sum`, and digamma and lgamma of $M + 1$ opinions.

Equations:
    With $K$ classes and $\psi$ the digamma function, the opinion of modality $m$ is

    $$e_m = \mathrm{softplus}(z_m W_m^\top + b_m) \qquad \alpha_m = e_m + 1 \qquad
    S_m = \sum_k \alpha_{mk} \qquad u_m = K / S_m$$

    The rule, folded over all modalities in closed form:

    $$e = K \left( \prod_m (1 + e_m / K) - 1 \right) \qquad \alpha = e + 1$$

    The cross-entropy expected under $\mathrm{Dir}(\alpha)$, and the loss of an opinion, where
    $\tilde\alpha$ is $\alpha$ without the evidence for the true class:

    $$A(\alpha) = \psi(S) - \psi(\alpha_y) \qquad
    \ell(\alpha) = A(\alpha) + \lambda_t \, \mathrm{KL}(\mathrm{Dir}(\tilde\alpha) \,\Vert\,
    \mathrm{Dir}(1))$$

    With $t$ the epoch,

    $$L = \sum_m \ell(\alpha_m) + \ell(\alpha) \qquad \lambda_t = \min(1, \, t / T)$$

    $T$ is a fraction of all epochs, so that misleading evidence gets its price in a run of any
    length. The ICLR code, after which $t$ is counted from 1, has $T = 50$ of 500 epochs.

Where published code departs:
    the TPAMI code counts t from 0                      `annealing_start: 0`
    both codes hold a squared-error form of A           `fit: squared-error`
    the ICLR code stacks linear layers without anything
    between them, which is one linear layer             not offered
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, integer, require
from equipoise.heads import evidential
from equipoise.heads.base import Head
from equipoise.heads.parts.opinions import uncertainty
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context

EVIDENCE_LOSSES = ("cross-entropy", "squared-error")

Opinions = dict[str, tuple[Tensor, Tensor | None]]
"""{whose: (log α (B, K), where it counts (B,) or None for everywhere)}"""


def _one_hot(alpha: Tensor, label: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(label, alpha.shape[1]).to(alpha.dtype)


def expected_cross_entropy(alpha: Tensor, label: Tensor) -> Tensor:
    """A (B,) = ψ(S) − ψ(α_y): the cross-entropy expected under Dirichlet(α).

    Args:
        alpha: α (B, K).
        label: y (B,).
    """
    true = alpha.gather(1, label.unsqueeze(1)).squeeze(1)
    return torch.digamma(alpha.sum(1)) - torch.digamma(true)


def expected_squared_error(alpha: Tensor, label: Tensor) -> Tensor:
    """Σ_k (y_k − p_k)² + p_k (1 − p_k) / (S + 1), (B,): the squared error instead of A."""
    strength = alpha.sum(1, keepdim=True)
    probability = alpha / strength
    variance = probability * (1 - probability) / (strength + 1)
    return ((_one_hot(alpha, label) - probability).square() + variance).sum(1)


def misleading_evidence(alpha: Tensor, label: Tensor) -> Tensor:
    """KL (B,) of Dirichlet(α̃) from the uniform one.

    α̃ = y + (1 − y) α is α without the evidence for the true class.
    """
    other = torch.where(_one_hot(alpha, label).bool(), 1.0, alpha)
    strength = other.sum(1)
    normaliser = torch.lgamma(strength) - torch.lgamma(other).sum(1) - math.lgamma(alpha.shape[1])
    distance = torch.digamma(other) - torch.digamma(strength).unsqueeze(1)
    return normaliser + ((other - 1) * distance).sum(1)


def opinion_loss(
    opinions: Tensor, label: Tensor, weight: float, fit: str = "cross-entropy"
) -> Tensor:
    """A(α) + λ KL(α̃), (B,).

    Args:
        opinions: log α (B, K).
        label: y (B,).
        weight: λ.
        fit: one of `EVIDENCE_LOSSES`, the form of A.
    """
    alpha = opinions.exp()
    error = expected_cross_entropy if fit == "cross-entropy" else expected_squared_error
    return error(alpha, label) + weight * misleading_evidence(alpha, label)


def annealed(epoch: int, epochs: float, first: int) -> float:
    """λ = min(1, t / T).

    Args:
        epoch: number of the epoch, from 0.
        epochs: T; at less than 1 the price is full as soon as t is 1.
        first: value of t in the first epoch.
    """
    return min(1.0, (epoch + first) / epochs)


class TMC(OwnHead[Head]):
    """One evidential loss for each opinion, and one for their combination.

    Args:
        annealing: T, the fraction of the epochs until misleading evidence has its full price.
        annealing_start: number of the first epoch; with 0 misleading evidence costs nothing in it.
        fit: "cross-entropy" (paper) or "squared-error" (option of the published code).
    """

    name = "tmc"
    kind: type[Head] = evidential.TMC
    takes_loss = False

    def __init__(
        self, annealing: float = 0.1, annealing_start: int = 1, fit: str = "cross-entropy"
    ) -> None:
        super().__init__()
        require(
            type(self).__name__,
            inside("annealing", annealing, "(0, 1]"),
            integer("annealing_start", annealing_start, 0),
            choice("fit", fit, EVIDENCE_LOSSES),
        )
        self.annealing = annealing
        self.annealing_start = annealing_start
        self.fit = fit

    def opinions(self, output: Output, batch: Batch, ctx: Context) -> Opinions:
        """The opinions that have a loss."""
        own: Opinions = {m: (output.logits[m], batch.present[m]) for m in ctx.training}
        return {**own, "fused": (output.fused, None)}

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        opinions = self.opinions(output, batch, ctx)
        doubt = {
            name: ctx.sample_mean(uncertainty(o.detach()), where)
            for name, (o, where) in opinions.items()
        }
        ctx.log(**{f"uncertainty/{name}": value for name, value in doubt.items()})
        weight = annealed(ctx.epoch, self.annealing * ctx.epochs, self.annealing_start)
        losses = [
            ctx.sample_mean(opinion_loss(o, batch.label, weight, self.fit), where, batch.weight)
            for o, where in opinions.values()
        ]
        return torch.stack(losses).sum()
