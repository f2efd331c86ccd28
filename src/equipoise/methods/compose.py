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

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError, invalid
from equipoise.heads.base import Head
from equipoise.methods.alignment import KINDS, alignment_loss, check_widths
from equipoise.methods.base import Method, Phase
from equipoise.methods.losses import fused_loss, unimodal_loss
from equipoise.methods.mie import spread
from equipoise.methods.mla import EPOCH_DECAY, alpha_at
from equipoise.methods.projections import (
    FlatMemory,
    OrthogonalMemory,
    mean_rows,
    reading_layer,
    statistic_loader,
    weighted_layers,
)
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
        self.projection, self.projection_alpha = projection, projection_alpha
        self.projection_order, self.normalize_projection = projection_order, normalize_projection
        self.tau, self.statistic_batch = tau, statistic_batch
        self.sharp, self.rho = flatness == "sam", rho
        self.alignment, self.temperature = alignment, temperature
        self.weight = weight_schedule(alpha, alpha_value)
        self.modalities: tuple[str, ...] = ()
        self.orthogonal: OrthogonalMemory | None = None
        self.flat: FlatMemory | None = None

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of the projection.

        Raises:
            ConfigError: the head or the feature widths do not suit the ingredients.
        """
        head = ctx.model.head
        self.modalities = head.modalities
        if self.alignment == "infonce":
            check_widths("InfoNCE", ctx)
        if self.projection == "orthogonal":
            check_widths("the orthogonal projection", ctx)
            (weight, *_) = self._readers(head.modalities, head)
            self.orthogonal = OrthogonalMemory(
                weight, normalize=self.normalize_projection, order=self.projection_order
            )
        if self.projection == "flat":
            if set(head.blocks) != set(head.modalities):
                raise ConfigError(
                    f"projection 'flat' needs a head per modality, and {type(head).__name__} is none; "
                    "use head 'per-modality' or 'late'"
                )
            self.flat = FlatMemory({m: weighted_layers(block) for m, block in head.blocks.items()}, self.tau)

    def phases(self, epochs: int) -> Iterator[Phase]:
        if self.turns == "phase":
            yield from (Phase(n, (m,)) for n in spread(epochs, self.cycles) for m in self.modalities)
        else:
            yield Phase(epochs)

    def on_epoch_start(self, ctx: Context) -> None:
        if self.flat is not None and self.turns != "phase" and ctx.epoch > 0:
            self._collect(ctx)
        if self.orthogonal is not None:
            ctx.log(**{"spectrum/shared": self.orthogonal.spectrum()})
        if self.alignment != "none":
            ctx.log(alpha=self.weight(ctx.epoch + 1, ctx.epochs))

    def on_phase_end(self, ctx: Context) -> None:
        if self.flat is not None and self.turns == "phase":
            self._collect(ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        """One update of all modalities that train together, or one for each."""
        for moving in [(m,) for m in ctx.training] if self.turns == "step" else [ctx.training]:
            if any(ctx.anyone_has(m, batch) for m in moving):
                output = self._backward(moving, batch, ctx)
                self._project(moving, output, batch, ctx)
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

    def _project(self, moving: tuple[str, ...], output: Output, batch: Batch, ctx: Context) -> None:
        if self.orthogonal is not None:
            shown = [m for m in moving if ctx.anyone_has(m, batch)]
            means = [mean_rows(output.features[m], batch, m, ctx) for m in shown]
            alpha = alpha_at(self.projection_alpha, ctx.position.batch, len(ctx.train))
            self.orthogonal.modify(self._readers(shown, ctx.model.head), means, alpha)
        if self.flat is not None and len(self.modalities) > 1:
            for modality in moving:
                self.flat.modify(modality, self.modalities[self.modalities.index(modality) - 1])

    def _readers(self, modalities: Sequence[str], head: Head) -> list[Tensor]:
        """The weights that read these modalities' features, each once."""
        weights = [reading_layer(head, m).weight for m in modalities]
        return list({id(w): w for w in weights}.values())

    def _collect(self, ctx: Context) -> None:
        """Rebuild T of the modalities in training."""
        assert self.flat is not None
        for modality in ctx.training:
            self.flat.collect(modality, ctx, statistic_loader(ctx, self.statistic_batch))
            ctx.log(**{f"spectrum/{modality}": self.flat.spectrum(modality, 0)})
