r"""CGGM: classifier-guided gradient modulation, by how fast each modality's classifier improves.

Guo, Jin, Chen, Zhao. Classifier-guided Gradient Modulation for Enhanced Multimodal Learning.
NeurIPS 2024.
Code: github.com/zrguo/CGGM

Idea:
    A classifier of its own watches the features of each modality, without training the encoder.
    Where its accuracy rises, the modality learns; the encoders of the others then get a larger
    gradient. A second term turns the fused classifier's weights of each modality towards those of
    its own classifier, the more so the larger its factor.

    The published factors compare the accuracies of two successive minibatches. The sum of the
    differences is often near 0 or negative: then the factors are in the millions, or turn a
    gradient around, and only clipping hides it. Here they compare running means, stay between 0 and
    $M$, and are all equal while nothing improves on the whole. `stabilised: false` is the published
    rule, for which set `optimiser.clip` 0.8.

    Any number of modalities. The factors multiply gradients, hence act under SGD; under Adam only
    their changes do, and there is a warning. The cost is that of joint training.

Equations:
    With $g_m$ the own classifier of modality $m$ on features through which no gradient passes, and
    $e_m(t)$ the running mean of its accuracy,

    $$\Delta_m = e_m(t) - e_m(t - 1) \qquad
    k_m = \frac{\sum_j \Delta_j - \Delta_m}{\sum_j \Delta_j}$$

    clipped to $[0, M]$, and $(M - 1) / M$ for all where $\sum_j \Delta_j \leq 0.001$. The gradient
    of encoder $m$ is multiplied by $\rho k_m$. With the factors of the step before, and $W_m$ and
    $V_m$ the weights of modality $m$ in the fused classifier and of its own,

    $$D = \frac{1}{M} \sum_m \left( | k_m | - k_m \cos (V_m, W_m) \right) \qquad
    L = \mathrm{CE}(f, y) + \lambda D + \sum_m \mathrm{CE}(g_m, y)$$

    where $V_m$ is constant in $D$. The defaults $\rho = 1.3$ and $\lambda = 0.2$ are those for
    IEMOCAP and MOSI; $\lambda$ is 0.05 for Food-101. With $\rho = \lambda = 0$ this is joint
    training. The authors report 75.38 on IEMOCAP; a rerun by others on CREMA-D was below joint
    training.

Where published code departs:
    differences of minibatches, without limits               `stabilised: false`
    the own classifier is a small transformer                not offered: it is linear
    the paper speaks of the angle between gradients, the
    code takes that between weights, as here                 not offered
    input projections before the encoders are not scaled     not offered
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import flag, not_negative, require
from equipoise.errors import ConfigError
from equipoise.heads.auxiliary import Auxiliary
from equipoise.methods.parts.idle import warn_of_scaling
from equipoise.methods.parts.losses import fused_loss, mean_loss
from equipoise.training.context import Context
from equipoise.training.method import Method

MOMENTUM = 0.9
"""Of the running mean of the accuracies."""

LEAST_GAIN = 1e-3
"""Sum of the differences up to which nothing improves."""


def factors(gain: Tensor, stabilised: bool) -> Tensor:
    """k (M,) of the differences Δ (M,) in accuracy, M ≥ 2."""
    count = len(gain)
    total = gain.sum()
    if not stabilised:
        return (total - gain) / (total + 1e-8)
    improves = total > LEAST_GAIN
    raw = (total - gain) / torch.where(improves, total, 1.0)
    return torch.where(improves, raw.clamp(0, count), (count - 1) / count)


def direction(k: Tensor, cosines: Tensor) -> Tensor:
    """D, a scalar, of the factors k (M,) and the cosines (M,)."""
    return (k.abs() - k * cosines).mean()


class CGGM(Method):
    """Classifier-guided gradient modulation.

    Args:
        rho: ρ, the size of the factors on the encoders' gradients; 0 for no factors.
        direction: λ, the weight of the term that turns the fused classifier; 0 for none.
        stabilised: compare running means within limits; false compares minibatches, as published.

    Attributes:
        accuracy: e (M,).
        factor: k (M,) of the last step; 0 before the first.
    """

    accuracy: Tensor
    factor: Tensor

    def __init__(self, rho: float = 1.3, direction: float = 0.2, stabilised: bool = True) -> None:
        super().__init__()
        require(
            "CGGM",
            not_negative("rho", rho),
            not_negative("direction", direction),
            flag("stabilised", stabilised),
        )
        self.rho = rho
        self.direction = direction
        self.stabilised = stabilised
        self.acts = bool(rho or direction)

    def setup(self, ctx: Context) -> None:
        """Check the head; warn where the factors do not act.

        Raises:
            ConfigError: the head has no own classifiers of the shape of the fused one.
        """
        self.head(ctx)
        like = next(ctx.model.parameters())
        self.register_buffer("accuracy", like.new_zeros(len(ctx.model.modalities)))
        self.register_buffer("factor", like.new_zeros(len(ctx.model.modalities)))
        if self.rho:
            warn_of_scaling("method 'cggm'", ctx)

    def head(self, ctx: Context) -> Auxiliary:
        """The model's head.

        Raises:
            ConfigError: it has no own classifiers of the shape of the fused one.
        """
        head = ctx.model.head
        if not isinstance(head, Auxiliary) or head.own_only(head.modalities[0]) is None:
            raise ConfigError(
                "method 'cggm' compares a classifier of each modality with the fused one, and "
                f"{type(head).__name__} has no such pairs; use head 'auxiliary'"
            )
        return head

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        loss = fused_loss(output, batch, ctx)
        if not self.acts:
            return loss
        head = self.head(ctx)
        shown = ctx.present_in(batch)
        # A rank without such a sample takes part in the exchange all the same.
        for modality in shown:
            own = head.unimodal(modality, output.features[modality].detach())
            loss = loss + mean_loss(own, batch, ctx, batch.present[modality])
        if self.direction and len(shown) > 1:
            cosines = torch.stack([self.cosine(m, head) for m in shown])
            loss = loss + self.direction * direction(self.factor[self.rows(shown, ctx)], cosines)
        return loss

    def cosine(self, modality: str, head: Auxiliary) -> Tensor:
        """cos(V, W), a scalar, of one modality."""
        block = head.blocks[modality]
        own: Tensor = block.own.weight  # type: ignore[union-attr, assignment]
        fused: Tensor = block.weight  # type: ignore[assignment]
        return F.cosine_similarity(own.detach().flatten(), fused.flatten(), dim=0)

    def rows(self, shown: list[str], ctx: Context) -> list[int]:
        """Numbers of modalities."""
        return [ctx.model.modalities.index(m) for m in shown]

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        """Measure the accuracies of this batch, and multiply the encoders' gradients."""
        shown = ctx.present_in(batch)
        if not self.acts or not shown:
            return
        right = [
            ctx.sample_mean(
                (output.logits[m].argmax(1) == batch.label).to(output.fused.dtype),
                batch.present[m],
            )
            for m in shown
        ]
        rows = self.rows(shown, ctx)
        now = ctx.mean(torch.stack(right)).to(self.accuracy.dtype)
        before = self.accuracy[rows]
        after = MOMENTUM * before + (1 - MOMENTUM) * now if self.stabilised else now
        self.accuracy[rows] = after
        if len(shown) < 2:
            return
        k = factors(after - before, self.stabilised)
        self.factor[rows] = k
        ctx.log(**{f"factor/{m}": value for m, value in zip(shown, k, strict=True)})
        if self.rho:
            for modality, value in zip(shown, k, strict=True):
                for parameter in ctx.model.group(modality).encoder:
                    if parameter.grad is not None:
                        scale = (self.rho * value).to(parameter.grad.dtype)
                        parameter.grad = parameter.grad * scale
