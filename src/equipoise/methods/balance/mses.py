r"""MSES: modality-specific early stopping.

Fujimori, Endo, Kawai, Mochizuki. Modality-Specific Learning Rate Control for Multimodal
Classification. ACPR 2019.
Re-implementation: github.com/lihong2303/AGM_ICCV2023

Idea:
    The fused classifier and one classifier per modality train together, and each modality is
    stopped by the overfitting of its own classifier. A modality that stops goes back to its weights
    of its best epoch and stays there bit for bit: its encoder and its own classifier take no
    gradient, momentum or weight decay, and batch normalisation keeps its statistics. The fused
    classifier goes on.

    The monitored losses are taken on samples held out from training, and not on the validation
    split, which chooses the epoch. Nothing ends the training when all modalities have stopped,
    since the best epoch is chosen anyhow.

    No code of the authors is known, and only the abstract of the paper was read: the weights, the
    smoothing and the patience, here a fraction of the epochs, are unconfirmed. Any number of
    modalities; a sample that lacks modality $m$ does not count for $V_m$. The cost is a pass over
    the held-out samples per epoch, and a copy of each encoder.

Equations:
    Over the modalities that still train,

    $$L = \mathrm{CE}(f, y) + \lambda \sum_m \mathrm{CE}(v_m, y)$$

    With $V_m(e)$ the held-out loss of classifier $m$ after epoch $e = 1, 2, \ldots$

    $$S_m(e) = \mu \, V_m(e-1) + (1 - \mu) \, V_m(e) \qquad
    e^*_m = \arg\min_{e' \leq e} S_m(e')$$

    Modality $m$ stops, that is $\eta_m = 0$ from then on, once

    $$e - e^*_m > P$$

Where published code departs:
    AGM's repository: no unimodal losses, a sum of classifiers          `weight: 0`, head `sum`
    AGM's: patience 80 (CREMA-D), 30 (UR-Funny), 10 (AV-MNIST) epochs   `patience`, a fraction
    AGM's: a stop rewinds the whole model with the other modalities     not offered
    AGM's: a stopped modality has its gradient multiplied by 0, and so
    drifts by momentum and weight decay, and moves again after epoch 20  not offered
    AGM's: the test split is monitored                                  not offered
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import inside, not_negative, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import (
    auxiliary_loss,
    own_classifier,
    require_own_classifiers,
    require_trained_classifiers,
    sample_losses,
)
from equipoise.methods.parts.idle import warn_of_a_short_run
from equipoise.methods.parts.snapshot import Snapshot
from equipoise.methods.parts.table_values import table_means
from equipoise.training.context import Context
from equipoise.training.method import Method


class MSES(Method):
    """Modality-specific early stopping.

    Args:
        weight: λ, the weight of the modalities' own losses.
        smoothing: μ, the fraction of the epoch before in the monitored loss.
        patience: P, the fraction of the epochs without improvement after which a modality stops;
            `.inf` for never.
    """

    previous: Tensor
    best: Tensor
    best_epoch: Tensor
    stopped: Tensor

    def __init__(self, weight: float = 1.0, smoothing: float = 0.6, patience: float = 0.2) -> None:
        super().__init__()
        require(
            "MSES",
            not_negative("weight", weight),
            inside("smoothing", smoothing, "[0, 1)"),
            ("patience", patience == math.inf or 0 <= patience <= 1, "in [0, 1] or .inf", patience),
        )
        self.weight = weight
        self.smoothing = smoothing
        self.patience = patience
        self.needs_holdout = patience < math.inf
        self._known: tuple[str, ...] | None = None

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of every modality; warn if the training ends before one could stop.

        Raises:
            ConfigError: the head has no classifier for each modality, or one that nothing trains,
                or nothing was held out.
        """
        head = ctx.model.head
        modalities = ctx.model.modalities
        require_own_classifiers("mses", head)
        if self.needs_holdout and self.weight == 0:
            require_trained_classifiers(
                "method 'mses'", head, "set 'weight' above 0, or use head 'late' or 'sum'"
            )
        if self.needs_holdout and ctx.holdout is None:
            raise ConfigError(
                "method 'mses' monitors held-out samples and there are none; set 'data.holdout'"
            )
        if self.needs_holdout:  # epoch 1 is the first that can be best, and P may pass after it
            warn_of_a_short_run("mses", self.epochs_of_patience(ctx) + 2, "patience", ctx)
        count = len(modalities)
        self.register_buffer("previous", torch.full((count,), torch.nan, dtype=torch.float64))
        self.register_buffer("best", torch.full((count,), torch.inf, dtype=torch.float64))
        self.register_buffer("best_epoch", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("stopped", torch.zeros(count, dtype=torch.bool))
        # A plain list does not register the model's modules as the method's own.
        self.parts = [(ctx.model.encoders[m], own_classifier(head, m)) for m in modalities]
        self.snapshots = nn.ModuleList(Snapshot(*parts) for parts in self.parts)

    def on_epoch_start(self, ctx: Context) -> None:
        """Judge the epoch that has just ended."""
        if self.needs_holdout and ctx.epoch > 0 and ctx.holdout is not None:
            losses = table_means(ctx, ctx.holdout, sample_losses)[:-1]
            before = self.stopped.tolist()
            self.judge(losses, ctx.epoch, self.epochs_of_patience(ctx))
            stops = zip(ctx.model.modalities, before, self.stopped.tolist(), strict=True)
            ctx.restart_average([m for m, was, now in stops if now and not was])
            named = zip(ctx.model.modalities, losses, strict=True)
            ctx.log(**{f"held_out_loss/{m}": loss for m, loss in named})

    def epochs_of_patience(self, ctx: Context) -> int:
        """P in epochs."""
        return round(self.patience * ctx.epochs)

    def judge(self, losses: Tensor, epoch: int, patience: int) -> None:
        """Keep the modalities that are at their best, and stop those that have not been for long.

        Args:
            losses: V (M,), NaN where nothing could be measured.
            epoch: e, the number of finished epochs.
            patience: P, in epochs.
        """
        before = torch.where(self.previous.isnan(), losses, self.previous)
        smooth = self.smoothing * before + (1 - self.smoothing) * losses
        better = (smooth < self.best) & ~self.stopped
        self.previous.copy_(losses)
        self.best.copy_(torch.where(better, smooth, self.best))
        self.best_epoch[better | losses.isnan()] = epoch
        late = (epoch - self.best_epoch > patience) & ~self.stopped
        self.stopped |= late
        verdicts = zip(self.snapshots, better.tolist(), late.tolist(), strict=True)
        for snapshot, improved, stops in verdicts:
            assert isinstance(snapshot, Snapshot)
            if improved:
                snapshot.take()
            elif stops:
                snapshot.restore()
        self._known = None

    def active(self, ctx: Context) -> tuple[str, ...]:
        """The modalities that still train; the others are frozen."""
        # Read from the device once an epoch, or after resuming: a step must not wait for it.
        if self._known is None:
            stopped = self.stopped.tolist()
            for parts, stops in zip(self.parts, stopped, strict=True):
                for module in parts if stops else ():
                    module.requires_grad_(False)
            self._known = tuple(
                m for m, stops in zip(ctx.model.modalities, stopped, strict=True) if not stops
            )
        return self._known

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        weights = dict.fromkeys(self.active(ctx), float(self.weight))
        return auxiliary_loss(weights, output, batch, ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        """The usual step; encoders that have stopped keep their running statistics."""
        active = self.active(ctx)
        for modality, parts in zip(ctx.model.modalities, self.parts, strict=True):
            if modality not in active:
                parts[0].eval()
        super().step(batch, ctx)
