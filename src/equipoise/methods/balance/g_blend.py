r"""G-Blend (also OGR-GB): gradient blending by the overfitting-to-generalisation ratio.

Wang, Tran, Feiszli. What Makes Training Multi-Modal Classification Networks Hard? CVPR 2020.
Code: github.com/facebookresearch/VMZ

Idea:
    Every modality has a classifier of its own beside the fused one. Their losses are weighed by how
    much each classifier generalises for how much it overfits. To find out, a copy of the model is
    trained for some epochs on the loss of one classifier alone: the branch of one modality, or the
    whole network for the fused one. Any number of modalities.

    `mode: offline` estimates once, over as many epochs as the training has; `mode: online`
    estimates anew at the start of every super-epoch, from the weights reached. Either costs each
    branch alone and all of them together, so that training takes about three times as long as joint
    training. This shows in the seconds, not in the passes of a step.

    The formulas are the paper's as commonly stated; the length of its super-epochs is not
    confirmed.

Equations:
    $$L = w_f \, \mathrm{CE}(f, y) + \sum_m w_m \, \mathrm{CE}(v_m, y)$$

    For each of the $M + 1$ classifiers $k$, let $T$ and $V$ be the mean losses on the training
    table and on samples held out from it before its trial, and $T'$, $V'$ those after it:

    $$\Delta G = V - V', \qquad \Delta O = (V' - T') - (V - T)$$

    $$w_k \propto \Delta G_k \,/\, \Delta O_k^2, \qquad \sum_k w_k = 1$$

    A negative $\Delta G$ counts as 0, and without any gain all weights are equal. The mean of $N$
    held-out losses is known to about $1/\sqrt{N}$, so a smaller $|\Delta O|$ counts as that: where
    chance left it near 0, one classifier would get all the weight, and the fused one, which
    predicts, might learn nothing.

Where published code departs:
    published: no estimator, weights are given by hand      `weights`
    MultiBench: an overfitting below 0 counts as 1e-4       not offered: |ΔO| counts, above `floor`
    MultiBench: V' and V' − T' instead of their changes,
    so that a larger held-out loss has a larger weight      not offered
    BalanceBenchmark: sums over batches instead of means    not offered
    BalanceBenchmark: held-out losses on the test split     not offered
    BalanceBenchmark: no classifiers per modality           not offered
    PMR's repository predicts by the mean of all
    classifiers                                             not offered
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, integer, is_number, is_table, require
from equipoise.errors import ConfigError, suggest
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.baselines.late import Late
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers, sample_losses
from equipoise.methods.parts.table_values import table_means
from equipoise.registry import NULL, Effect
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase
from equipoise.training.trial import fork, try_out

MODES = ("offline", "online")
FUSED = "fused"


def blend(before: Tensor, after: Tensor, floor: float) -> Tensor:
    """w (K,) of K classifiers.

    Args:
        before: their mean losses (2, K) before the trials, on the training table and held out.
        after: those after them.
        floor: lower limit of |ΔO|.
    """
    gain = (before[1] - after[1]).nan_to_num(0.0).clamp_min(0.0)
    overfitting = (after[1] - after[0]) - (before[1] - before[0])
    weights = gain / overfitting.nan_to_num(0.0).abs().clamp_min(floor).square()
    total = weights.sum()
    scaled = weights / total.clamp_min(torch.finfo(total.dtype).tiny)
    return torch.where(total > 0, scaled, 1 / len(weights))


def measured(ctx: Context) -> Tensor:
    """Mean losses (2, M + 1) of all classifiers, on the training table and on the held-out one."""
    tables = [ctx.train] if ctx.holdout is None else [ctx.train, ctx.holdout]
    return torch.stack([table_means(ctx, loader, sample_losses) for loader in tables])


def are_weights(found: object) -> bool:
    """True for a mapping of names to numbers of at least 0 that are not all 0."""
    return is_table(found) and min(found.values(), default=0) >= 0 < sum(found.values())


class GBlend(Method):
    """Gradient blending.

    Args:
        mode: "offline" estimates once, before training, "online" once in every super-epoch.
        super_epoch: number of epochs of a super-epoch.
        weights: {modality: w_m, "fused": w_f}; a name that is left out has weight 0. Null where
            they are estimated.
        floor: lower limit of |ΔO| in an estimate, positive; "auto" for 1/√N with N samples held
            out.

    Attributes:
        blended: the estimated weights (M + 1,), that of the fused classifier last.
    """

    effect: ClassVar[Effect] = {
        "super_epoch": ("mode", {"online"}),
        "weights": ("mode", {"offline"}),
        "floor": ("weights", NULL),
    }

    blended: Tensor

    def __init__(
        self,
        mode: str = "offline",
        super_epoch: int = 10,
        weights: Mapping[str, float] | None = None,
        floor: float | str = "auto",
    ) -> None:
        super().__init__()
        require(
            "GBlend",
            choice("mode", mode, MODES),
            integer("super_epoch", super_epoch, 1),
            (
                "weights",
                weights is None or are_weights(weights),
                "a number of at least 0 for each name, not all 0",
                weights,
            ),
            (
                "floor",
                floor == "auto" or (is_number(floor) and floor > 0),
                "positive and finite, or auto",
                floor,
            ),
        )
        self.mode = mode
        self.super_epoch = super_epoch
        self.given = weights
        self.floor = floor
        self.needs_holdout = weights is None

    def setup(self, ctx: Context) -> None:
        """Start with equal weights.

        Raises:
            ConfigError: the head has no own classifier for each modality, a weight is given for an
                unknown modality, or nothing was held out.
        """
        require_own_classifiers("g-blend", ctx.model.head)
        known = (*ctx.model.modalities, FUSED)
        for name in self.given or ():
            if name not in known:
                raise ConfigError(
                    f"method 'g-blend': weights: no modality {name!r}{suggest(name, known)}"
                )
        if self.needs_holdout and ctx.holdout is None:
            raise ConfigError(
                "method 'g-blend' estimates on held-out samples and there are none; set "
                "'data.holdout'"
            )
        equal = torch.full((len(known),), 1 / len(known), dtype=torch.float64)
        self.register_buffer("blended", equal)

    def on_epoch_start(self, ctx: Context) -> None:
        """Estimate the weights in the first epoch, and online at the start of every super-epoch."""
        if self.given is not None:
            return
        left = ctx.epochs - ctx.epoch
        if self.mode == "offline" and ctx.epoch == 0:
            self.blended.copy_(self.estimate(ctx, left))
        elif self.mode == "online" and ctx.epoch % self.super_epoch == 0:
            self.blended.copy_(self.estimate(ctx, min(self.super_epoch, left)))
        pairs = zip((*ctx.model.modalities, FUSED), self.blended, strict=True)
        ctx.log(**{f"weight/{name}": weight for name, weight in pairs})

    def estimate(self, ctx: Context, epochs: int) -> Tensor:
        """w (M + 1,), that of the fused classifier last, from trials of this many epochs."""
        before = measured(ctx)
        columns = []
        for number, modality in enumerate(ctx.model.modalities):
            alone = try_out(fork(ctx), Late(), Phase(epochs, (modality,)))
            columns.append(measured(alone)[:, number])
        together = try_out(fork(ctx), Joint(), Phase(epochs))
        columns.append(measured(together)[:, -1])
        assert ctx.holdout is not None, "setup has asked for it"
        uncertainty = len(ctx.holdout.table) ** -0.5
        floor = uncertainty if isinstance(self.floor, str) else self.floor
        return blend(before, torch.stack(columns, dim=1), floor)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        if self.given is not None:
            own = {m: float(self.given.get(m, 0)) for m in ctx.model.modalities}
            return auxiliary_loss(own, output, batch, ctx, fused=float(self.given.get(FUSED, 0)))
        *own_weights, fused = self.blended.to(output.fused.dtype)
        weights = dict(zip(ctx.model.modalities, own_weights, strict=True))
        return auxiliary_loss(weights, output, batch, ctx, fused=fused)
