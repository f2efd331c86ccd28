"""G-Blend (also OGR-GB): gradient blending by the overfitting-to-generalisation ratio.

Wang, Tran, Feiszli. What Makes Training Multi-Modal Classification Networks Hard? CVPR 2020.
Code: github.com/facebookresearch/VMZ

Every modality has a classifier of its own beside the fused one, and their losses are weighed,

    L = w_f CE(f, y) + Σ_m w_m CE(v_m, y),

by how much each of the M + 1 classifiers k generalises for how much it overfits. A copy of the
model is trained for n epochs on the loss of k alone (modality k's branch, or the whole network),
and with its mean losses T on the training table and V on samples held out from it, before and
after,

    ΔG = V − V',   ΔO = (V' − T') − (V − T),   w_k ∝ ΔG_k / ΔO_k²,   Σ_k w_k = 1.

A negative ΔG counts as 0, and without any gain all weights are alike. The mean of N held-out losses
is known to about 1/√N, so an |ΔO| below that counts as that: where chance left it near 0, one
classifier would get all the weight, and the fused one, which predicts, might learn nothing.
"offline" estimates once, over as many epochs as the training has; "online" anew at the start of
every super-epoch, from the weights reached. The formulas are the paper's as commonly stated; the
length of its super-epochs is not confirmed.

Any number of modalities. Estimating costs each branch alone and all of them together, so that
training takes about three times as long as joint training, in either mode; this shows in the
seconds, not in the passes of a step. Where codes depart:
  published: no estimator, weights are given by hand                  `weights`
  MultiBench: an overfitting below 0 counts as 1e-4                   not offered: |ΔO| counts, above `floor`
  MultiBench: V' and V' − T' instead of their changes, so that a
  larger held-out loss has a larger weight                            not offered
  BalanceBenchmark: sums over batches instead of means, held-out
  losses on the test split, no classifiers per modality               not offered
  PMR's repository predicts by the mean of all classifiers            not offered
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, is_table, optional, positive, require, unless, whole
from equipoise.data.table.loader import Loader
from equipoise.errors import ConfigError, suggest
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.baselines.late import Late
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers, sample_losses
from equipoise.methods.parts.table_values import table_means
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase
from equipoise.training.trial import fork, try_out

MODES = ("offline", "online")
FUSED = "fused"


def blend(before: Tensor, after: Tensor, floor: float) -> Tensor:
    """w (K,) from the losses before and after, each (2, K): on the training table, and held out; floor of |ΔO|."""
    gain = (before[1] - after[1]).nan_to_num(0.0).clamp_min(0.0)
    overfitting = (after[1] - after[0]) - (before[1] - before[0])
    weights = gain / overfitting.nan_to_num(0.0).abs().clamp_min(floor).square()
    total = weights.sum()
    return torch.where(
        total > 0, weights / total.clamp_min(torch.finfo(total.dtype).tiny), 1 / len(weights)
    )


class GBlend(Method):
    """Gradient blending.

    Args:
        mode: "offline" (one estimate, before training) or "online" (one per super-epoch).
        super_epoch: n of "online"; null for 10.
        weights: {modality: w_m, "fused": w_f} given instead of estimated; 0 for what is not named.
        floor: what a smaller |ΔO| counts as in an estimate; null for 1/√N, with N samples held out.
    """

    blended: Tensor

    def __init__(
        self,
        mode: str = "offline",
        super_epoch: int | None = None,
        weights: Mapping[str, float] | None = None,
        floor: float | None = None,
    ) -> None:
        super().__init__()
        usable = is_table(weights) and min(weights.values(), default=0) >= 0 < sum(weights.values())
        require(
            "GBlend",
            choice("mode", mode, MODES),
            unless("super_epoch", super_epoch, "'mode' is online", mode == "online"),
            *optional(whole("super_epoch", super_epoch, 1)),
            (
                "weights",
                weights is None or usable,
                "a number of at least 0 for each name, not all 0",
                weights,
            ),
            unless(
                "weights", weights, "'mode' is offline: online estimates them", mode == "offline"
            ),
            *optional(positive("floor", floor)),
            unless("floor", floor, "'weights' are: nothing is estimated", weights is None),
        )
        self.mode = mode
        self.super_epoch = super_epoch or 10
        self.given = weights
        self.floor = floor
        self.needs_holdout = weights is None

    def setup(self, ctx: Context) -> None:
        """Start with equal weights.

        Raises:
            ConfigError: the head has no classifier of each modality's own, a weight is given for an
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
                "method 'g-blend' estimates on held-out samples and there are none; set 'data.holdout'"
            )
        self.register_buffer(
            "blended", torch.full((len(known),), 1 / len(known), dtype=torch.float64)
        )

    def on_epoch_start(self, ctx: Context) -> None:
        """Estimate the weights where they are due."""
        if self.given is not None:
            return
        if ctx.epoch % self.super_epoch == 0 if self.mode == "online" else ctx.epoch == 0:
            left = ctx.epochs - ctx.epoch
            self.blended.copy_(
                self.estimate(ctx, min(self.super_epoch, left) if self.mode == "online" else left)
            )
        ctx.log(
            **{
                f"weight/{k}": w
                for k, w in zip((*ctx.model.modalities, FUSED), self.blended, strict=True)
            }
        )

    def estimate(self, ctx: Context, epochs: int) -> Tensor:
        """w (M + 1,), the modalities' and the fused one's, from trials of so many epochs."""
        before = measured(ctx)
        columns = []
        for number, modality in enumerate(ctx.model.modalities):
            alone = try_out(fork(ctx), Late(), Phase(epochs, (modality,)))
            columns.append(measured(alone)[:, number])
        together = try_out(fork(ctx), Joint(), Phase(epochs))
        columns.append(measured(together)[:, -1])
        assert ctx.holdout is not None, "setup has asked for it"
        return blend(
            before, torch.stack(columns, dim=1), self.floor or len(ctx.holdout.table) ** -0.5
        )

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        if self.given is not None:
            own = {m: float(self.given.get(m, 0)) for m in ctx.model.modalities}
            return auxiliary_loss(own, output, batch, ctx, fused=float(self.given.get(FUSED, 0)))
        *shares, last = self.blended.to(output.fused.dtype)
        return auxiliary_loss(
            dict(zip(ctx.model.modalities, shares, strict=True)), output, batch, ctx, fused=last
        )


def measured(ctx: Context) -> Tensor:
    """Mean losses of all classifiers on the training table and on the held-out one, (2, M + 1)."""
    tables: list[Loader] = [ctx.train] if ctx.holdout is None else [ctx.train, ctx.holdout]
    return torch.stack([table_means(ctx, loader, sample_losses) for loader in tables])
