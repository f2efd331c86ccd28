r"""LFM-LB: LFM whose weight α is learned by bilevel optimisation.

Yang, Wan, Jiang, Xu. Facilitating Multimodal Classification via Dynamically Learning Modality Gap.
NeurIPS 2024.
Code: github.com/njustkmg/NeurIPS24-LFM

Idea:
    The loss is that of LFM, $L = (1 - \alpha) L_{CLS} + \alpha L_{MM}$ (Eq. 1). Its weight is
    learned: it moves to where training with it leads to a better classification.

Equations:
    $$\min_{\alpha \in [0, 1]} L_{CLS}(\theta^*(\alpha)) \quad \text{with} \quad
    \theta^*(\alpha) = \arg\min_\theta \, (1 - \alpha) L_{CLS} + \alpha L_{MM}
    \qquad \text{(Eq. 2)}$$

    After every outer iteration (Algorithm 1), with $\eta_\alpha$ the speed of $\alpha$,

    $$\alpha \leftarrow \mathrm{clip}(\alpha - \eta_\alpha \, d\alpha, \, 0, \, 1)$$

    $$d\alpha = -(\nabla L_{MM} - \nabla L_{CLS})^\top \, [\nabla^2 L]^{-1} \, \nabla L_{CLS}
    \qquad \text{(Eq. 3)}$$

    The last gradient is taken on samples held out from training: on the training batch itself the
    outer loss would reward overfitting. The paper says neither where $\alpha$ starts nor how fast
    it moves. The start is that of the code, the speed is ours.

    The Hessian is never formed: its products with vectors come from differentiating twice, and the
    linear system is solved by iteration (Ghadimi, Wang. Approximation Methods for Bilevel
    Programming. arXiv:1802.02246, 2018).

Where published code departs:
    Eq. 3 has the product of the Hessian with ∇L_CLS
    instead of the inverse, and only the mean of the
    first parameter tensor's entries is used            not offered; `hypergradient: identity`
    α starts at 0.95 and stays in [0.05, 0.95]          `alpha_init`, `alpha_bounds`
    η_α = 1e-4, halved every 20 epochs                  `alpha_lr`, `alpha_halving`
    the outer batch is 8 of every 16 training samples   `outer_batch_size: 8`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from equipoise.batch import Batch
from equipoise.checks import choice, integer, not_negative, positive, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.losses import fused_loss
from equipoise.methods.parts.sharpness import frozen_statistics
from equipoise.registry import Effect
from equipoise.training.context import Context

Product = Callable[[Tensor], Tensor]
"""v (P,) → H v (P,)"""

SOLVERS = ("cg", "neumann", "identity")


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Run attention and recurrent layers by kernels that have a second derivative.

    Their fused kernels have none.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def conjugate_gradients(
    product: Product, target: Tensor, *, iterations: int, damping: float
) -> Tensor:
    """Solve (H + δI) v = target for v (P,).

    Iteration stops when the system is solved, after K iterations, or where the curvature is not
    positive.

    Args:
        product: multiplies with H.
        target: (P,).
        iterations: K.
        damping: δ.
    """
    solution = torch.zeros_like(target)
    residual = target.clone()
    direction = residual.clone()
    square = residual @ residual
    goal = square * torch.finfo(target.dtype).eps ** 2
    for _ in range(iterations):
        if square <= goal:
            break
        image = product(direction) + damping * direction
        curvature = direction @ image
        if curvature <= 0:
            break
        step = square / curvature
        solution = solution + step * direction
        residual = residual - step * image
        before = square
        square = residual @ residual
        direction = residual + square / before * direction
    return solution


def neumann(
    product: Product, target: Tensor, *, iterations: int, damping: float, step: float
) -> Tensor:
    """K terms of η Σ_k (I − η(H + δI))^k target, which tends to the solution v (P,).

    It does for η below 2 over the largest curvature.

    Args:
        product: multiplies with H.
        target: (P,).
        iterations: K.
        damping: δ.
        step: η.
    """
    term = target
    total = target.clone()
    for _ in range(iterations - 1):
        term = term - step * (product(term) + damping * term)
        total = total + term
    return step * total


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """All entries (P,), one tensor after the other."""
    return torch.cat([t.reshape(-1) for t in tensors])


def implicit_gradient(
    inner: tuple[Tensor, Tensor],
    alpha: Tensor,
    outer: Tensor,
    parameters: Sequence[nn.Parameter],
    ctx: Context,
    *,
    solver: str = "cg",
    iterations: int = 10,
    damping: float = 0.01,
    step: float = 0.1,
) -> Tensor:
    """dα of Eq. 3: dL_out/dα for L = (1 − α) L_CLS + α L_MM, the same scalar on every rank.

    Args:
        inner: (L_CLS, L_MM) on a training batch, with their graphs.
        alpha: scalar.
        outer: L_CLS on held-out samples.
        parameters: θ.
        ctx: averages gradients and products over ranks.
        solver: "cg", "neumann", or "identity" (H ≈ I).
        iterations: K.
        damping: δ, added to the Hessian's diagonal.
        step: η of the Neumann series.
    """
    target = flatten(ctx.gradient(outer, parameters))
    classify, match = (flatten(ctx.gradient(loss, parameters, create_graph=True)) for loss in inner)
    total = (1 - alpha) * classify + alpha * match

    def product(vector: Tensor) -> Tensor:
        return flatten(ctx.gradient(total @ vector, parameters, retain_graph=True))

    if solver == "cg":
        solved = conjugate_gradients(product, target, iterations=iterations, damping=damping)
    elif solver == "neumann":
        solved = neumann(product, target, iterations=iterations, damping=damping, step=step)
    else:
        solved = target
    return -((match - classify).detach() @ solved)


class LFMLearned(Aligned):
    """LFM with α learned on held-out samples.

    Args:
        hypergradient: how Eq. 3 is solved: "cg" (conjugate gradients), "neumann" (Neumann series)
            or "identity" (the Hessian taken to be the identity).
        iterations: K, the largest number of iterations of the first two.
        damping: δ that the first two add to the Hessian's diagonal.
        neumann_step: η of the Neumann series, below 2 over the largest curvature.
        alpha_init: α at the start.
        alpha_bounds: [low, high], between which α stays.
        alpha_lr: η_α, the speed of α.
        alpha_halving: outer iterations after which η_α is halved; 0 for never.
        outer_every: steps from one outer iteration to the next; 0 for one at the end of each epoch.
        outer_batch_size: held-out samples of an outer iteration; 0 for as many as in a training
            batch.

    Attributes:
        alpha: ().
        outer_iterations: number of those done, int64 ().
    """

    effect: ClassVar[Effect] = {
        **Aligned.effect,
        "iterations": ("hypergradient", {"cg", "neumann"}),
        "damping": ("hypergradient", {"cg", "neumann"}),
        "neumann_step": ("hypergradient", {"neumann"}),
    }

    needs_holdout = True
    compilable = False
    alpha: Tensor
    outer_iterations: Tensor

    def __init__(
        self,
        alignment: str = "infonce",
        temperature: float = 0.1,
        loss_scale: float = 1.0,
        hypergradient: str = "cg",
        iterations: int = 10,
        damping: float = 0.01,
        neumann_step: float = 0.1,
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
        ascending = 0 <= low <= high <= 1
        require(
            "LFMLearned",
            choice("hypergradient", hypergradient, SOLVERS),
            integer("iterations", iterations, 1),
            not_negative("damping", damping),
            positive("neumann_step", neumann_step),
            ("alpha_bounds", ascending, "two ascending numbers in [0, 1]", alpha_bounds),
            ("alpha_init", low <= alpha_init <= high, f"in [{low:g}, {high:g}]", alpha_init),
            not_negative("alpha_lr", alpha_lr),
            integer("alpha_halving", alpha_halving, 0),
            integer("outer_every", outer_every, 0),
            integer("outer_batch_size", outer_batch_size, 0),
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
        # A copy: the buffer moves in place while a graph may still hold this value.
        return self.alpha.clone()

    def step(self, batch: Batch, ctx: Context) -> None:
        """Take a step on θ and, where an outer iteration ends, one on α."""
        super().step(batch, ctx)
        if (ctx.position.step + 1) % (self.outer_every or len(ctx.train)) == 0:
            with ctx.passes.paused(), frozen_statistics(ctx.model), twice_differentiable():
                self.learn(batch, ctx)

    def learn(self, batch: Batch, ctx: Context) -> None:
        """Take a step on α by Eq. 3, on this training batch and a held-out one."""
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
        moved = self.alpha - self.alpha_lr * 0.5**halved * gradient
        self.alpha.copy_(moved.clamp(*self.alpha_bounds))
        self.outer_iterations += 1

    def held_out(self, ctx: Context) -> Batch:
        """The held-out batch of this outer iteration, another one each time.

        Raises:
            ConfigError: nothing was held out.
        """
        if ctx.holdout is None:
            raise ConfigError(
                "method 'lfm-lb' learns α on held-out samples and there are none; set "
                "'data.holdout'"
            )
        size = self.outer_batch_size or ctx.train.batch_size
        loader = ctx.holdout.again(ctx.holdout.table, size, seed=ctx.seed, shuffle=True)
        return next(ctx.batches(loader, epoch=ctx.position.step))
