"""Compose: one training scheme of which MLA, LFM, MIE, late fusion and joint training are settings.

    ingredient        joint   late       MLA          LFM                 MIE
    schedule          joint   joint      step         joint               phase
    loss              fused   separate   (separate)   fused               (separate)
    head projection   none    none       orthogonal   none                flat
    flatness          none    none       none         none                sam
    alignment         none    none       none         infonce, α(epoch)   none
    fusion            the head's option: concat, shared with entropy, per-modality with the mean, …

The ingredients are those of `head_projection`, `sharpness`, `alignment` and `schedules`; the papers
are named in `mla`, `lfm` and `mie`. What a combination means where no paper says so:
  * an alignment while modalities train in turn pulls the one in hand towards the others as they
    stand;
  * an orthogonal projection while all train together remembers every modality's features, then
    projects each classifier's gradient once;
  * a flat projection outside phases is rebuilt for every modality at the start of each epoch but
    the first, and a modality is modified by the one before it in the order of declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import (
    choice,
    false_unless,
    flag,
    inside,
    not_negative,
    only_where,
    optional,
    or_default,
    positive,
    require,
    whole,
)
from equipoise.evaluating import evaluating
from equipoise.heads.base import Head
from equipoise.heads.parts.checks import one_width
from equipoise.methods.baselines.late import update_apart
from equipoise.methods.parts.alignment import KINDS, alignment_loss, require_partners
from equipoise.methods.parts.auxiliary import require_fused_classifiers, require_trained_classifiers
from equipoise.methods.parts.losses import fused_loss, unimodal_loss
from equipoise.methods.parts.projection.flat import FlatMemory, statistic_loader
from equipoise.methods.parts.projection.layers import (
    reading_layer,
    require_head_per_modality,
    weighted_layers,
)
from equipoise.methods.parts.projection.orthogonal import (
    ORDERS,
    OrthogonalMemory,
    alpha_at,
    alpha_rule,
    mean_rows,
)
from equipoise.methods.parts.schedules import SCHEDULES, VALUED, Schedule
from equipoise.methods.parts.schedules import schedule as weight_schedule
from equipoise.methods.parts.sharpness import backward_nearby
from equipoise.methods.parts.stages import turns
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase


class HeadProjection(nn.Module):
    """No projection; the base of the others."""

    def setup(self, ctx: Context) -> None:
        """Allocate memory; raises ConfigError where the head does not suit."""

    def on_epoch_start(self, ctx: Context) -> None: ...

    def on_phase_end(self, ctx: Context) -> None: ...

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        """Change the head's gradients of the modalities in hand; `output` is theirs."""


class OrthogonalProjection(HeadProjection):
    """One P for the layers that read the features of any modality.

    Args:
        alpha: α of MLA's Eq. 5, or "epoch-decay".
        order: "current" or "previous".
        normalize: divide P by its Frobenius norm.
    """

    memory: OrthogonalMemory

    def __init__(self, alpha: float | str, order: str, normalize: bool) -> None:
        super().__init__()
        self.alpha = alpha
        self.order = order
        self.normalize = normalize

    def setup(self, ctx: Context) -> None:
        one_width("the orthogonal projection", ctx.model.head.widths)
        weight = readers(ctx.model.modalities, ctx.model.head)[0]
        self.memory = OrthogonalMemory(weight, normalize=self.normalize, order=self.order)

    def on_epoch_start(self, ctx: Context) -> None:
        ctx.log(**{"spectrum/shared": self.memory.spectrum()})

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        shown = [m for m in moving if ctx.anyone_has(m, batch)]
        means = [mean_rows(output.features[m], batch, m, ctx) for m in shown]
        alpha = alpha_at(self.alpha, ctx.position.batch, len(ctx.train))
        self.memory.modify(readers(shown, ctx.model.head), means, alpha)


class FlatProjection(HeadProjection):
    """T of every linear layer of every modality's block of the head; the one before it modifies a
    modality.

    Args:
        tau: τ of MIE's Eq. 7.
        statistic_batch: samples of a batch mean.
        in_phases: rebuild T at the end of a phase; otherwise at the start of each epoch but the
            first.
    """

    memory: FlatMemory

    def __init__(self, tau: float, statistic_batch: int, in_phases: bool) -> None:
        super().__init__()
        self.tau = tau
        self.statistic_batch = statistic_batch
        self.in_phases = in_phases

    def setup(self, ctx: Context) -> None:
        head = ctx.model.head
        require_head_per_modality("projection 'flat'", head)
        self.memory = FlatMemory(
            {m: weighted_layers(block) for m, block in head.blocks.items()}, self.tau
        )

    def on_epoch_start(self, ctx: Context) -> None:
        if not self.in_phases and ctx.epoch > 0:
            self._collect(ctx)

    def on_phase_end(self, ctx: Context) -> None:
        if self.in_phases:
            self._collect(ctx)

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        order = ctx.model.modalities
        if len(order) > 1:
            for modality in moving:
                self.memory.modify(modality, order[order.index(modality) - 1])

    def _collect(self, ctx: Context) -> None:
        for modality in ctx.training:
            self.memory.collect(modality, ctx, statistic_loader(ctx, self.statistic_batch))
            ctx.log(**{f"spectrum/{modality}": self.memory.spectrum(modality, 0)})


def readers(modalities: Sequence[str], head: Head) -> list[Tensor]:
    """The weights that read these modalities' features, each once."""
    weights = [reading_layer(head, m).weight for m in modalities]
    return list({id(w): w for w in weights}.values())


ALIGNMENTS = ("none", *KINDS)


@dataclass(frozen=True)
class Objective:
    """(1 − α) classification + α alignment, whichever modalities are in hand.

    Attributes:
        separate: classify by each modality's own prediction instead of the fused one.
        alignment: one of ALIGNMENTS.
        temperature: τ of InfoNCE.
        weight: α over the epochs of a modality, whoever else trains in between.
    """

    separate: bool
    alignment: str
    temperature: float
    weight: Schedule

    def update(self, moving: Sequence[str], ctx: Context) -> None:
        """Move the modalities in hand, each by itself where no term of the loss has more than one."""
        if self.separate and self.alignment == "none":
            update_apart(moving, ctx)
        else:
            ctx.update(moving)

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where InfoNCE is to compare features of different widths, or the head does not suit."""
        if self.separate:
            require_fused_classifiers(
                "method 'compose' with separate losses", ctx.model.head, "sum"
            )
        if self.alignment == "infonce":
            one_width("InfoNCE", ctx.model.head.widths)
        elif self.alignment == "js" and not self.separate:
            remedy = "use head 'concat' or 'sum', or 'alignment' infonce"
            require_trained_classifiers(
                "method 'compose' with alignment 'js'", ctx.model.head, remedy
            )

    def on_epoch_start(self, ctx: Context) -> None:
        if self.alignment != "none":
            ctx.log(alpha=self._alpha(ctx.training, ctx))

    def backward(
        self, moving: Sequence[str], batch: Batch, ctx: Context, *, rho: float | None
    ) -> Output:
        """Gradients of the modalities in hand, at θ or with a radius ρ at θ + ε*; the output at θ."""
        output: Output = ctx.model(batch, only=moving)
        loss = self(moving, output, batch, ctx)
        if rho is None:
            ctx.backward(loss)
            return output
        groups = [ctx.model.group(m) for m in moving]
        mine = [*(p for group in groups for p in (*group.encoder, *group.head)), *ctx.model.shared]
        moved = [p for p in mine if p.requires_grad]

        def loss_again() -> Tensor:
            return self(moving, ctx.model(batch, only=moving), batch, ctx)

        backward_nearby(loss_again, moved, ctx.gradient(loss, moved), rho, ctx)
        return output

    def __call__(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """The scalar to minimise; `output` is that of the modalities in hand."""
        alpha = self._alpha(moving, ctx)
        if self.alignment == "none" or alpha == 0:
            return self._task(moving, output, batch, ctx)
        pairs = [pair for pair in combinations(ctx.model.modalities, 2) if set(pair) & set(moving)]
        whole = beside(moving, output, batch, ctx)
        matching = alignment_loss(self.alignment, whole, batch, ctx, self.temperature, pairs)
        return (1 - alpha) * self._task(moving, output, batch, ctx) + alpha * matching

    def _alpha(self, moving: Sequence[str], ctx: Context) -> float:
        return self.weight(ctx.trained(moving[0]) + 1, ctx.epochs)

    def _task(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        if self.separate:
            return torch.stack([unimodal_loss(m, output, batch, ctx) for m in moving]).sum()
        return fused_loss(output, batch, ctx)


def beside(moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Output:
    """The output with the modalities not in hand beside it, as they stand: in eval mode and without gradient."""
    others = [m for m in ctx.model.modalities if m not in moving]
    if not others:
        return output
    with evaluating(ctx.model), torch.no_grad():
        there = ctx.model(batch, only=others)
    return replace(
        output,
        features={**there.features, **output.features},
        logits={**there.logits, **output.logits},
    )


LOSS = {"joint": "fused", "step": "separate", "phase": "separate"}
"""{schedule: the loss unless told otherwise}"""

TURNS = tuple(LOSS)
LOSSES = ("fused", "separate")
PROJECTIONS = ("none", "orthogonal", "flat")
FLATNESS = ("none", "sam")


def check_options(
    *,
    schedule: str,
    loss: str | None,
    projection: str,
    flatness: str,
    alignment: str,
    cycles: int | None,
    projection_alpha: float | str | None,
    projection_order: str | None,
    normalize_projection: bool,
    tau: float | None,
    statistic_batch: int | None,
    rho: float | None,
    alpha: str | None,
    alpha_value: float | None,
    temperature: float | None,
) -> None:
    """Raises ConfigError for a value that cannot be, or an option that has no effect beside the others."""
    orthogonal = "'projection' is orthogonal", projection == "orthogonal"
    require(
        "Compose",
        choice("schedule", schedule, TURNS),
        choice("projection", projection, PROJECTIONS),
        choice("flatness", flatness, FLATNESS),
        choice("alignment", alignment, ALIGNMENTS),
        flag("normalize_projection", normalize_projection),
        *only_where("'schedule' is phase", schedule == "phase", cycles=cycles),
        *only_where(
            *orthogonal, projection_alpha=projection_alpha, projection_order=projection_order
        ),
        false_unless("normalize_projection", normalize_projection, *orthogonal),
        *only_where(
            "'projection' is flat", projection == "flat", tau=tau, statistic_batch=statistic_batch
        ),
        *only_where("'flatness' is sam", flatness == "sam", rho=rho),
        *only_where("'alignment' is infonce or js", alignment != "none", alpha=alpha),
        *only_where("'alignment' is infonce", alignment == "infonce", temperature=temperature),
        *optional(choice("alpha", alpha, SCHEDULES)),
        *only_where("'alpha' is constant or stepwise", alpha in VALUED, alpha_value=alpha_value),
        *optional(choice("loss", loss, LOSSES)),
        (
            "loss",
            schedule == "joint" or loss != "fused",
            "separate where modalities train in turn",
            loss,
        ),
        *optional(whole("cycles", cycles, 1)),
        *([] if projection_alpha is None else [alpha_rule("projection_alpha", projection_alpha)]),
        *optional(choice("projection_order", projection_order, ORDERS)),
        *optional(not_negative("tau", tau)),
        *optional(whole("statistic_batch", statistic_batch, 1)),
        *optional(not_negative("rho", rho)),
        *optional(inside("alpha_value", alpha_value, "[0, 1]")),
        *optional(positive("temperature", temperature)),
    )


class Compose(Method):
    """Any combination of the family's ingredients.

    Args:
        schedule: "joint" (all modalities at once), "step" (each in turn within a minibatch) or
            "phase" (each in turn for some epochs).
        loss: "fused" (on the fused prediction) or "separate" (each modality's own, summed where
            they train at once); null for fused if the schedule is joint. Modalities that train in
            turn have separate losses only.
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
        alpha: weight of the alignment over the epochs: "heuristic", "constant", "stepwise" or
            "polynomial"; null for "heuristic".
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
        self.turns = schedule
        self.cycles = or_default(cycles, 3)
        projections: dict[str, Callable[[], HeadProjection]] = {
            "none": HeadProjection,
            "orthogonal": partial(OrthogonalProjection, strength, order, normalize_projection),
            "flat": partial(
                FlatProjection,
                or_default(tau, 0.4),
                or_default(statistic_batch, 12),
                schedule == "phase",
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
