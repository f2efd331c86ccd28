r"""AMCo: adaptive mask co-optimisation.

Zhou, Liang, Zheng, Xuan, Kumada. Adaptive Mask Co-optimization for Modal Dependence in Multimodal
Learning. ICASSP 2023.
Code: none published; the equations are those of BalanceBenchmark's re-implementation.

Idea:
    Class scores of the modality on which the prediction depends are hidden, so that the others have
    to learn as well. Dependence is measured in the batch before.

Equations:
    With $v_m$ the logits of modality $m$ over $C$ classes, its dependence is the mass of its block
    in one softmax over all $M C$ entries, averaged over the samples with two modalities or more:

    $$\mathrm{dep}_m = \mathrm{mean} \sum_c \mathrm{softmax}([v_1; \dots; v_M])_{m c}$$

    In batch $b$ of epoch $e$, with $l = b \, e / 10$, so many random classes are masked:

    $$N = \left\lfloor C \sin\left(\frac{\pi}{2} \, \frac{\min(\epsilon, l)}{\epsilon}\right)
    \right\rfloor$$

    The logits of the masked classes are set to 0 in every $v_m$ with $\mathrm{dep}_m > \sigma$ in
    the batch before. All terms of the loss read the masked $v_m$:

    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y), \qquad
    f = \mathrm{Linear}\left(\sum_m v_m\right)$$

    Dependence reads the $v_m$ as the loss has read them, with the mask: a modality that was hidden
    looks less dependent, and is shown again in the next batch. Read without the mask, as its score
    of the label grows without bound, one modality would be hidden for good.

    The masses of the blocks add up to 1, so that $\sigma = 1$ never masks. A modality that a sample
    lacks has no mass in it. The only modality of a sample has all of it, which says that it is
    present, not that the prediction depends on it, and does not count. From epoch 1 on all classes
    of a dependent modality are masked after $10 \epsilon / e$ batches: then it learns nothing in
    the batch, and only the losses of the others move the encoders. Every batch has one mask for all
    its samples.

    Some modality always has a mass of $1/M$ or more. With that as $\sigma$, and with the 1/2 of the
    re-implementation for two, one modality is masked in almost every batch, and the fused
    prediction hardly ever learns from all of them: on an easy task it stays near chance for epochs.
    The default is a fifth of the way from $1/M$ to 1, that is 0.6 for two. Cost: as joint training.

Where published code departs:
    the authors published no code; BalanceBenchmark: a modality stays marked until the
    epoch ends                                                 not offered
    BalanceBenchmark: at most one modality is marked in a
    batch                                                      not offered
    earlier revisions of BalanceBenchmark mask N of a
    modality's feature dimensions, and scale up the others     not offered
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import is_number, positive, require
from equipoise.errors import ConfigError
from equipoise.heads.base import SeparateHead
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.training.context import Context
from equipoise.training.method import Method


def masses(logits: Tensor, present: Tensor) -> Tensor:
    """Mass (M, B) of each modality in the softmax over all its and the others' logits.

    Args:
        logits: (M, B, C).
        present: bool (M, B); an absent modality has no mass.
    """
    blocks = torch.where(present, logits.logsumexp(2), -torch.inf)
    return blocks.softmax(0)


def masked_count(epoch: int, batch: int, ramp: float, classes: int) -> int:
    """N, the number of masked classes; it grows from 0 to C within an epoch.

    Args:
        epoch: e, from 0.
        batch: b, from 0.
        ramp: ε.
        classes: C.
    """
    progress = min(ramp, batch * epoch / 10) / ramp
    # Without the small addend rounding takes one class off where the product is an integer.
    return math.floor(classes * math.sin(math.pi / 2 * progress) + 1e-9)


def default_threshold(count: int) -> float:
    """σ for M modalities: a fifth of the way from an equal mass, 1/M, to all of it."""
    return 1 / count + (1 - 1 / count) / 5


class AMCo(Method):
    """Adaptive mask co-optimisation.

    Args:
        threshold: σ, the dependence above which a modality is masked, in (0, 1]; "auto" for
            1/M + (1 − 1/M)/5 with M modalities.
        ramp: ε, the value of l at which every class is masked, positive.

    Attributes:
        dependence: dep_m (M,) of the batch before; 0 where there was none, or where it had no
            sample to compare in.
    """

    dependence: Tensor

    def __init__(self, threshold: float | str = "auto", ramp: float = 0.3) -> None:
        super().__init__()
        usable = threshold == "auto" or (is_number(threshold) and 0 < threshold <= 1)
        require(
            "AMCo", ("threshold", usable, "in (0, 1] or auto", threshold), positive("ramp", ramp)
        )
        self.threshold = threshold
        self.ramp = ramp

    def setup(self, ctx: Context) -> None:
        """Allocate the dependence.

        Raises:
            ConfigError: the fused prediction is not computed from logits of each modality's own.
        """
        head = ctx.model.head
        modalities = ctx.model.modalities
        require_own_classifiers("amco", head)
        if not isinstance(head, SeparateHead):
            raise ConfigError(
                "method 'amco' masks the logits that meet in the fused prediction, and "
                f"{type(head).__name__} fuses features; use head 'mixed-sum' or 'sum'"
            )
        reference = next(head.parameters())
        self.register_buffer("dependence", reference.new_zeros(len(modalities)))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        shown = self.shown(output, batch, ctx)
        # The masked logits, so that a modality is not hidden twice in a row for one lead.
        self.remember(shown, batch, ctx)
        weights = dict.fromkeys(ctx.present_in(batch), 1.0)
        return auxiliary_loss(weights, shown, batch, ctx)

    def shown(self, output: Output, batch: Batch, ctx: Context) -> Output:
        """The output with the logits of dependent modalities masked, and fused from these."""
        classes = output.fused.shape[1]
        count = masked_count(ctx.epoch, ctx.position.batch, self.ramp, classes)
        hidden = torch.zeros(classes, dtype=torch.bool)
        hidden[torch.randperm(classes, generator=ctx.rng)[:count]] = True
        masks = (self.dependence > self.limit()).unsqueeze(1) & hidden.to(self.dependence.device)
        logits = {
            m: output.logits[m].masked_fill(masks[k], 0.0)
            for k, m in enumerate(ctx.model.modalities)
        }
        fused, weights = ctx.model.head.fuse(output.features, logits, batch.present)
        return Output(output.features, logits, fused, weights)

    def limit(self) -> float:
        """σ."""
        if isinstance(self.threshold, str):
            return default_threshold(len(self.dependence))
        return self.threshold

    @torch.no_grad()
    def remember(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Keep the dependence of this batch for the next one.

        Args:
            output: with the logits that the loss reads.
            batch: the samples.
            ctx: takes the mean over all ranks.
        """
        logits = torch.stack(list(output.logits.values()))
        present = torch.stack([batch.present[m] for m in output.logits])
        found = masses(logits, present).T
        self.dependence.copy_(ctx.mean(ctx.sample_mean(found, present.sum(0) >= 2)))
        pairs = zip(ctx.model.modalities, self.dependence, strict=True)
        ctx.log(**{f"dependence/{m}": dependence for m, dependence in pairs})
