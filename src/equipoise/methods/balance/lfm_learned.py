"""LFM-LB: LFM whose weight α is learned by bilevel optimisation.

Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap.
NeurIPS 2024.
Code: github.com/njustkmg/NeurIPS24-LFM

min over α in [0, 1] of L_CLS(θ*(α)) subject to θ*(α) = argmin (1 − α) L_CLS + α L_MM (Eq. 2). After
every outer iteration (Algorithm 1) α ← clip(α − η_α dα, 0, 1) with dα = −(∇L_MM − ∇L_CLS)ᵀ [∇²L]⁻¹
∇L_CLS (Eq. 3), the last gradient on samples held out from training: on the training batch itself
the outer loss would reward overfitting.

Where the published code departs from the paper:
  Eq. 3 has H · ∇L_CLS instead of the inverse, and only the mean of the
  first parameter tensor's entries is used                               not offered; `hypergradient: identity`
  α starts at 0.95, stays in [0.05, 0.95]                                `alpha_init`, `alpha_bounds`
  η_α = 1e-4, halved every 20 epochs                                     `alpha_lr`, `alpha_halving`
  the outer batch is 8 of every 16 training samples                      `outer_batch_size: 8`
The paper says neither where α starts nor how fast it moves: the start is the code's, the speed is
ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.batch import Batch
from equipoise.checks import choice, not_negative, only_where, or_default, positive, require, whole
from equipoise.errors import ConfigError
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.hypergradient import SOLVERS, implicit_gradient, twice_differentiable
from equipoise.methods.parts.losses import fused_loss
from equipoise.methods.parts.sharpness import frozen_statistics
from equipoise.training.context import Context


class LFMLearned(Aligned):
    """α learned on held-out samples.

    Args:
        hypergradient: "cg", "neumann" or "identity" (H ≈ I).
        iterations: K of the first two; null for 10.
        damping: δ that the first two add to the Hessian's diagonal; null for 0.01.
        neumann_step: η of the Neumann series, below 2 over the largest curvature; null for 0.1.
        alpha_init: where α starts.
        alpha_bounds: it stays between these.
        alpha_lr: η_α.
        alpha_halving: η_α is halved after this many outer iterations; 0 for never.
        outer_every: steps between two outer iterations; 0 for once an epoch.
        outer_batch_size: held-out samples of an outer iteration; 0 for as many as in a training
            batch.
    """

    needs_holdout = True
    compilable = False
    alpha: Tensor
    outer_iterations: Tensor

    def __init__(
        self,
        alignment: str = "infonce",
        temperature: float | None = None,
        loss_scale: float = 1.0,
        hypergradient: str = "cg",
        iterations: int | None = None,
        damping: float | None = None,
        neumann_step: float | None = None,
        alpha_init: float = 0.95,
        alpha_bounds: Sequence[float] = (0.0, 1.0),
        alpha_lr: float = 0.1,
        alpha_halving: int = 0,
        outer_every: int = 0,
        outer_batch_size: int = 0,
    ) -> None:
        super().__init__(alignment, temperature, loss_scale)
        require("LFMLearned", ("alpha_bounds", len(alpha_bounds) == 2, "two numbers", alpha_bounds))
        low, high = alpha_bounds
        solves = hypergradient != "identity"
        require(
            "LFMLearned",
            choice("hypergradient", hypergradient, SOLVERS),
            *only_where(
                "'hypergradient' is cg or neumann", solves, iterations=iterations, damping=damping
            ),
            *only_where(
                "'hypergradient' is neumann", hypergradient == "neumann", neumann_step=neumann_step
            ),
        )
        iterations = or_default(iterations, 10)
        damping = or_default(damping, 0.01)
        neumann_step = or_default(neumann_step, 0.1)
        require(
            "LFMLearned",
            whole("iterations", iterations, 1),
            not_negative("damping", damping),
            positive("neumann_step", neumann_step),
            (
                "alpha_bounds",
                0 <= low <= high <= 1,
                "two ascending numbers in [0, 1]",
                alpha_bounds,
            ),
            ("alpha_init", low <= alpha_init <= high, f"in [{low:g}, {high:g}]", alpha_init),
            not_negative("alpha_lr", alpha_lr),
            whole("alpha_halving", alpha_halving, 0),
            whole("outer_every", outer_every, 0),
            whole("outer_batch_size", outer_batch_size, 0),
        )
        self.solver = hypergradient
        self.iterations = iterations
        self.damping = damping
        self.neumann_step = neumann_step
        self.alpha_bounds = (low, high)
        self.alpha_lr = alpha_lr
        self.alpha_halving = alpha_halving
        self.outer_every = outer_every
        self.outer_batch_size = outer_batch_size
        self.register_buffer("alpha", torch.tensor(float(alpha_init)))
        self.register_buffer("outer_iterations", torch.zeros((), dtype=torch.int64))

    def weight(self, ctx: Context) -> Tensor:
        return (
            self.alpha.clone()
        )  # the buffer moves in place while a graph may still hold this value

    def step(self, batch: Batch, ctx: Context) -> None:
        """A step on θ, and at the end of an outer iteration one on α."""
        super().step(batch, ctx)
        if (ctx.position.step + 1) % (self.outer_every or len(ctx.train)) == 0:
            with ctx.passes.paused(), frozen_statistics(ctx.model), twice_differentiable():
                self.learn(batch, ctx)

    def learn(self, batch: Batch, ctx: Context) -> None:
        """Eq. 3 on this training batch and a held-out one, then a clipped step on α."""
        inner = self.terms(ctx.model(batch), batch, ctx)
        held_out = self.held_out(ctx)
        outer = fused_loss(ctx.model(held_out), held_out, ctx)
        gradient = implicit_gradient(
            inner,
            self.alpha,
            outer,
            [p for p in ctx.model.parameters() if p.requires_grad],
            ctx,
            solver=self.solver,
            iterations=self.iterations,
            damping=self.damping,
            step=self.neumann_step,
        )
        halved = self.outer_iterations // self.alpha_halving if self.alpha_halving else 0
        self.alpha.copy_(
            (self.alpha - self.alpha_lr * 0.5**halved * gradient).clamp(*self.alpha_bounds)
        )
        self.outer_iterations += 1

    def held_out(self, ctx: Context) -> Batch:
        """A new held-out batch for every outer iteration.

        Raises:
            ConfigError: nothing was held out.
        """
        if ctx.holdout is None:
            raise ConfigError(
                "method 'lfm-lb' learns α on held-out samples and there are none; set 'data.holdout'"
            )
        size = self.outer_batch_size or ctx.train.batch_size
        loader = ctx.holdout.again(ctx.holdout.table, size, seed=ctx.seed, shuffle=True)
        return next(ctx.batches(loader, epoch=ctx.position.step))
