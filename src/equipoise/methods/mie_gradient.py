"""MIE's gradient of one modality: where the loss is flat, where it stands, or between the two (Eq. 3-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from equipoise.methods.mixup import Blend
from equipoise.methods.sharpness import backward_nearby

if TYPE_CHECKING:
    from equipoise.training.context import Context

SAM = ("full", "head", "none")


def sharp_backward(modality: str, blend: Blend, ctx: Context, *, sam: str, rho: float, flat_weight: float) -> None:
    """The gradient at θ_j + ε*, mixed with the one at θ_j where `flat_weight` says so.

    Args:
        modality: j, the one that trains.
        blend: its samples, mixed or not.
        ctx: takes the gradients.
        sam: "full", "head" (only the head moves, and reads the features of the first pass again) or "none".
        rho: radius ρ of the perturbation.
        flat_weight: share of the gradient at θ_j + ε*.
    """

    def loss() -> Tensor:
        return blend.loss(modality, ctx.model(blend.batch, only=(modality,)), ctx)

    if sam == "none":
        ctx.backward(loss())
        return
    group = ctx.model.group(modality)
    moved = [p for p in (*group.encoder, *group.head) if p.requires_grad]
    output = ctx.model(blend.batch, only=(modality,))
    plain = ctx.gradient(blend.loss(modality, output, ctx), moved, retain_graph=sam == "head")

    def loss_of_head() -> Tensor:
        again = ctx.model.read(output.features, blend.batch.present, (modality,))
        return blend.loss(modality, again, ctx)

    if sam == "full":
        backward_nearby(loss, moved, plain, rho, ctx)
    else:
        backward_nearby(loss_of_head, group.head, plain[-len(group.head) :], rho, ctx)
    for parameter, gradient in zip(moved, plain, strict=True):
        if flat_weight < 1 and parameter.grad is not None:
            parameter.grad = flat_weight * parameter.grad + (1 - flat_weight) * gradient
