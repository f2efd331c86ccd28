r"""CML: calibrating multimodal learning.

Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu. Calibrating Multimodal Learning. ICML 2023.
Code: github.com/QingyangZhang/CML

Idea:
    Confidence must not grow when a modality is taken away. Modalities are taken away one after the
    other, in an order drawn anew for each batch; every set that is left classifies, and a rise of
    confidence from one set to the next is a loss.

Equations:
    The sets are $S_0 = \mathrm{all} \supset S_1 \supset \dots \supset S_{M-1}$. With $f(S)$ the
    fused logits when only $S$ is present,

    $$\mathrm{conf}(S) = \max_k \, \mathrm{softmax}(f(S))[k]$$

    $$L_{\mathrm{cal}} = \sum_j \mathrm{mean}_i \, c_{ij} \,
    \mathrm{relu}\left(\mathrm{conf}_i(S_{j+1}) - \mathrm{conf}_i(S_j)\right)$$

    $$L = \mathrm{mean}_j \, \mathrm{CE}(f(S_j), y) + \lambda \, L_{\mathrm{cal}}$$

    where $c_{ij}$ is 1 for the samples that $S_j$ classifies rightly, else 0. To calibrate the
    others too would punish a modality for being surer of the right class than all together are,
    which is what balanced training is after. The mean is over the samples $i$ that have a modality
    of $S_{j+1}$, so that $\lambda$ weighs the same in batches of any size; $\lambda = 0.1$ is
    BalanceBenchmark's. A sample counts in $S_j$ where it has one of those modalities. Any head and
    any number of modalities will do. Cost: every encoder runs once, and the head reads the same
    features $M$ times.

Where published code departs:
    the equation of the paper calibrates all samples; its
    code, for classifiers of incomplete views, where the
    larger set is right                                      `where: all`
    published: and, with a second weight, where both are
    wrong                                                    not offered
    the equation sums over samples                           not offered
    BalanceBenchmark: the hinge of the batch's summed
    differences, in which one sample's fall makes up for
    another's rise                                           not offered
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, not_negative, require
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_one_modality
from equipoise.methods.parts.losses import mean_loss
from equipoise.training.context import Context
from equipoise.training.method import Method

WHERE = ("all", "correct")


def confidence(logits: Tensor) -> Tensor:
    """The largest class probability (B,) of logits (B, C)."""
    return logits.softmax(1).amax(1)


def rises(larger: Tensor, smaller: Tensor) -> Tensor:
    """relu(conf(smaller set) − conf(larger set)) (B,), from the logits (B, C) of both."""
    return torch.relu(confidence(smaller) - confidence(larger))


def chain(modalities: tuple[str, ...], ctx: Context) -> list[tuple[str, ...]]:
    """S_0 ⊃ … ⊃ S_{M−1}, in an order drawn at random.

    The draw does not depend on the order in which the modalities are declared.
    """
    names = sorted(modalities)
    order = [names[k] for k in torch.randperm(len(names), generator=ctx.rng).tolist()]
    return [tuple(m for m in modalities if m in order[gone:]) for gone in range(len(order))]


class CML(Method):
    """Classification by shrinking sets of modalities whose confidence must not grow.

    Args:
        weight: λ, the weight of the calibration, at least 0.
        where: samples that are calibrated: the "correct" ones, which the larger set classifies
            rightly, or "all".
    """

    def __init__(self, weight: float = 0.1, where: str = "correct") -> None:
        super().__init__()
        require("CML", not_negative("weight", weight), choice("where", where, WHERE))
        self.weight = weight
        self.where = where

    def setup(self, ctx: Context) -> None:
        """Warn where no modality can be taken away."""
        warn_of_one_modality("method 'cml'", ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        features = features_here(output, batch)
        sets = chain(ctx.training, ctx)
        smaller = [ctx.model.read(features, batch.present, kept).fused for kept in sets[1:]]
        fused = [output.fused, *smaller]
        counted = [torch.stack([batch.present[m] for m in kept]).any(0) for kept in sets]
        losses = [
            mean_loss(logits, batch, ctx, some) for logits, some in zip(fused, counted, strict=True)
        ]
        classification = torch.stack(losses).mean()
        if self.weight == 0 or len(sets) == 1:
            return classification
        risen = [
            self.calibration(before, after, some, batch, ctx)
            for (before, after), some in zip(pairwise(fused), counted[1:], strict=True)
        ]
        calibration = torch.stack(risen).sum()
        ctx.log(calibration=calibration)
        return classification + self.weight * calibration

    def calibration(
        self, larger: Tensor, smaller: Tensor, some: Tensor, batch: Batch, ctx: Context
    ) -> Tensor:
        """Mean () of the rises of confidence over the samples of all ranks that have the next set.

        Args:
            larger: logits (B, C) of one set.
            smaller: logits (B, C) of the next.
            some: bool (B,), the samples that have a modality of the next.
            batch: the samples.
            ctx: takes the mean over the samples of all ranks.
        """
        values = rises(larger, smaller)
        if self.where == "correct":
            values = torch.where(larger.argmax(1) == batch.label, values, 0.0)
        return ctx.sample_mean(values, some)
