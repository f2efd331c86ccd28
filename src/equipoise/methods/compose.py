"""Compose: one training scheme of which MLA, LFM, MIE, late fusion and joint training are settings.

    ingredient        joint   late       MLA          LFM                 MIE
    schedule          joint   joint      step         joint               phase
    loss              fused   separate   (separate)   fused               (separate)
    head projection   none    none       orthogonal   none                flat
    flatness          none    none       none         none                sam
    alignment         none    none       none         infonce, α(epoch)   none
    fusion            the head's option: concat, shared with entropy, per-modality with the mean, …

The ingredients are those of `projections`, `sharpness`, `alignment` and `schedules`; the papers are named in `mla`,
`lfm` and `mie`. What a combination means where no paper says so:
  * an alignment while modalities train in turn pulls the one in hand towards the others as they stand;
  * an orthogonal projection while all train together remembers every modality's features, then projects each
    classifier's gradient once;
  * a flat projection outside phases is rebuilt for every modality at the start of each epoch but the first, and a
    modality is modified by the one before it in the order of declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import invalid
from equipoise.methods.alignment import KINDS, alignment_loss, check_widths
from equipoise.methods.base import Method, Phase
from equipoise.methods.head_projection import FlatProjection, HeadProjection, OrthogonalProjection
from equipoise.methods.losses import fused_loss, unimodal_loss
from equipoise.methods.mie import spread
from equipoise.methods.mla import EPOCH_DECAY
from equipoise.methods.schedules import SCHEDULES
from equipoise.methods.schedules import schedule as weight_schedule
from equipoise.methods.sharpness import frozen_statistics, perturbation, perturbed

if TYPE_CHECKING:
    from equipoise.training.context import Context


TURNS = ("joint", "step", "phase")
LOSSES = ("fused", "separate")
PROJECTIONS = ("none", "orthogonal", "flat")
FLATNESS = ("none", "sam")
ORDERS = ("current", "previous")


class Compose(Method):
    """Any combination of the family's ingredients.

    Args:
        schedule: "joint" (all modalities at once), "step" (each in turn within a minibatch) or "phase" (each in turn
            for some epochs).
        loss: of a joint schedule: "fused" (on the fused prediction) or "separate" (the sum of the modalities' own);
            modalities that train in turn have their own loss.
        projection: of the head's gradient: "none", "orthogonal" or "flat".
        flatness: "none" or "sam".
        alignment: "none", "infonce" or "js".
        cycles: how often every modality has a phase.
        projection_alpha: α of the orthogonal projection, or "epoch-decay".
        projection_order: "current" or "previous", see `mla`.
        normalize_projection: see `mla`.
        tau: τ of the flat projection.
        statistic_batch: batch size of its statistic.
        rho: radius of the flatness perturbation.
        alpha: weight of the alignment over the epochs: "heuristic", "constant", "stepwise" or "polynomial".
        alpha_value: α of "constant", p of "stepwise".
        temperature: τ of InfoNCE.
    """

    def __init__(
        self,
        schedule: str = "joint",
        loss: str = "fused",
        projection: str = "none",
        flatness: str = "none",
        alignment: str = "none",
        cycles: int = 3,
        projection_alpha: float | str = 0.1,
        projection_order: str = "current",
        normalize_projection: bool = False,
        tau: float = 0.4,
        statistic_batch: int = 12,
        rho: float = 0.05,
        alpha: str = "heuristic",
        alpha_value: float = 0.5,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        decay = projection_alpha == EPOCH_DECAY
        checks = [
            ("schedule", schedule in TURNS, "one of " + ", ".join(TURNS), schedule),
            ("loss", loss in LOSSES, "one of " + ", ".join(LOSSES), loss),
            ("projection", projection in PROJECTIONS, "one of " + ", ".join(PROJECTIONS), projection),
            ("flatness", flatness in FLATNESS, "one of " + ", ".join(FLATNESS), flatness),
            ("alignment", alignment in ("none", *KINDS), "one of " + ", ".join(("none", *KINDS)), alignment),
            ("cycles", cycles >= 1, "at least 1", cycles),
            ("projection_order", projection_order in ORDERS, "one of " + ", ".join(ORDERS), projection_order),
            ("tau", tau >= 0, "at least 0", tau),
            ("statistic_batch", statistic_batch >= 1, "at least 1", statistic_batch),
            ("rho", rho >= 0, "at least 0", rho),
            ("alpha", alpha in SCHEDULES, "one of " + ", ".join(SCHEDULES), alpha),
            ("alpha_value", 0 <= alpha_value <= 1, "in [0, 1]", alpha_value),
            ("temperature", temperature > 0, "positive", temperature),
        ]
        for name, good, expectation, found in checks:
            if not good:
                raise invalid("Compose", name, expectation, found)
        if not decay and (isinstance(projection_alpha, str) or not projection_alpha > 0):
            raise invalid("Compose", "projection_alpha", f"a positive number or {EPOCH_DECAY!r}", projection_alpha)
        self.turns, self.separate, self.cycles = schedule, loss == "separate" or schedule != "joint", cycles
        projections: dict[str, Callable[[], HeadProjection]] = {
            "none": HeadProjection,
            "orthogonal": partial(OrthogonalProjection, projection_alpha, projection_order, normalize_projection),
            "flat": partial(FlatProjection, tau, statistic_batch, schedule == "phase"),
        }
        self.projection = projections[projection]()
        self.sharp, self.rho = flatness == "sam", rho
        self.alignment, self.temperature = alignment, temperature
        self.weight = weight_schedule(alpha, alpha_value)
        self.modalities: tuple[str, ...] = ()

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of the projection.

        Raises:
            ConfigError: the head or the feature widths do not suit the ingredients.
        """
        self.modalities = ctx.model.modalities
        if self.alignment == "infonce":
            check_widths("InfoNCE", ctx)
        self.projection.setup(ctx)

    def phases(self, epochs: int) -> Iterator[Phase]:
        if self.turns == "phase":
            yield from (Phase(n, (m,)) for n in spread(epochs, self.cycles) for m in self.modalities)
        else:
            yield Phase(epochs)

    def on_epoch_start(self, ctx: Context) -> None:
        self.projection.on_epoch_start(ctx)
        if self.alignment != "none":
            ctx.log(alpha=self.weight(ctx.epoch + 1, ctx.epochs))

    def on_phase_end(self, ctx: Context) -> None:
        self.projection.on_phase_end(ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        """One update of all modalities that train together, or one for each."""
        for moving in [(m,) for m in ctx.training] if self.turns == "step" else [ctx.training]:
            if any(ctx.anyone_has(m, batch) for m in moving):
                output = self._backward(moving, batch, ctx)
                self.projection.modify(moving, output, batch, ctx)
                ctx.update(moving)

    def _backward(self, moving: tuple[str, ...], batch: Batch, ctx: Context) -> Output:
        """Gradients of the modalities in hand, at θ or at θ + ε*; the output at θ."""
        output: Output = ctx.model(batch, only=moving)
        loss = self._loss(moving, output, batch, ctx)
        if not self.sharp:
            ctx.backward(loss)
            return output
        groups = [ctx.model.group(m) for m in moving]
        mine = [*(p for group in groups for p in (*group.encoder, *group.head)), *ctx.model.shared]
        moved = [p for p in mine if p.requires_grad]
        offsets = perturbation(ctx.gradient(loss, moved), self.rho)
        with perturbed(moved, offsets), frozen_statistics(ctx.model):
            ctx.backward(self._loss(moving, ctx.model(batch, only=moving), batch, ctx))
        return output

    def _loss(self, moving: tuple[str, ...], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """(1 − α) classification + α alignment."""
        alpha = self.weight(ctx.epoch + 1, ctx.epochs)
        if self.alignment == "none" or alpha == 0:
            return self._task(moving, output, batch, ctx)
        pairs = [pair for pair in combinations(self.modalities, 2) if set(pair) & set(moving)]
        whole = self._beside(moving, output, batch, ctx)
        matching = alignment_loss(self.alignment, whole, batch, ctx, self.temperature, pairs)
        return (1 - alpha) * self._task(moving, output, batch, ctx) + alpha * matching

    def _task(self, moving: tuple[str, ...], output: Output, batch: Batch, ctx: Context) -> Tensor:
        if self.separate:
            return torch.stack([unimodal_loss(m, output, batch, ctx) for m in moving]).sum()
        return fused_loss(output, batch, ctx)

    def _beside(self, moving: tuple[str, ...], output: Output, batch: Batch, ctx: Context) -> Output:
        """The output with the modalities not in hand beside it, as they stand: in eval mode and without gradient."""
        others = [m for m in self.modalities if m not in moving]
        if not others:
            return output
        was_training = ctx.model.training
        ctx.model.eval()
        with torch.no_grad():
            there = ctx.model(batch, only=others)
        ctx.model.train(was_training)
        return replace(
            output, features={**there.features, **output.features}, logits={**there.logits, **output.logits}
        )
