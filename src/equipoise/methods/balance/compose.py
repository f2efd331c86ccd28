r"""Compose: one training scheme whose settings are MLA, LFM, MIE, late fusion and joint training.

Idea:
    The methods of one family are made of the same few ingredients. Each ingredient is an option
    here, so that they can be combined in other ways as well:

        ingredient         joint   late       MLA         LFM               MIE
        schedule           joint   joint      step        joint             phase
        loss               fused   separate   separate    fused             separate
        projection         none    none       orthogonal  none              flat
        flatness           none    none       none        none              sam
        alignment          none    none       none        infonce, α(epoch) none

    How the modalities meet at prediction is the head's affair: head `concat`, `shared` with
    entropy, `per-modality` with the mean, and so on. The papers are named in the files of MLA, LFM
    and MIE. Any number of modalities.

Equations:
    With $S$ the modalities that train at a time (all of them, or one), a step goes down

    $$L = (1 - \alpha) \, L_{CLS} + \alpha \, L_{MM} \qquad \text{(LFM, Eq. 1)}$$

    $L_{CLS}$ is $\mathrm{CE}(f, y)$ of the fused prediction, or $\sum_{m \in S} \mathrm{CE}(v_m,
    y)$ of separate ones. $L_{MM}$ is the mean alignment of the pairs with a modality in $S$. With
    `flatness: sam` the gradient is taken at $\theta + \epsilon^*$ (MIE, Eq. 3-4). The gradients of
    the head are then multiplied by $P$ (MLA, Eq. 3) or $T$ (MIE, Eq. 8).

    Three combinations mean something that no paper says:

    * An alignment while modalities train in turn pulls the one that trains towards the others,
      which stay as they are.
    * An orthogonal projection while all train together first remembers the features of every
      modality, and then projects the gradient of each classifier once.
    * A flat projection without phases is rebuilt for every modality at the start of each epoch but
      the first, and a modality is modified by the one before it in the order of declaration.

Where published code departs:
    There is no published code of the scheme; that of MLA, LFM and MIE departs as their files say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import choice, flag, inside, integer, not_negative, positive, require
from equipoise.evaluating import evaluating
from equipoise.heads.base import Head
from equipoise.heads.parts.checks import one_width
from equipoise.methods.baselines.late import update_apart
from equipoise.methods.parts.alignment import (
    ALIGNMENTS,
    DIVERGENCES,
    alignment_loss,
    require_partners,
)
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
from equipoise.methods.parts.schedules import SCHEDULES, VALUED, warn_of_schedule
from equipoise.methods.parts.schedules import schedule as weight_schedule
from equipoise.methods.parts.sharpness import backward_nearby
from equipoise.methods.parts.stages import turns
from equipoise.registry import Effect
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.phase import Phase

TURNS = ("joint", "step", "phase")
COMPOSED_LOSSES = ("auto", "fused", "separate")
PROJECTIONS = ("none", "orthogonal", "flat")
FLATNESS = ("none", "sam")


class HeadProjection(nn.Module):
    """No projection; the base of the others."""

    def setup(self, ctx: Context) -> None:
        """Allocate memory.

        Raises:
            ConfigError: the head does not suit.
        """

    def on_epoch_start(self, ctx: Context) -> None: ...

    def on_phase_end(self, ctx: Context) -> None: ...

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        """Change the gradients of the head.

        Args:
            moving: the modalities that train.
            output: of these.
            batch: the samples.
            ctx: holds the model.
        """


class OrthogonalProjection(HeadProjection):
    """MLA's P, one for the layers that read the features of any modality.

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
        weight = reading_weights(ctx.model.modalities, ctx.model.head)[0]
        self.memory = OrthogonalMemory(weight, normalize=self.normalize, order=self.order)

    def on_epoch_start(self, ctx: Context) -> None:
        ctx.log(**{"spectrum/shared": self.memory.spectrum()})

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        shown = [m for m in moving if ctx.anyone_has(m, batch)]
        means = [mean_rows(output.features[m], batch, m, ctx) for m in shown]
        alpha = alpha_at(self.alpha, ctx.position.batch, len(ctx.train))
        self.memory.modify(reading_weights(shown, ctx.model.head), means, alpha)


def reading_weights(modalities: Sequence[str], head: Head) -> list[Tensor]:
    """The weights that read the features of these modalities, each once.

    Modalities may share one, and a gradient must not be projected twice.
    """
    weights = [reading_layer(head, m).weight for m in modalities]
    return list({id(weight): weight for weight in weights}.values())


class FlatProjection(HeadProjection):
    """MIE's T of every layer of every modality's block of the head.

    A modality is modified by the one before it in the order of declaration.

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
        layers = {m: weighted_layers(block) for m, block in head.blocks.items()}
        self.memory = FlatMemory(layers, self.tau)

    def on_epoch_start(self, ctx: Context) -> None:
        if not self.in_phases and ctx.epoch > 0:
            self._collect(ctx)

    def on_phase_end(self, ctx: Context) -> None:
        if self.in_phases:
            self._collect(ctx)

    def modify(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> None:
        order = ctx.model.modalities
        if len(order) == 1:
            return  # the one before it would be itself
        for modality in moving:
            self.memory.modify(modality, order[order.index(modality) - 1])

    def _collect(self, ctx: Context) -> None:
        for modality in ctx.training:
            self.memory.collect(modality, ctx, statistic_loader(ctx, self.statistic_batch))
            ctx.log(**{f"spectrum/{modality}": self.memory.spectrum(modality, 0)})


def with_the_others(moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Output:
    """The output of the modalities that train, completed by features and logits of the others.

    Those of the others are taken in evaluation mode and without gradient: they stay as they are.
    """
    others = [m for m in ctx.model.modalities if m not in moving]
    if not others:
        return output
    with evaluating(ctx.model), torch.no_grad():
        still = ctx.model(batch, only=others)
    return Output(
        {**still.features, **output.features},
        {**still.logits, **output.logits},
        lambda: (output.fused, output.weights),
    )


class Compose(Method):
    """Any combination of the ingredients of MLA, LFM and MIE.

    Args:
        schedule: when a modality trains: "joint" (all at once), "step" (each in turn within a
            minibatch) or "phase" (each in turn for some epochs).
        loss: "fused" (of the fused prediction) or "separate" (each modality's own, summed where
            they train at once). "auto" is "fused" for the joint schedule and "separate" for the
            others, which allow no other.
        projection: of the gradient of the head: "none", "orthogonal" (MLA) or "flat" (MIE).
        flatness: "none", or "sam" for gradients at the worst point nearby (MIE).
        alignment: loss between modalities: "none", "infonce" (LFM), "js" or "kl-mean" (LFM's code).
        cycles: number of phases of every modality, each of epochs/cycles epochs.
        projection_alpha: α of the orthogonal projection, or "epoch-decay"; see method `mla`.
        projection_order: "current" or "previous"; see method `mla`.
        normalize_projection: divide P by its Frobenius norm; see method `mla`.
        tau: τ of the flat projection.
        statistic_batch: samples of a batch mean of the flat projection.
        rho: radius ρ of the perturbation of "sam".
        alpha: course of the weight α of the alignment over the epochs: "heuristic", "constant",
            "stepwise", "polynomial", "polynomial-printed" or "released"; see method `lfm`.
        alpha_value: α of "constant", p of "stepwise".
        temperature: τ of InfoNCE.
    """

    effect: ClassVar[Effect] = {
        "cycles": ("schedule", {"phase"}),
        "projection_alpha": ("projection", {"orthogonal"}),
        "projection_order": ("projection", {"orthogonal"}),
        "normalize_projection": ("projection", {"orthogonal"}),
        "tau": ("projection", {"flat"}),
        "statistic_batch": ("projection", {"flat"}),
        "rho": ("flatness", {"sam"}),
        "alpha": ("alignment", set(ALIGNMENTS)),
        "alpha_value": ("alpha", set(VALUED)),
        "temperature": ("alignment", {"infonce"}),
    }

    def __init__(
        self,
        schedule: str = "joint",
        loss: str = "auto",
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
        allowed = schedule == "joint" or loss != "fused"
        require(
            "Compose",
            choice("schedule", schedule, TURNS),
            choice("loss", loss, COMPOSED_LOSSES),
            ("loss", allowed, "separate where modalities train in turn", loss),
            choice("projection", projection, PROJECTIONS),
            choice("flatness", flatness, FLATNESS),
            choice("alignment", alignment, ("none", *ALIGNMENTS)),
            integer("cycles", cycles, 1),
            alpha_rule("projection_alpha", projection_alpha),
            choice("projection_order", projection_order, ORDERS),
            flag("normalize_projection", normalize_projection),
            not_negative("tau", tau),
            integer("statistic_batch", statistic_batch, 1),
            not_negative("rho", rho),
            choice("alpha", alpha, SCHEDULES),
            inside("alpha_value", alpha_value, "[0, 1]"),
            positive("temperature", temperature),
        )
        self.schedule = schedule
        self.separate = loss == "separate" or (loss == "auto" and schedule != "joint")
        self.flatness = flatness
        self.alignment = alignment
        self.cycles = cycles
        self.rho = rho
        self.course = alpha
        self.weight = weight_schedule(alpha, alpha_value)
        self.temperature = temperature
        self.projection = HeadProjection()
        if projection == "orthogonal":
            self.projection = OrthogonalProjection(
                projection_alpha, projection_order, normalize_projection
            )
        elif projection == "flat":
            self.projection = FlatProjection(tau, statistic_batch, schedule == "phase")
        self.modalities: tuple[str, ...] = ()

    def setup(self, ctx: Context) -> None:
        """Allocate the memory of the projection.

        Raises:
            ConfigError: the head or the features do not suit the ingredients.
        """
        head = ctx.model.head
        self.modalities = ctx.model.modalities
        if self.alignment != "none":
            require_partners("Compose", ctx, "set 'alignment' to none")
            warn_of_schedule(self.course, ctx.epochs)
        if self.separate:
            require_fused_classifiers("method 'compose' with separate losses", head, "sum")
        if self.alignment == "infonce":
            one_width("InfoNCE", head.widths)
        if self.alignment in DIVERGENCES and not self.separate:
            remedy = "use head 'concat' or 'sum', or 'alignment' infonce"
            owner = f"method 'compose' with alignment {self.alignment!r}"
            require_trained_classifiers(owner, head, remedy)
        self.projection.setup(ctx)

    def phases(self, epochs: int) -> Iterator[Phase]:
        if self.schedule == "phase":
            return turns(epochs, self.modalities, self.cycles)
        return super().phases(epochs)

    def on_epoch_start(self, ctx: Context) -> None:
        self.projection.on_epoch_start(ctx)
        if self.alignment != "none":
            ctx.log(alpha=self.alpha(ctx.training, ctx))

    def on_phase_end(self, ctx: Context) -> None:
        self.projection.on_phase_end(ctx)

    def step(self, batch: Batch, ctx: Context) -> None:
        """Take one update of all modalities that train together, or one for each in turn."""
        together = [(m,) for m in ctx.training] if self.schedule == "step" else [ctx.training]
        for moving in together:
            if any(ctx.anyone_has(m, batch) for m in moving):
                output = self.backward(moving, batch, ctx)
                self.projection.modify(moving, output, batch, ctx)
                self.update(moving, ctx)

    def backward(self, moving: Sequence[str], batch: Batch, ctx: Context) -> Output:
        """Back-propagate the loss of the modalities that train, at θ or θ + ε*.

        Returns:
            The output at θ.
        """
        output: Output = ctx.model(batch, only=moving)
        loss = self.total(moving, output, batch, ctx)
        if self.flatness == "none":
            ctx.backward(loss)
            return output
        groups = [ctx.model.group(m) for m in moving]
        own = [p for group in groups for p in (*group.encoder, *group.head)]
        moved = [p for p in (*own, *ctx.model.shared) if p.requires_grad]

        def loss_again() -> Tensor:
            return self.total(moving, ctx.model(batch, only=moving), batch, ctx)

        backward_nearby(loss_again, moved, ctx.gradient(loss, moved), self.rho, ctx)
        return output

    def update(self, moving: Sequence[str], ctx: Context) -> None:
        """Move the modalities that train, each by itself where no term of the loss joins them."""
        if self.separate and self.alignment == "none":
            update_apart(moving, ctx)
        else:
            ctx.update(moving)

    def total(self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """L () of the modalities that train, from their output."""
        alpha = self.alpha(moving, ctx)
        classification = self.classification(moving, output, batch, ctx)
        if self.alignment == "none" or alpha == 0:
            return classification
        pairs = [pair for pair in combinations(ctx.model.modalities, 2) if set(pair) & set(moving)]
        complete = with_the_others(moving, output, batch, ctx)
        matching = alignment_loss(self.alignment, complete, batch, ctx, self.temperature, pairs)
        return (1 - alpha) * classification + alpha * matching

    def alpha(self, moving: Sequence[str], ctx: Context) -> float:
        """α, over the epochs of a modality, whoever else trains in between."""
        return self.weight(ctx.trained(moving[0]) + 1, ctx.epochs)

    def classification(
        self, moving: Sequence[str], output: Output, batch: Batch, ctx: Context
    ) -> Tensor:
        """L_CLS ()."""
        if self.separate:
            return torch.stack([unimodal_loss(m, output, batch, ctx) for m in moving]).sum()
        return fused_loss(output, batch, ctx)
