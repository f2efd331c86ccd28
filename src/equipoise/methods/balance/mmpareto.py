r"""MMPareto: unimodal losses beside the fused one, their gradients combined without harm to either.

Wei, Hu. MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance. ICML 2024.
Code: github.com/GeWu-Lab/MMPareto_ICML2024

Idea:
    Unimodal losses help the encoders, but their gradients can conflict with that of the fused loss.
    Where the two agree they are added. Where they conflict, the shortest convex combination is
    taken, along which a step harms neither loss; then its length is restored, and with it the noise
    of the steps.

    A modality has two objectives however many others there are. Under Adam a constant $\gamma$ is
    divided out again, the directions are not. A step costs one forward pass and two backward
    passes: one for $u$, and one for $g + u$ together with the heads.

Equations:
    With a classifier $v_m$ of its own for each modality,

    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y)$$

    On each encoder two gradients meet, $g$ of the fused loss and $u$ of the unimodal one, each a
    single vector over all the encoder's parameters. Where $g \cdot u > 0$, $a = 1/2$; otherwise

    $$a = \arg\min \lVert a g + (1 - a) u \rVert
    = \frac{\lVert u \rVert^2 - g \cdot u}{\lVert g \rVert^2 + \lVert u \rVert^2 - 2 \, g \cdot u}$$

    $$h = 2 a g + 2 (1 - a) u \qquad
    \hat h = \gamma \, \frac{\lVert g + u \rVert}{\lVert h \rVert} \, h$$

    The factor 2 keeps the sum $g + u$ where the two agree. Since $h$ is the shortest combination, a
    conflict leaves $h \cdot g \geq 0$ and $h \cdot u \geq 0$. For the same reason the published
    factor $\max(1, \lVert g + u \rVert / \lVert h \rVert)$ is the ratio itself. The heads take the
    gradient of $L$.

Where published code departs:
    each tensor is rescaled by a factor of its own, after which neither
    inequality needs to hold; here there is one factor per encoder          not offered
    opposed gradients divide 0 by 0; here they cancel                       not offered
    BalanceBenchmark reads g and u after both were added up, and so never
    finds a conflict                                                        not offered
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

EDGE = 1e-3
"""The smallest weight that either gradient has in their combination."""


def dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Inner product of two gradients given tensor by tensor."""
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()


def fused_weight(gg: Tensor, uu: Tensor, gu: Tensor) -> Tensor:
    """The weight a of the fused gradient: 0.5 where the two agree, and never quite 0 or 1.

    Args:
        gg: ‖g‖².
        uu: ‖u‖².
        gu: g·u.
    """
    shortest = (uu - gu) / (gg + uu - 2 * gu)
    inside = torch.where(gu >= gg, 1 - EDGE, torch.where(gu >= uu, EDGE, shortest))
    return torch.where(gu > 0, 0.5, inside)


def combine_gradients(
    fused: Sequence[Tensor], own: Sequence[Tensor], gamma: float
) -> tuple[list[Tensor], Tensor]:
    """The combined gradient of one encoder.

    Args:
        fused: g, tensor by tensor.
        own: u, tensor by tensor.
        gamma: γ.

    Returns:
        ĥ, tensor by tensor, and the weight a.
    """
    gg = dot(fused, fused)
    uu = dot(own, own)
    gu = dot(fused, own)
    a = fused_weight(gg, uu, gu)
    combined = [2 * a * g + 2 * (1 - a) * u for g, u in zip(fused, own, strict=True)]
    length = dot(combined, combined).sqrt()
    whole = (gg + uu + 2 * gu).clamp_min(0).sqrt()
    # Two opposed gradients leave nothing but rounding, which must not be enlarged to their length.
    meant = length > torch.finfo(gg.dtype).eps ** 0.5 * (gg.sqrt() + uu.sqrt())
    restored = torch.where(meant & (gu <= 0), whole / length, 1.0)
    return [gamma * restored * h for h in combined], a


class MMPareto(Method):
    """Pareto combination of fused and unimodal gradients.

    Args:
        gamma: γ, the factor on the encoders' gradients; above 1 it adds to the noise of the steps.
    """

    compilable = False

    def __init__(self, gamma: float = 1.5) -> None:
        super().__init__()
        require("MMPareto", positive("gamma", gamma))
        self.gamma = gamma

    def setup(self, ctx: Context) -> None:
        """Check the head.

        Raises:
            ConfigError: it has no classifier for each modality.
        """
        require_own_classifiers("mmpareto", ctx.model.head)

    def step(self, batch: Batch, ctx: Context) -> None:
        """Take the unimodal gradients, then those of all losses, and combine them per encoder."""
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
            combined, a = combine_gradients(
                [t - x for t, x in zip(total, u, strict=True)], u, self.gamma
            )
            for parameter, gradient in zip(trained[modality], combined, strict=True):
                if parameter.grad is not None:
                    parameter.grad = gradient
            ctx.log(**{f"fused_share/{modality}": a})
        ctx.update()
