r"""MBSD: self-distillation between the modalities, from whichever knows a sample better.

Liu, Li, Song, Yang, Zeng. Multimodal Pre-Training with Self-Distillation for Product Understanding
in E-Commerce. WSDM 2023.
Re-implementation: github.com/GeWu-Lab/BalanceBenchmark

Idea:
    The dominating modality teaches the weaker one by self-distillation. Which one dominates is
    decided sample by sample: the "strong" modality of a pair is the one with the larger probability
    of the true class. The weight of a sample and the strong side are constants, so that only the
    weak one learns from the other.

    Only the abstract of the paper was read, and no code of the authors was found. The equations are
    those of BalanceBenchmark in their sensible reading. With more than two modalities the loss is
    the mean over the pairs. The cost is that of joint training.

Equations:
    With $u_m$ the modality's own logits and $p_m = \mathrm{softmax}(u_m)$, for each pair $(m, j)$
    and each sample that has both,

    $$w = | p_m[y] - p_j[y] | \quad \text{if one of the two predicts } y \text{, else } 0$$

    $$RS = \mathrm{mean} \; w \, \tfrac{1}{C} \lVert p_m - p_j \rVert^2$$

    $$KL = \mathrm{mean} \; w \, D(p_{weak}[y] \,\Vert\, p_{strong}[y])$$

    $$L = \mathrm{CE}(f, y) + a \sum_m \mathrm{CE}(u_m, y)
    + b \; \mathrm{mean}_{pairs} (RS + KL)$$

    $D$ is the divergence of the two-way distributions ($y$ or not $y$), which is least where the
    weak one equals the strong one.

Where published code departs:
    BalanceBenchmark's D is its first term alone,
    p_weak log(p_weak / p_strong), which for
    p_weak > p_strong / e pushes the weak one away           `divergence: true-class`
    BalanceBenchmark compares logits in RS for two
    modalities, whose squared distance has no bound and
    diverges at learning rates that suit a cross-entropy;
    for three it compares probabilities, as here             `compare: logits`
    BalanceBenchmark hands a probability to a function that
    wants its logarithm (-0.73 instead of -0.32 at
    p_strong = 0.9, p_weak = 0.4)                            not offered
    BalanceBenchmark detaches neither w nor the strong side  not offered
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import choice, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_trained_classifiers
from equipoise.training.context import Context
from equipoise.training.method import Method

DIVERGENCES = ("two-way", "true-class")
COMPARED = ("probabilities", "logits")


def divergence(weak: Tensor, strong: Tensor, kind: str = "two-way") -> Tensor:
    """D (B,) between the two-way distributions (y or not y) of the weak and the strong side.

    Args:
        weak: log p_weak[y] (B,).
        strong: log p_strong[y] (B,).
        kind: "two-way", or "true-class" for the term of the true class alone.
    """
    term = weak.exp() * (weak - strong)
    if kind == "true-class":
        return term
    smallest = torch.finfo(weak.dtype).eps
    other_weak = (-torch.expm1(weak)).clamp_min(smallest)
    other_strong = (-torch.expm1(strong)).clamp_min(smallest)
    return term + other_weak * (other_weak.log() - other_strong.log())


def distillation(
    first: Tensor,
    second: Tensor,
    label: Tensor,
    kind: str = "two-way",
    compare: str = "probabilities",
) -> Tensor:
    """w (RS + KL) (B,) of a pair of modalities.

    Args:
        first: logits (B, C) of one modality.
        second: logits (B, C) of the other.
        label: y (B,).
        kind: of divergence.
        compare: "probabilities" or "logits".
    """
    known = [F.log_softmax(u, 1).gather(1, label.unsqueeze(1)).squeeze(1) for u in (first, second)]
    ahead = (known[0] >= known[1]).detach()
    right = (first.argmax(1) == label) | (second.argmax(1) == label)
    weight = (known[0].exp() - known[1].exp()).abs().detach() * right
    weak = torch.where(ahead, known[1], known[0])
    strong = torch.where(ahead, known[0], known[1]).detach()
    if compare == "probabilities":
        first = first.softmax(1)
        second = second.softmax(1)
    column = ahead.unsqueeze(1)
    apart = torch.where(column, second, first) - torch.where(column, first, second).detach()
    return weight * (apart.square().mean(1) + divergence(weak, strong, kind))


class MBSD(Method):
    """Self-distillation between modalities.

    Args:
        unimodal_weight: a, the weight of the modalities' own losses.
        distillation_weight: b, the weight of the distillation.
        divergence: D of the KL term: "two-way", or "true-class" for its first term alone.
        compare: quantity that RS compares, "probabilities" or "logits".
    """

    def __init__(
        self,
        unimodal_weight: float = 1.0,
        distillation_weight: float = 1.0,
        divergence: str = "two-way",
        compare: str = "probabilities",
    ) -> None:
        super().__init__()
        require(
            "MBSD",
            not_negative("unimodal_weight", unimodal_weight),
            not_negative("distillation_weight", distillation_weight),
            choice("divergence", divergence, DIVERGENCES),
            choice("compare", compare, COMPARED),
        )
        self.unimodal_weight = unimodal_weight
        self.distillation_weight = distillation_weight
        self.divergence = divergence
        self.compare = compare

    def setup(self, ctx: Context) -> None:
        """Check that the classifiers that teach are trained by the labels.

        Raises:
            ConfigError: no label would train the classifiers that learn from each other.
        """
        if self.distillation_weight and not self.unimodal_weight:
            remedy = "set 'unimodal_weight' above 0, or use head 'sum'"
            require_trained_classifiers("method 'mbsd'", ctx.model.head, remedy)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = auxiliary_loss(dict.fromkeys(ctx.training, self.unimodal_weight), output, batch, ctx)
        pairs = list(combinations(ctx.training, 2))
        if not pairs or self.distillation_weight == 0:
            return loss
        extra = [
            ctx.sample_mean(
                distillation(
                    output.logits[m], output.logits[j], batch.label, self.divergence, self.compare
                ),
                batch.present[m] & batch.present[j],
            )
            for m, j in pairs
        ]
        return loss + self.distillation_weight * torch.stack(extra).mean()
