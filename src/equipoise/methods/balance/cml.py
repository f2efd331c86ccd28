"""CML: calibrating multimodal learning, confidence must not grow when a modality is taken away.

Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu. Calibrating Multimodal Learning. ICML 2023.
Code: github.com/QingyangZhang/CML

Modalities are taken away one after the other, in an order drawn anew for each batch, S_0 = all ⊃
S_1 ⊃ … ⊃ S_{M−1}. With f(S) the fused logits when only S is present and conf(S) = max_k
softmax(f(S))[k],

    L_cal = Σ_j Σ_i relu(conf_i(S_{j+1}) − conf_i(S_j))      a sum over the samples of the batch
    L     = mean over j of CE(f(S_j), y) + λ L_cal

The head reads the same features M times; every encoder runs once. A sample counts in S_j where it
has one of those modalities. Any head and any number of modalities will do.

Where codes depart:
  published, for classifiers of incomplete views: the hinge applies where the
  larger set is right                                                           `where: correct`
  and, with a second weight, where both are wrong                               not offered
  BalanceBenchmark: the hinge of the batch's summed differences, in which one
  sample's fall makes up for another's rise                                     not offered
λ = 0.1 is BalanceBenchmark's. The sum makes λ weigh more in larger batches.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, not_negative, require
from equipoise.methods.parts.idle import warn_of_one_modality
from equipoise.methods.parts.losses import cross_entropy
from equipoise.training.context import Context
from equipoise.training.method import Method

WHERE = ("all", "correct")


def confidence(logits: Tensor) -> Tensor:
    """The largest class probability (B,) of logits (B, C)."""
    return logits.softmax(1).amax(1)


def rises(larger: Tensor, smaller: Tensor) -> Tensor:
    """relu(conf(smaller set) − conf(larger set)) per sample (B,), from the logits (B, C) of either."""
    return torch.relu(confidence(smaller) - confidence(larger))


def chain(modalities: tuple[str, ...], ctx: Context) -> list[tuple[str, ...]]:
    """S_0 ⊃ … ⊃ S_{M−1} in an order drawn at random, whatever the order of declaration."""
    names = sorted(modalities)
    order = [names[k] for k in torch.randperm(len(names), generator=ctx.rng).tolist()]
    return [tuple(m for m in modalities if m in order[gone:]) for gone in range(len(order))]


class CML(Method):
    """Classification by shrinking sets of modalities, without confidence that grows.

    Args:
        weight: λ, at least 0.
        where: "all" samples are calibrated, or the "correct" ones, those which the larger set
            classifies rightly.
    """

    def __init__(self, weight: float = 0.1, where: str = "all") -> None:
        super().__init__()
        require("CML", not_negative("weight", weight), choice("where", where, WHERE))
        self.weight = weight
        self.where = where

    def setup(self, ctx: Context) -> None:
        """Warn where no modality can be taken away."""
        warn_of_one_modality("method 'cml'", ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        features = {m: z for m, z in output.features.items() if batch.counts[m]}
        sets = chain(ctx.training, ctx)
        fused = [
            output.fused,
            *(ctx.model.read(features, batch.present, kept).fused for kept in sets[1:]),
        ]
        left = [torch.stack([batch.present[m] for m in kept]).any(0) for kept in sets]
        classification = torch.stack(
            [
                ctx.sample_mean(cross_entropy(logits, batch.label), some)
                for logits, some in zip(fused, left, strict=True)
            ]
        ).mean()
        if self.weight == 0 or len(sets) == 1:
            return classification
        calibration = torch.stack(
            [
                self.calibration(larger, smaller, some, batch, ctx)
                for (larger, smaller), some in zip(pairwise(fused), left[1:], strict=True)
            ]
        ).sum()
        ctx.log(calibration=calibration)
        return classification + self.weight * calibration

    def calibration(
        self, larger: Tensor, smaller: Tensor, some: Tensor, batch: Batch, ctx: Context
    ) -> Tensor:
        """The rises of confidence from one set to the next, summed over the samples of all ranks that count."""
        counted = some if self.where == "all" else some & (larger.argmax(1) == batch.label)
        values = torch.where(counted, rises(larger, smaller), 0.0)
        return ctx.sample_mean(values) * ctx.sum(values.new_full((), len(values)))
