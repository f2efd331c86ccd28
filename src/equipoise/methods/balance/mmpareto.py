"""MMPareto: unimodal losses beside the fused one, their gradients combined without harm to either.

Wei, Hu. MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance. ICML 2024.
Code: github.com/GeWu-Lab/MMPareto_ICML2024

L = CE(f, y) + Σ_m CE(v_m, y) with a classifier v_m of its own for each modality. On each encoder
two gradients meet, g of the fused loss and u of the unimodal one, each a single vector over all the
encoder's parameters:

    a = 1/2 where g·u > 0, else argmin ‖a g + (1 − a) u‖ = (‖u‖² − g·u) / (‖g‖² + ‖u‖² − 2 g·u)
    h = 2a g + 2(1 − a) u                              2 keeps the sum g + u where they agree
    ĥ = γ ‖g + u‖ / ‖h‖ h                              restores the length that a conflict costs, and the noise in it

Since h is the shortest combination, a conflict leaves h·g ≥ 0 and h·u ≥ 0: a step along ĥ harms
neither loss. For the same reason the published max(1, ‖g + u‖ / ‖h‖) is the ratio itself. Heads
take the gradient of L. A modality has two objectives however many others there are.

Where codes depart, and are not followed: the published one rescales each tensor by a factor of its
own, after which neither inequality needs to hold, and divides 0 by 0 where the two gradients are
opposed; here there is one factor per encoder, and opposed gradients cancel. BalanceBenchmark reads
g and u after both were added up, and so never finds a conflict.

Under Adam a constant γ is divided out again; the directions are not. Cost: one forward pass and two
backward passes, for u, and for g + u together with the heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import positive, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method

EDGE = 1e-3  # share of a gradient beside which the other is zero


def dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Inner product of two gradients given tensor by tensor."""
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()


def share(gg: Tensor, uu: Tensor, gu: Tensor) -> Tensor:
    """a of the fused gradient, from ‖g‖², ‖u‖² and g·u; 0.5 where they agree, never quite 0 or 1."""
    shortest = (uu - gu) / (gg + uu - 2 * gu)
    inside = torch.where(gu >= gg, 1 - EDGE, torch.where(gu >= uu, EDGE, shortest))
    return torch.where(gu > 0, 0.5, inside)


def combine(
    fused: Sequence[Tensor], own: Sequence[Tensor], gamma: float
) -> tuple[list[Tensor], Tensor]:
    """ĥ of one encoder, and a.

    Args:
        fused: g, tensor by tensor.
        own: u, likewise.
        gamma: γ.
    """
    gg = dot(fused, fused)
    uu = dot(own, own)
    gu = dot(fused, own)
    a = share(gg, uu, gu)
    combined = [2 * a * g + 2 * (1 - a) * u for g, u in zip(fused, own, strict=True)]
    length = dot(combined, combined).sqrt()
    whole = (gg + uu + 2 * gu).clamp_min(0).sqrt()
    # What is left of two opposed gradients is rounding, which is not to be blown up to their
    # length.
    meant = length > torch.finfo(gg.dtype).eps ** 0.5 * (gg.sqrt() + uu.sqrt())
    restored = torch.where(meant & (gu <= 0), whole / length, 1.0)
    return [gamma * restored * h for h in combined], a


class MMPareto(Method):
    """Pareto combination of fused and unimodal gradients.

    Args:
        gamma: γ, factor on the encoders' gradients, positive; above 1 it adds to the noise of the
            steps.
    """

    compilable = False

    def __init__(self, gamma: float = 1.5) -> None:
        super().__init__()
        require("MMPareto", positive("gamma", gamma))
        self.gamma = gamma

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where the head has no classifier for each modality."""
        require_own_classifiers("mmpareto", ctx.model.head)

    def step(self, batch: Batch, ctx: Context) -> None:
        """One pass of the unimodal losses alone, one of everything, then the encoders' gradients are put together."""
        output = ctx.model(batch)
        shown = ctx.present_in(batch)
        trained = {m: [p for p in ctx.model.group(m).encoder if p.requires_grad] for m in shown}
        own = {
            m: ctx.gradient(unimodal_loss(m, output, batch, ctx), trained[m], retain_graph=True)
            for m in shown
            if trained[m]
        }
        ctx.backward(auxiliary_loss(dict.fromkeys(shown, 1.0), output, batch, ctx))
        for modality, u in own.items():
            total = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained[modality]]
            combined, a = combine([t - x for t, x in zip(total, u, strict=True)], u, self.gamma)
            for parameter, gradient in zip(trained[modality], combined, strict=True):
                if parameter.grad is not None:
                    parameter.grad = gradient
            ctx.log(**{f"fused_share/{modality}": a})
        ctx.update()
