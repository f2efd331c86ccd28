r"""BSS: balance-aware sequence sampling.

Guan, Jiang, Yang. Balance-aware Sequence Sampling Makes Multi-modal Learning Better. IJCAI 2025.
Code: github.com/njustkmg/IJCAI25-BSS

Idea:
    Training goes from samples on which the modalities agree to samples on which they do not. Each
    modality has a classifier $v_m$ of its own, and a classifier $f$ reads all features; the
    prediction is that of $\sum_m v_m$. A sample is more difficult if its loss is higher and the
    predictions of the modalities differ more.

    The equations are those of the authors' code, which has one file for each schedule; the abstract
    of the paper describes the same two. It is unverified whether the paper weighs the two terms of
    the difficulty equally.

Equations:
    $$L = a \, \mathrm{CE}(f, y) + (1 - a) \sum_m \mathrm{CE}(v_m, y), \qquad a = 0.1$$

    With $\ell$ the loss $L$ of one sample, and $N$ scaling the values of the table to [0, 1],

    $$\mathrm{difficulty} = N(\ell) -
    N\left(\cos(\mathrm{softmax}(v_1), \mathrm{softmax}(v_2))\right)$$

    `schedule: self-paced` scores all samples before every epoch, and draws all of them without
    replacement with probabilities proportional to $1 - \mathrm{difficulty} + 0.01$, so that the
    balanced ones tend to come first.

    `schedule: curriculum` scores them once, before the first epoch. Epoch $e$, from 0, trains in
    random order on the easiest fraction of the table,

    $$\min\left(1, \sqrt{\frac{1 - \lambda^2}{T} (e + 1) + \lambda^2}\right),
    \qquad \lambda = 0.1$$

    with $T = 40$, or the number of epochs where they are fewer, so that all samples are trained on.

    For more than two modalities the cosine is the mean over the pairs that a sample has; it is 0
    for a sample with one modality, the least balanced there is. $\ell$ sums over the modalities
    that a sample has.

    Cost: as joint training, and an evaluation pass before each epoch (self-paced), or only one
    (curriculum, whose early epochs are shorter).

Where published code departs:
    scores are computed in training mode, so that scoring
    moves the running statistics                             not offered
    the last, incomplete batch of an epoch is dropped        not offered
    the best epoch is chosen on the test split               not offered
"""

from __future__ import annotations

import math
import warnings
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import choice, inside, is_integer, require
from equipoise.errors import ConfigError
from equipoise.heads.vote import Vote
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.losses import cross_entropy, mean_loss, unimodal_loss
from equipoise.methods.parts.table_values import table_values
from equipoise.model import Model
from equipoise.registry import Effect
from equipoise.training.context import Context
from equipoise.training.method import Method

SAMPLINGS = ("self-paced", "curriculum")
LONGEST_GROWTH = 40
"""T, unless the training is shorter."""


def difficulty(loss: Tensor, similarity: Tensor) -> Tensor:
    """Difficulty (N,) in [−1, 1], from ℓ (N,) and the similarity of the modalities (N,)."""
    return _unit(loss) - _unit(similarity)


def _unit(values: Tensor) -> Tensor:
    """Values (N,) scaled to [0, 1]; all 0 where they are equal."""
    span = values.max() - values.min()
    return (values - values.min()) / span.clamp_min(torch.finfo(values.dtype).tiny)


def curriculum_fraction(epoch: int, start: float, grow: int) -> float:
    """Fraction of the table, the easiest part, that an epoch (from 0) of the curriculum trains on.

    Args:
        epoch: e.
        start: λ.
        grow: T.
    """
    if epoch + 1 >= grow:
        return 1.0  # rounding must not leave it just below
    return min(1.0, math.sqrt((1 - start**2) / grow * (epoch + 1) + start**2))


def similarity(output: Output, batch: Batch) -> Tensor:
    """Mean cosine (B,) of the modalities' class probabilities over the pairs that a sample has.

    It is 0 for a sample without any pair.
    """
    total = torch.zeros_like(output.fused[:, 0])
    count = torch.zeros_like(total)
    for m, j in combinations(output.logits, 2):
        both = batch.present[m] & batch.present[j]
        alike = F.cosine_similarity(output.logits[m].softmax(1), output.logits[j].softmax(1), dim=1)
        total = total + alike * both
        count = count + both
    return total / count.clamp_min(1)


class BSS(Method):
    """Balance-aware sequence sampling.

    Args:
        schedule: "self-paced" draws a new order for every epoch, "curriculum" trains on a growing
            part of the table.
        joint_weight: a, the weight of the loss of the classifier of all features, in [0, 1].
        start: λ, the fraction of the table that the curriculum starts from, in (0, 1].
        grow: T, the epochs until the curriculum has all samples; "auto" for 40, or all epochs of
            the training where they are fewer.

    Attributes:
        order: rows of the training table from the easiest to the most difficult, int64 (N,); the
            curriculum's.
    """

    effect: ClassVar[Effect] = {
        "start": ("schedule", {"curriculum"}),
        "grow": ("schedule", {"curriculum"}),
    }
    order: Tensor
    chooses_rows = True

    def __init__(
        self,
        schedule: str = "self-paced",
        joint_weight: float = 0.1,
        start: float = 0.1,
        grow: int | str = "auto",
    ) -> None:
        super().__init__()
        require(
            "BSS",
            choice("schedule", schedule, SAMPLINGS),
            inside("joint_weight", joint_weight, "[0, 1]"),
            inside("start", start, "(0, 1]"),
            ("grow", grow == "auto" or is_integer(grow, 1), "a positive integer or auto", grow),
        )
        self.schedule = schedule
        self.joint_weight = joint_weight
        self.start = start
        self.grow = grow

    def setup(self, ctx: Context) -> None:
        """Allocate the order of the curriculum.

        Warns where the training ends before the curriculum has come to all samples.

        Raises:
            ConfigError: the head does not train both kinds of classifiers.
        """
        if not isinstance(ctx.model.head, Vote):
            raise ConfigError(
                "method 'bss' trains a classifier of all features beside those that predict, and "
                f"{type(ctx.model.head).__name__} has none; use head 'vote'"
            )
        if self.schedule == "curriculum":
            self.register_buffer("order", torch.arange(len(ctx.train.table)))
            if self.fraction(ctx.epochs - 1, ctx) < 1:
                warnings.warn(
                    f"method 'bss' comes to all samples in epoch {self.grow}, and this training "
                    f"has {ctx.epochs}: it never sees the hardest; lower 'grow', or train longer",
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
        count = int(len(self.order) * self.fraction(ctx.epoch, ctx))
        ctx.resample(self.order[: max(count, 1)])

    def fraction(self, epoch: int, ctx: Context) -> float:
        """Fraction of the table, the easiest part, that an epoch of the curriculum trains on."""
        if isinstance(self.grow, str):
            return curriculum_fraction(epoch, self.start, min(LONGEST_GROWTH, ctx.epochs))
        return curriculum_fraction(epoch, self.start, self.grow)

    def score(self, ctx: Context) -> Tensor:
        """Difficulty (N,) of every training sample, on the CPU."""

        def measured(output: Output, batch: Batch) -> Tensor:
            joint = self._joint(ctx.model, output, batch)
            losses = self.joint_weight * cross_entropy(joint, batch.label)
            for modality, logits in output.logits.items():
                own = cross_entropy(logits, batch.label)
                losses = losses + (1 - self.joint_weight) * own * batch.present[modality]
            return torch.stack([losses, similarity(output, batch)], 1)

        return difficulty(*table_values(ctx, ctx.train, measured).double().cpu().unbind(1))

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = torch.stack([unimodal_loss(m, output, batch, ctx) for m in ctx.training]).sum()
        loss = (1 - self.joint_weight) * own
        if self.joint_weight:
            joint = mean_loss(self._joint(ctx.model, output, batch), batch, ctx)
            loss = loss + self.joint_weight * joint
        return loss

    def _joint(self, model: Model, output: Output, batch: Batch) -> Tensor:
        """f (B, C) of each sample."""
        assert isinstance(model.head, Vote), "setup has asked for it"
        return model.head.joint(features_here(output, batch), batch.present)
