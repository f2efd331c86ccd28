r"""AUG: sustained boosting, with another classifier for the modality that lags behind.

Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of Mitigating Classification
Ability Disproportion. NeurIPS 2025.
Code: github.com/njustkmg/NeurIPS25-AUG

Idea:
    A modality predicts by the sum of several classifiers on one encoder (head `sustained`). Its
    newest classifier learns what the earlier ones leave, and the sums with and without it learn the
    label. Every few epochs the ability of the modalities is compared, and the weak one gets another
    classifier.

    Loss and assignment were read in the paper as well as in the code. Unverified are the $\lambda$
    of the paper for each data set (it tries 0.1 to 1), and whether its $s$ is a sum or a mean; with
    a mean, $\tau = 0.01$ means one point of probability for data of any size.

Equations:
    Modality $m$ has $n_m$ classifiers, $v_m = \sum_t v_{m t}$. With $n = n_m$ the newest one,

    $$L_m = \mathrm{CE}(v_{m n}, \hat y) + \mathrm{CE}\left(\sum_{t \le n} v_{m t}, y\right)
    + \mathrm{CE}\left(\sum_{t < n} v_{m t}, y\right), \qquad
    \hat y = y - \lambda \sum_{t < n} y \odot \mathrm{softmax}(v_{m t})$$

    and $L_m = \mathrm{CE}(v_{m 1}, y)$ while $n = 1$; the loss is $L = \sum_m L_m$. Since $y$ is
    one-hot, the first term is

    $$\left(1 - \lambda \sum_{t < n} \mathrm{softmax}(v_{m t})[y]\right) \mathrm{CE}(v_{m n}, y)$$

    where $\hat y$ is a constant. From four classifiers on the bracket of the paper can fall below
    0, and its term could be lowered without end by unlearning the label; here it stops at 0, where
    nothing is left to learn.

    After the first epoch, and then at every tenth of the training (`every`), $s_m$ is the mean
    probability of the true class over the last epoch, and the weak modality gets another classifier
    if

    $$s_{\mathrm{strong}} - \sigma \, s_{\mathrm{weak}} > \tau$$

    For more than two modalities the strongest and the weakest are compared, which for two is the
    rule of the paper. Cost: as joint training, and small linear layers; at most `most` classifiers
    per modality (an option of the head).

Where published code departs:
    the residual takes the softmax of the summed earlier
    logits                                                  `residual: sum`
    λ is 0.5                                                `residual_weight: 0.5`, the default
    the modalities step one after the other through the
    shared layer                                            not offered: they step together
    the check compares the ratio of the summed
    probabilities with 1 ± 0.01                             not offered
    the best epoch is chosen on the test split              not offered
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, not_negative, positive, require
from equipoise.errors import ConfigError
from equipoise.heads.sustained import Sustained
from equipoise.methods.parts.idle import warn_of_a_short_run, warn_of_one_modality
from equipoise.methods.parts.losses import cross_entropy, true_probability
from equipoise.training.context import Context
from equipoise.training.method import Method

RESIDUALS = ("each", "sum")
LEAST_EPOCHS = 2
"""Fewest epochs between two comparisons, so that a new classifier has learned before the next."""


def boosting_losses(
    parts: list[Tensor],
    label: Tensor,
    weight: float,
    residual: str = "each",
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> Tensor:
    """L_m (B,) of each sample.

    Args:
        parts: logits (B, C) of the modality's classifiers, the oldest first.
        label: int64 (B,).
        weight: λ.
        residual: "each" or "sum".
        loss: of a sample, from logits and label.
    """
    if len(parts) == 1:
        return loss(parts[0], label)
    earlier = torch.stack(parts[:-1])
    before = earlier.sum(0)
    known = earlier.softmax(2).sum(0) if residual == "each" else before.softmax(1)
    left = (1 - weight * known.gather(1, label.unsqueeze(1)).squeeze(1).detach()).clamp_min(0)
    newest = loss(parts[-1], label)
    with_newest = loss(before + parts[-1], label)
    without_newest = loss(before, label)
    return left * newest + with_newest + without_newest


def lagging(scores: Tensor, factor: float, margin: float) -> int | None:
    """Index of the weakest of the scores (M,) if s_strong − σ s_weak > τ; else None.

    Args:
        scores: s.
        factor: σ.
        margin: τ.
    """
    if bool(scores.max() - factor * scores.min() > margin):
        return int(scores.argmin())
    return None


class AUG(Method):
    """Sustained boosting with adaptive classifier assignment.

    Args:
        residual_weight: λ, the part of what earlier classifiers know that is left out, in [0, 1].
        residual: "each" takes the softmax of each earlier classifier (paper), "sum" that of the sum
            of their logits (published code).
        every: fraction of the epochs from one comparison of the modalities to the next, which is at
            least two epochs long; they are compared after the first epoch, too.
        factor: σ, by which the weak modality's score is multiplied, positive.
        margin: τ, the lead from which the weak modality gets another classifier, at least 0.

    Attributes:
        confidence: sums of the probabilities of the true class in this epoch, and numbers of
            samples, (2, M).
    """

    confidence: Tensor
    _warned = False  # of a modality that has as many classifiers as the head allows

    def __init__(
        self,
        residual_weight: float = 0.5,
        residual: str = "each",
        every: float = 0.1,
        factor: float = 1.0,
        margin: float = 0.01,
    ) -> None:
        super().__init__()
        require(
            "AUG",
            inside("residual_weight", residual_weight, "[0, 1]"),
            choice("residual", residual, RESIDUALS),
            inside("every", every, "(0, 1]"),
            positive("factor", factor),
            not_negative("margin", margin),
        )
        self.residual_weight = residual_weight
        self.residual = residual
        self.every = every
        self.factor = factor
        self.margin = margin

    def setup(self, ctx: Context) -> None:
        """Allocate the confidences, and warn where there is nothing to compare, or no time to.

        Raises:
            ConfigError: the head cannot take more classifiers.
        """
        if not isinstance(ctx.model.head, Sustained):
            raise ConfigError(
                f"method 'aug' adds classifiers, and {type(ctx.model.head).__name__} cannot take "
                "any; use head 'sustained'"
            )
        if self.factor < 1 or not warn_of_one_modality("method 'aug'", ctx):
            warn_of_a_short_run("aug", 1, "every", ctx)
        reference = next(ctx.model.parameters())
        self.register_buffer("confidence", reference.new_zeros(2, len(ctx.model.modalities)))

    def on_epoch_start(self, ctx: Context) -> None:
        if self.compares(ctx):
            scores = self.confidence[0] / self.confidence[1].clamp_min(1)
            weakest = lagging(scores, self.factor, self.margin)
            if weakest is not None:
                self.assign(ctx.model.modalities[weakest], ctx)
        self.confidence.zero_()

    def compares(self, ctx: Context) -> bool:
        """True after the first epoch, and after the last one of each part of the training."""
        length = max(self.every * ctx.epochs, LEAST_EPOCHS)
        # Rounded first: the quotient of an epoch that ends a part may lie just below an integer.
        parts = [math.floor(round(epoch / length, 9)) for epoch in (ctx.epoch - 1, ctx.epoch)]
        return ctx.epoch == 1 or (ctx.epoch > 1 and parts[0] < parts[1])

    def assign(self, modality: str, ctx: Context) -> None:
        """Give a modality another classifier; warns once where it may have no more."""
        head = ctx.model.head
        assert isinstance(head, Sustained), "setup has asked for it"
        if not head.add(modality) and not self._warned:
            self._warned = True
            warnings.warn(
                f"method 'aug': {modality!r} has the head's 'most' classifiers, no more",
                stacklevel=3,
            )

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        head = ctx.model.head
        assert isinstance(head, Sustained), "setup has asked for it"
        total = output.fused.new_zeros(())
        for modality in ctx.training:
            if batch.counts[modality]:
                parts = list(head.parts(modality, output.features[modality]))
                losses = boosting_losses(
                    parts, batch.label, self.residual_weight, self.residual, ctx.sample_loss
                )
            else:  # the sample mean is taken over all ranks, and this one must take part in it
                losses = output.fused.new_zeros(len(batch))
            total = total + ctx.sample_mean(losses, batch.present[modality], batch.weight)
        return total

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Add this batch to the confidences; the gradients stay as they are."""
        modalities = ctx.model.modalities
        true = torch.stack([true_probability(output.logits[m], batch.label) for m in modalities])
        here = torch.stack([batch.present[m] for m in modalities])
        self.confidence += ctx.sum(torch.stack([(true * here).sum(1), here.sum(1).to(true.dtype)]))
