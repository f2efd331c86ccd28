"""AMCo: adaptive mask co-optimisation, class scores of the modality that the prediction depends on
are hidden.

Zhou, Liang, Zheng, Xuan, Kumada. Adaptive Mask Co-optimization for Modal Dependence in Multimodal
Learning. ICASSP 2023. No code was published; the equations are those of BalanceBenchmark's
re-implementation.

    dep_m = mean, over the samples with two modalities or more, of the mass of modality m in
    softmax([v_1; …; v_M])
            over all M·C entries
    N     = ⌊C sin(π/2 · min(ε, l)/ε)⌋ random classes are masked, with l = b e / 10 in batch b of epoch e
    v_m   ← v_m with the masked classes' logits at 0, for the modalities with dep_m > σ in the batch before
    L     = CE(f, y) + Σ_m CE(v_m, y),   f = L(Σ_m v_m)     with the masked v_m throughout

The block masses add up to 1, so that σ = 1 never masks. A modality that a sample lacks has no mass
in it. The only one of a sample has all, which says that it is present, not that the prediction
depends on it, and does not count. From epoch 1 on all classes of a dependent modality are masked
after 10 ε / e batches: then it learns nothing, and only the others' losses move the encoders, until
dependence has shifted.

Every batch has one mask for all its samples. Not followed: the re-implementation takes dependence
from the masked logits, in which a masked modality hardly looks dependent, keeps a modality marked
until the epoch ends, and marks at most one a batch. Earlier revisions of it mask N of a modality's
feature dimensions, and scale up the others.

Some modality always has a mass of 1/M or more. With that for σ, as with the re-implementation's 1/2
for two, one is masked in almost every batch, and the fused prediction hardly ever learns from all
of them: on an easy task it stays near chance for epochs. The default is a fifth of the way from 1/M
to 1, that is 0.6 for two. Cost: as joint training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import inside, optional, positive, require
from equipoise.errors import ConfigError
from equipoise.heads.base import SeparateHead
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.training.context import Context
from equipoise.training.method import Method


def masses(logits: Tensor, present: Tensor) -> Tensor:
    """Each modality's mass (M, B) in the softmax over all entries of logits (M, B, C); present is bool (M, B)."""
    blocks = torch.where(present, logits.logsumexp(2), -torch.inf)
    return blocks.softmax(0)


def masked_count(epoch: int, batch: int, ramp: float, classes: int) -> int:
    """N = ⌊C sin(π/2 · min(ε, l)/ε)⌋ with l = b e / 10 and ε = ramp; grows from 0 to C within an epoch."""
    progress = min(ramp, batch * epoch / 10) / ramp
    return math.floor(
        classes * math.sin(math.pi / 2 * progress) + 1e-9
    )  # C/2 must not fall short by rounding


def default_threshold(count: int) -> float:
    """σ for so many modalities: a fifth of the way from an equal share to all of it."""
    return 1 / count + (1 - 1 / count) / 5


class AMCo(Method):
    """Adaptive mask co-optimisation.

    Args:
        threshold: σ, the share of dependence above which a modality is masked, in (0, 1]; null for
            1/M + (1 − 1/M)/5.
        ramp: ε, how far l grows until every class is masked, positive.

    Attributes:
        dependence: (M,), dep_m of the batch before; 0 where there was none, or nothing to compare
            in it.
    """

    dependence: Tensor

    def __init__(self, threshold: float | None = None, ramp: float = 0.3) -> None:
        super().__init__()
        require("AMCo", *optional(inside("threshold", threshold, "(0, 1]")), positive("ramp", ramp))
        self.threshold = threshold
        self.ramp = ramp

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where the fused prediction is not made of a classifier's logits for each modality."""
        head = ctx.model.head
        modalities = ctx.model.modalities
        require_own_classifiers("amco", head)
        if not isinstance(head, SeparateHead):
            raise ConfigError(
                f"method 'amco' masks the logits that meet in the fused prediction, and {type(head).__name__} fuses "
                "features; use head 'mixed-sum' or 'sum'"
            )
        reference = next(head.parameters())
        self.register_buffer("dependence", reference.new_zeros(len(modalities)))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        shown = self.shown(output, batch, ctx)
        self.remember(output, batch, ctx)
        weights = {m: 1.0 for m in ctx.training if ctx.anyone_has(m, batch)}
        return auxiliary_loss(weights, shown, batch, ctx)

    def shown(self, output: Output, batch: Batch, ctx: Context) -> Output:
        """The output with the dependent modalities' logits masked, and the fused prediction that they then make."""
        classes = output.fused.shape[1]
        count = masked_count(ctx.epoch, ctx.position.batch, self.ramp, classes)
        hidden = torch.zeros(classes, dtype=torch.bool)
        hidden[torch.randperm(classes, generator=ctx.rng)[:count]] = True
        limit = (
            default_threshold(len(self.dependence)) if self.threshold is None else self.threshold
        )
        masks = (self.dependence > limit).unsqueeze(1) & hidden.to(self.dependence.device)
        logits = {
            m: output.logits[m].masked_fill(masks[k], 0.0)
            for k, m in enumerate(ctx.model.modalities)
        }
        fused, weights = ctx.model.head.fuse(output.features, logits, batch.present)
        return replace(output, logits=logits, fused=fused, weights=weights)

    @torch.no_grad()
    def remember(self, output: Output, batch: Batch, ctx: Context) -> None:
        """dep_m of this batch, for the next one."""
        logits, present = stacked(output.logits, batch.present)
        found = masses(logits, present).T
        self.dependence.copy_(ctx.mean(ctx.sample_mean(found, present.sum(0) >= 2)))
        ctx.log(
            **{
                f"dependence/{m}": d
                for m, d in zip(ctx.model.modalities, self.dependence, strict=True)
            }
        )


def stacked(logits: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits (M, B, C) and presence (M, B)."""
    return torch.stack(list(logits.values())), torch.stack([present[m] for m in logits])
