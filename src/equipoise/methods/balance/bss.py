"""BSS: balance-aware sequence sampling, from samples on which the modalities agree to those on
which they do not.

Guan, Jiang, Yang. Balance-aware Sequence Sampling Makes Multi-modal Learning Better. IJCAI 2025.
Code: github.com/njustkmg/IJCAI25-BSS

Each modality has a classifier v_m of its own, and a classifier f reads all features:

    L = a CE(f, y) + (1 − a) Σ_m CE(v_m, y),  a = 0.1;   the prediction is that of Σ_m v_m

Samples are scored by what they lose and by how alike the modalities predict,

    difficulty = N(ℓ) − N(cos(softmax(v_a), softmax(v_v)))      ℓ is L of one sample, N scales the table to [0, 1]

and the order of training follows from it:

    `schedule: self-paced`  before every epoch the samples are scored, and all are drawn without
    replacement, with
                            probability ∝ 1 − difficulty + 0.01: the balanced ones tend to come
                            first
    `schedule: curriculum`  scored once, before the first epoch; epoch e (from 0) trains on the
    easiest share
                            min(1, √((1 − λ²)/T · (e + 1) + λ²)) of the table, λ = 0.1, in random
                            order; T = 40, or the number of epochs where they are fewer, so that all
                            samples are trained on

Why it is among the newer methods here: every equation is in the authors' code, one file per
schedule, and the paper's abstract describes the same two. Unverified: whether the paper weighs the
two terms of the score alike. The published code scores in training mode, so that scoring moves the
running statistics (here in evaluation mode), drops the last batch, and chooses the epoch on the
test split.

More than two modalities: the mean cosine over the pairs that a sample has; 0 for a sample with one
modality, the least balanced there is. ℓ sums over the modalities that a sample has.

Cost: as joint training; an evaluation pass before each epoch (self-paced) or one (curriculum, whose
    early epochs are
shorter).
"""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, optional, require, unless, whole
from equipoise.errors import ConfigError
from equipoise.heads.vote import Vote
from equipoise.methods.parts.losses import cross_entropy, unimodal_loss
from equipoise.methods.parts.table_values import table_values
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.method import Method


def difficulty(loss: Tensor, similarity: Tensor) -> Tensor:
    """(N,) in [−1, 1], from ℓ (N,) and the modalities' likeness (N,)."""
    return _unit(loss) - _unit(similarity)


def _unit(values: Tensor) -> Tensor:
    span = values.max() - values.min()
    return (values - values.min()) / span.clamp_min(torch.finfo(values.dtype).tiny)


def curriculum_share(epoch: int, start: float, grow: int) -> float:
    """The easiest share of the table that an epoch, from 0, trains on."""
    if epoch + 1 >= grow:
        return 1.0  # which rounding must not fall short of
    return min(1.0, math.sqrt((1 - start**2) / grow * (epoch + 1) + start**2))


def similarity(output: Output, batch: Batch) -> Tensor:
    """Mean cosine (B,) of the modalities' class probabilities over the pairs a sample has; 0 without any."""
    total = torch.zeros_like(output.fused[:, 0])
    count = torch.zeros_like(total)
    for m, j in combinations(output.logits, 2):
        both = batch.present[m] & batch.present[j]
        alike = F.cosine_similarity(output.logits[m].softmax(1), output.logits[j].softmax(1), dim=1)
        total = total + alike * both
        count = count + both
    return total / count.clamp_min(1)


SCHEDULES = ("self-paced", "curriculum")
GROW = 40  # T, where the training is as long


class BSS(Method):
    """Balance-aware sequence sampling.

    Args:
        schedule: "self-paced" or "curriculum".
        joint_weight: a, in [0, 1].
        start: λ, the share to start from, in (0, 1], of the curriculum; null for 0.1.
        grow: T, the epochs until all samples are in, of the curriculum; null for 40, or all epochs
            if fewer.
    """

    order: Tensor

    def __init__(
        self,
        schedule: str = "self-paced",
        joint_weight: float = 0.1,
        start: float | None = None,
        grow: int | None = None,
    ) -> None:
        super().__init__()
        require(
            "BSS",
            choice("schedule", schedule, SCHEDULES),
            inside("joint_weight", joint_weight, "[0, 1]"),
            *optional(inside("start", start, "(0, 1]")),
            *optional(whole("grow", grow, 1)),
            unless("start", start, "'schedule' is curriculum", schedule == "curriculum"),
            unless("grow", grow, "'schedule' is curriculum", schedule == "curriculum"),
        )
        self.schedule = schedule
        self.joint_weight = joint_weight
        self.start = 0.1 if start is None else start
        self.grow = grow

    def setup(self, ctx: Context) -> None:
        """Allocate the order of the curriculum; warns where the training ends before that has come
        to all samples.

        Raises:
            ConfigError: the head is not one that trains both kinds of classifiers.
        """
        if not isinstance(ctx.model.head, Vote):
            raise ConfigError(
                "method 'bss' trains a classifier of all features beside those that predict, and "
                f"{type(ctx.model.head).__name__} has none; use head 'vote'"
            )
        if self.schedule == "curriculum":
            self.register_buffer("order", torch.arange(len(ctx.train.table)))
            if self.share(ctx.epochs - 1, ctx) < 1:
                warnings.warn(
                    f"method 'bss' comes to all samples in epoch {self.grow}, and this training has {ctx.epochs}: "
                    "it never sees the hardest; lower 'grow', or train longer",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def on_epoch_start(self, ctx: Context) -> None:
        if self.schedule == "self-paced":
            weights = 1 - self.score(ctx) + 0.01
            ctx.resample(torch.multinomial(weights, len(weights), generator=ctx.rng), shuffle=False)
            return
        if ctx.epoch == 0:
            self.order.copy_(self.score(ctx).argsort(stable=True))
        ctx.resample(self.order[: max(int(len(self.order) * self.share(ctx.epoch, ctx)), 1)])

    def share(self, epoch: int, ctx: Context) -> float:
        """The easiest share of the table that an epoch of the curriculum trains on."""
        return curriculum_share(
            epoch, self.start, min(GROW, ctx.epochs) if self.grow is None else self.grow
        )

    def score(self, ctx: Context) -> Tensor:
        """The difficulty (N,) of every training sample, on the CPU."""

        def measured(output: Output, batch: Batch) -> Tensor:
            losses = self.joint_weight * self._joint_losses(ctx.model, output, batch)
            for modality, logits in output.logits.items():
                own = cross_entropy(logits, batch.label)
                losses = losses + (1 - self.joint_weight) * own * batch.present[modality]
            return torch.stack([losses, similarity(output, batch)], 1)

        return difficulty(*table_values(ctx, ctx.train, measured).double().cpu().unbind(1))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()
        loss = (1 - self.joint_weight) * own
        if self.joint_weight:
            loss = loss + self.joint_weight * ctx.sample_mean(
                self._joint_losses(ctx.model, output, batch)
            )
        return loss

    def _joint_losses(self, model: Model, output: Output, batch: Batch) -> Tensor:
        assert isinstance(model.head, Vote)
        features = {m: z for m, z in output.features.items() if batch.counts[m]}
        return cross_entropy(model.head.joint(features, batch.present), batch.label)
