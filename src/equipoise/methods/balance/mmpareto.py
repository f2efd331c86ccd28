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
    each tensor is rescaled by a factor of its own, at least 1, after which
    neither inequality needs to hold                                        `rescale: tensor`
    opposed gradients divide 0 by 0; here they cancel                       not offered
    BalanceBenchmark reads g and u after both were added up, and so never
    finds a conflict                                                        not offered
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import choice, positive, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.training.context import Context
from equipoise.training.method import Method

RESCALES = ("encoder", "tensor")
EDGE = 1e-3
"""The smallest weight that either gradient has in their combination."""


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
    total: Sequence[Tensor], own: Sequence[Tensor], gamma: float, rescale: str = "encoder"
) -> Tensor:
    """Turn the summed gradient of one encoder into the combined one.

    Both gradients are overwritten, so that no third one is held.

    Args:
        total: g + u, tensor by tensor; becomes ĥ.
        own: u, tensor by tensor; is used up.
        gamma: γ.
        rescale: "encoder" or "tensor", the part whose length is restored at once.

    Returns:
        The weight a ().
    """
    products = []
    for t, u in zip(total, own, strict=True):
        g = t - u
        products.append(torch.stack([g.square().sum(), u.square().sum(), (g * u).sum()]))
    gg, uu, gu = torch.stack(products, 1)
    a = fused_weight(gg.sum(), uu.sum(), gu.sum())
    wholes = []
    lengths = []
    for t, u in zip(total, own, strict=True):
        wholes.append(t.square().sum())
        t.sub_(u).mul_(2 * a).add_(u.mul_(2 * (1 - a)))
        lengths.append(t.square().sum())
    squares = torch.stack([torch.stack(wholes), torch.stack(lengths), gg, uu])
    if rescale == "encoder":
        squares = squares.sum(1, keepdim=True).expand(-1, len(total))
    whole, length, g_length, u_length = squares.sqrt()
    # Two opposed gradients leave nothing but rounding, which must not be enlarged to their length.
    meant = length > torch.finfo(gg.dtype).eps ** 0.5 * (g_length + u_length)
    # Of a whole encoder the ratio is at least 1 by itself, of a tensor it need not be.
    ratio = (whole / length).clamp_min(1)
    restored = torch.where(meant & (gu.sum() <= 0), ratio, 1.0)
    for t, factor in zip(total, restored, strict=True):
        t.mul_(gamma * factor)
    return a


class MMPareto(Method):
    """Pareto combination of fused and unimodal gradients.

    Args:
        gamma: γ, the factor on the encoders' gradients; above 1 it adds to the noise of the steps.
        rescale: part whose length is restored at once: the whole "encoder", or each "tensor" of it,
            as published.
    """

    compilable = False

    def __init__(self, gamma: float = 1.5, rescale: str = "encoder") -> None:
        super().__init__()
        require("MMPareto", positive("gamma", gamma), choice("rescale", rescale, RESCALES))
        self.gamma = gamma
        self.rescale = rescale

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
        for modality, gradients in own.items():
            pairs = [
                (p.grad, gradient)
                for p, gradient in zip(trained[modality], gradients, strict=True)
                if p.grad is not None
            ]
            if pairs:
                total, u = zip(*pairs, strict=True)
                a = combine_gradients(total, u, self.gamma, self.rescale)
                ctx.log(**{f"fused_share/{modality}": a})
        ctx.update()
