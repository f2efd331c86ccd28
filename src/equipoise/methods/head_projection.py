"""When the projections act on a head's gradient, whatever the head and the schedule: the projections of `compose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.heads.base import Head
from equipoise.heads.checks import one_width
from equipoise.methods.flat_memory import FlatMemory, statistic_loader
from equipoise.methods.orthogonal_memory import OrthogonalMemory, alpha_at, mean_rows
from equipoise.methods.projected_layers import reading_layer, require_head_per_modality, weighted_layers

if TYPE_CHECKING:
    from equipoise.training.context import Context


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
    """T of every linear layer of every modality's block of the head; the one before it modifies a modality.

    Args:
        tau: τ of MIE's Eq. 7.
        statistic_batch: samples of a batch mean.
        in_phases: rebuild T at the end of a phase; otherwise at the start of each epoch but the first.
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
        self.memory = FlatMemory({m: weighted_layers(block) for m, block in head.blocks.items()}, self.tau)

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
