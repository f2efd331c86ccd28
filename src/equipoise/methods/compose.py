"""Compose: one training scheme of which MLA, LFM, MIE, late fusion and joint training are settings.

    ingredient        joint   late       MLA          LFM                 MIE
    schedule          joint   joint      step         joint               phase
    loss              fused   separate   (separate)   fused               (separate)
    head projection   none    none       orthogonal   none                flat
    flatness          none    none       none         none                sam
    alignment         none    none       none         infonce, α(epoch)   none
    fusion            the head's option: concat, shared with entropy, per-modality with the mean, …

The ingredients are those of `head_projection`, `sharpness`, `alignment` and `schedules`; the papers are named in
`mla`, `lfm` and `mie`. What a combination means where no paper says so:
  * an alignment while modalities train in turn pulls the one in hand towards the others as they stand;
  * an orthogonal projection while all train together remembers every modality's features, then projects each
    classifier's gradient once;
  * a flat projection outside phases is rebuilt for every modality at the start of each epoch but the first, and a
    modality is modified by the one before it in the order of declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from equipoise.batch import Batch
from equipoise.checks import or_default
from equipoise.methods.alignment import require_partners
from equipoise.methods.base import Method, Phase
from equipoise.methods.compose_objective import Objective
from equipoise.methods.compose_options import LOSS, check_options
from equipoise.methods.head_projection import FlatProjection, HeadProjection, OrthogonalProjection
from equipoise.methods.schedules import schedule as weight_schedule
from equipoise.methods.stages import turns

if TYPE_CHECKING:
    from equipoise.training.context import Context


class Compose(Method):
    """Any combination of the family's ingredients.

    Args:
        schedule: "joint" (all modalities at once), "step" (each in turn within a minibatch) or "phase" (each in turn
            for some epochs).
        loss: "fused" (on the fused prediction) or "separate" (each modality's own, summed where they train at once);
            null for fused if the schedule is joint. Modalities that train in turn have separate losses only.
        projection: of the head's gradient: "none", "orthogonal" or "flat".
        flatness: "none" or "sam".
        alignment: "none", "infonce" or "js".
        cycles: how often every modality has a phase; null for 3.
        projection_alpha: α of the orthogonal projection, or "epoch-decay", see `mla`; null for 0.1.
        projection_order: "current" or "previous", see `mla`; null for "current".
        normalize_projection: see `mla`.
        tau: τ of the flat projection; null for 0.4.
        statistic_batch: batch size of its statistic; null for 12.
        rho: radius of the flatness perturbation; null for 0.05.
        alpha: weight of the alignment over the epochs: "heuristic", "constant", "stepwise" or "polynomial"; null for
            "heuristic".
        alpha_value: α of "constant", p of "stepwise"; null for 0.5.
        temperature: τ of InfoNCE; null for 0.1.
    """

    def __init__(
        self,
        schedule: str = "joint",
        loss: str | None = None,
        projection: str = "none",
        flatness: str = "none",
        alignment: str = "none",
        cycles: int | None = None,
        projection_alpha: float | str | None = None,
        projection_order: str | None = None,
        normalize_projection: bool = False,
        tau: float | None = None,
        statistic_batch: int | None = None,
        rho: float | None = None,
        alpha: str | None = None,
        alpha_value: float | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        check_options(
            schedule=schedule,
            loss=loss,
            projection=projection,
            flatness=flatness,
            alignment=alignment,
            cycles=cycles,
            projection_alpha=projection_alpha,
            projection_order=projection_order,
            normalize_projection=normalize_projection,
            tau=tau,
            statistic_batch=statistic_batch,
            rho=rho,
            alpha=alpha,
            alpha_value=alpha_value,
            temperature=temperature,
        )
        strength = 0.1 if projection_alpha is None else projection_alpha
        order = or_default(projection_order, "current")
        weights = weight_schedule(or_default(alpha, "heuristic"), or_default(alpha_value, 0.5))
        separate = or_default(loss, LOSS[schedule]) == "separate"
        self.turns, self.cycles = schedule, or_default(cycles, 3)
        projections: dict[str, Callable[[], HeadProjection]] = {
            "none": HeadProjection,
            "orthogonal": partial(OrthogonalProjection, strength, order, normalize_projection),
            "flat": partial(
                FlatProjection, or_default(tau, 0.4), or_default(statistic_batch, 12), schedule == "phase"
            ),
        }
        self.projection = projections[projection]()
        self.rho = or_default(rho, 0.05) if flatness == "sam" else None
        self.objective = Objective(separate, alignment, or_default(temperature, 0.1), weights)
        self.modalities: tuple[str, ...] = ()

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of the projection.

        Raises:
            ConfigError: the head or the features do not suit the ingredients.
        """
        if self.objective.alignment != "none":
            require_partners("Compose", ctx, "set 'alignment' to none")
        self.modalities = ctx.model.modalities
        self.objective.setup(ctx)
        self.projection.setup(ctx)

    def phases(self, epochs: int) -> Iterator[Phase]:
        if self.turns == "phase":
            return turns(epochs, self.modalities, self.cycles)
        return super().phases(epochs)

    def on_epoch_start(self, ctx: Context) -> None:
        self.projection.on_epoch_start(ctx)
        self.objective.on_epoch_start(ctx)

    def on_phase_end(self, ctx: Context) -> None:
        self.projection.on_phase_end(ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        """One update of all modalities that train together, or one for each."""
        for moving in [(m,) for m in ctx.training] if self.turns == "step" else [ctx.training]:
            if any(ctx.anyone_has(m, batch) for m in moving):
                output = self.objective.backward(moving, batch, ctx, rho=self.rho)
                self.projection.modify(moving, output, batch, ctx)
                self.objective.update(moving, ctx)
