"""MSES: modality-specific early stopping.

Fujimori, Endo, Kawai, Mochizuki. Modality-Specific Learning Rate Control for Multimodal
Classification. ACPR 2019. No code of the authors is known, and of the paper the abstract only:
weights, smoothing, patience are unconfirmed.

The fused classifier and one per modality train together, and each modality is stopped by the
overfitting of its own:

    L = CE(f, y) + λ Σ_m CE(v_m, y)                 over the modalities that still train
    S_m(e) = μ V_m(e−1) + (1 − μ) V_m(e)            V_m: held-out loss of classifier m after epoch e = 1, 2, …
    e*_m = argmin of S_m so far
    stop m once e − e*_m > P                        η_m = 0 from then on

A modality that stops goes back to its weights of epoch e*_m and stays there bit for bit: its
encoder and its own classifier take no gradient, momentum or weight decay, and batch normalisation
keeps its statistics. The fused classifier goes on. The losses V_m are taken on samples held out
from training, not on the validation split, which chooses the epoch. Nothing stops training when all
modalities have stopped: the best epoch is chosen anyhow.

Any number of modalities; what one lacks does not count for its V_m. Costs a pass over the held-out
part per epoch, and a copy of each encoder. Where the re-implementation in the repository of AGM
departs from the above:
  no unimodal losses, one sum of classifiers                          `weight: 0`, head `sum`
  patience 80 (CREMA-D), 30 (UR-Funny), 10 (AV-MNIST)                 `patience`
  a stop rewinds the whole model, other modalities included           not offered
  a stopped modality has its gradient multiplied by 0, and so drifts
  with momentum and weight decay, and moves again after epoch 20      not offered
  the test split is what it monitors                                  not offered
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
        weight: λ of the modalities' own losses.
        smoothing: μ, the share of the epoch before in the monitored loss.
        patience: P, epochs without improvement before a modality stops; `.inf` for never.
    """

    previous: Tensor
    best: Tensor
    best_epoch: Tensor
    stopped: Tensor

    def __init__(self, weight: float = 1.0, smoothing: float = 0.6, patience: float = 10) -> None:
        super().__init__()
        require(
            "MSES",
            not_negative("weight", weight),
            inside("smoothing", smoothing, "[0, 1)"),
            not_negative("patience", patience, infinite=True),
        )
        self.weight = weight
        self.smoothing = smoothing
        self.patience = patience
        self.needs_holdout = patience < math.inf
        self._known: tuple[str, ...] | None = None

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of every modality; warns where the training ends before one could
        stop.

        Raises:
            ConfigError: the head has no classifier of each modality's own, or one that nothing
                trains, or nothing was held out.
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
        if self.needs_holdout:  # the first to be best is epoch 1, and more than P may pass
            warn_of_a_short_run("mses", math.floor(self.patience) + 2, "patience", ctx)
        self.register_buffer(
            "previous", torch.full((len(modalities),), torch.nan, dtype=torch.float64)
        )
        self.register_buffer("best", torch.full((len(modalities),), torch.inf, dtype=torch.float64))
        self.register_buffer("best_epoch", torch.zeros(len(modalities), dtype=torch.int64))
        self.register_buffer("stopped", torch.zeros(len(modalities), dtype=torch.bool))
        self.parts = [
            (ctx.model.encoders[m], own_classifier(head, m)) for m in modalities
        ]  # a list: not its own
        self.snapshots = nn.ModuleList(Snapshot(*parts) for parts in self.parts)

    def on_epoch_start(self, ctx: Context) -> None:
        """Look at the epoch that has just ended."""
        if self.needs_holdout and ctx.epoch > 0 and ctx.holdout is not None:
            losses = table_means(ctx, ctx.holdout, sample_losses)[:-1]
            self.judge(losses, ctx.epoch)
            ctx.log(
                **{
                    f"held_out_loss/{m}": v
                    for m, v in zip(ctx.model.modalities, losses, strict=True)
                }
            )

    def judge(self, losses: Tensor, epoch: int) -> None:
        """Keep what is better than ever, and stop what has not been for too long.

        Args:
            losses: V (M,), NaN where nothing could be measured.
            epoch: e, the number of epochs finished.
        """
        before = torch.where(self.previous.isnan(), losses, self.previous)
        smooth = self.smoothing * before + (1 - self.smoothing) * losses
        better = (smooth < self.best) & ~self.stopped
        self.previous.copy_(losses)
        self.best.copy_(torch.where(better, smooth, self.best))
        self.best_epoch[better | losses.isnan()] = epoch
        late = (epoch - self.best_epoch > self.patience) & ~self.stopped
        self.stopped |= late
        for snapshot, improved, stops in zip(
            self.snapshots, better.tolist(), late.tolist(), strict=True
        ):
            assert isinstance(snapshot, Snapshot)
            if improved:
                snapshot.take()
            elif stops:
                snapshot.restore()
        self._known = None

    def active(self, ctx: Context) -> tuple[str, ...]:
        """The modalities that still train; those that do not are frozen."""
        if self._known is None:  # read from the device once an epoch, or after resuming
            stopped = self.stopped.tolist()
            for parts, stops in zip(self.parts, stopped, strict=True):
                for module in parts if stops else ():
                    module.requires_grad_(False)
            self._known = tuple(
                m for m, stops in zip(ctx.model.modalities, stopped, strict=True) if not stops
            )
        return self._known

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return auxiliary_loss(
            dict.fromkeys(self.active(ctx), float(self.weight)), output, batch, ctx
        )

    def step(self, batch: Batch, ctx: Context) -> None:
        active = self.active(ctx)
        for modality, parts in zip(ctx.model.modalities, self.parts, strict=True):
            if modality not in active:
                parts[0].eval()
        super().step(batch, ctx)
