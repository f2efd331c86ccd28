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

    The last gradient is taken on samples held out from training: on training samples, as Eq. 2 is
    printed, the outer loss would reward overfitting (`outer_data: train`). The paper says neither
    where $\alpha$ starts nor how fast it moves. The start is that of the code. The speed is ours,
    chosen on the validation splits of `digits` and `av-digits`: an outer iteration moves $\alpha$
    by at most `alpha_reach` over their number, so that it changes gradually in a run of any length.

    The Hessian of a network is not positive, and Eq. 3 is the derivative of Eq. 2 at a minimum
    only. It is therefore solved with the Gauss-Newton matrix $G$, the Hessian without the second
    derivatives of logits and similarities, and a damping in proportion to its largest eigenvalue
    $\lambda$, which power iteration finds:

    $$(G + \delta I) \, v = \nabla L_{CLS}, \qquad \delta = \mathrm{damping} \cdot \lambda$$

    This is positive-definite, and conjugate gradients solve it within a few iterations. `minres`
    takes the Hessian itself, as Eq. 3 is printed, and minimises the residual, which needs no
    positive matrix. Neither matrix is ever formed: its products with vectors come from
    differentiating twice (Ghadimi, Wang. Approximation Methods for Bilevel Programming.
    arXiv:1802.02246, 2018). An epoch logs $\alpha$, $d\alpha$, the relative residual and the number
    of iterations.

Where published code departs:
    Eq. 3 has the product of the Hessian with ∇L_CLS
    instead of the inverse, and only the mean of the
    first parameter tensor's entries is used            not offered; `hypergradient: identity`
    α starts at 0.95 and stays in [0.05, 0.95]          `alpha_init`, `alpha_bounds`
    η_α = 1e-4, halved every 20 epochs                  `alpha_lr`, `alpha_halving`
    the outer set is one draw of 16 training samples,
    of which 8 serve, for all epochs; inner and outer
    gradient are both taken on them                     `outer_data: train`, `outer_batch_size: 8`,
                                                        drawn anew each time
    α moves before the epoch                            after it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from equipoise.batch import Batch
from equipoise.checks import choice, integer, is_number, not_negative, require
from equipoise.data.table.loader import Loader
from equipoise.errors import ConfigError
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.alignment import Softmax, alignment_softmaxes
from equipoise.methods.parts.losses import fused_loss
from equipoise.methods.parts.sharpness import frozen_statistics
from equipoise.registry import Effect
from equipoise.training.context import Context

Product = Callable[[Tensor], Tensor]
"""v (P,) → A v (P,) with a symmetric matrix A"""

SOLVERS = ("cg", "minres", "neumann", "identity")
GAUSS_NEWTON = frozenset({"cg", "neumann"})
"""The solvers that need a positive-definite matrix."""

OUTER_DATA = ("holdout", "train")

POWER_ITERATIONS = 5
"""Enough for the largest curvature to about a tenth, and only a fraction of it is used."""

SOLVED = 1e-3
"""The relative residual at which a solver stops: that of gradients of minibatches is far larger."""


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Run attention and recurrent layers by kernels that have a second derivative.

    Their fused kernels have none.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


@dataclass(frozen=True)
class Solution:
    """A solution of A v = b, as good as was found.

    Attributes:
        value: v (P,).
        residual: ‖A v − b‖ / ‖b‖; 1 for v = 0.
        iterations: products with A.
    """

    value: Tensor
    residual: Tensor
    iterations: int


def largest_curvature(product: Product, start: Tensor) -> Tensor:
    """Estimate the largest |eigenvalue| () of a matrix by power iteration, from below.

    Args:
        product: multiplies with the matrix.
        start: (P,); a gradient is mostly made of the directions of large curvature.
    """
    tiny = torch.finfo(start.dtype).tiny
    vector = start / start.norm().clamp_min(tiny)
    curvature = start.new_zeros(())
    for _ in range(POWER_ITERATIONS):
        image = product(vector)
        curvature = image.norm()
        vector = image / curvature.clamp_min(tiny)
    return curvature


def conjugate_gradients(product: Product, target: Tensor, *, iterations: int) -> Solution:
    """Solve A v = b of a positive-definite matrix.

    The solution is the iterate of least residual: within a fixed number of iterations, the residual
    of the last one may be larger.

    Args:
        product: multiplies with A.
        target: b (P,).
        iterations: at most.
    """
    solution = torch.zeros_like(target)
    residual = target.clone()
    direction = residual.clone()
    square = residual @ residual
    best, least = solution, square
    goal = square * SOLVED**2
    done = 0
    while done < iterations and square > goal:
        image = product(direction)
        curvature = direction @ image
        if curvature <= 0:
            break
        done += 1
        step = square / curvature
        solution = solution + step * direction
        residual = residual - step * image
        before = square
        square = residual @ residual
        if square < least:
            best, least = solution, square
        direction = residual + square / before * direction
    return Solution(best, _relative(least.sqrt(), target), done)


def minimal_residual(product: Product, target: Tensor, *, iterations: int) -> Solution:
    """Minimise ‖A v − b‖ of any symmetric matrix, so that no iteration makes it larger (MINRES).

    Paige, Saunders. Solution of Sparse Indefinite Systems of Linear Equations. SIAM J. Numer. Anal.
    12(4), 1975.

    Args:
        product: multiplies with A.
        target: b (P,).
        iterations: at most.
    """
    norm = target.norm()
    residual = norm
    solution = older = old = before = torch.zeros_like(target)
    vector = target / norm.clamp_min(torch.finfo(target.dtype).tiny)
    # The Lanczos process makes A tridiagonal, and rotations (c, s) make it triangular.
    zero = target.new_zeros(())
    cosine, sine, beta, delta, epsilon = zero - 1, zero, zero, zero, zero
    done = 0
    while done < iterations and residual > SOLVED * norm:
        image = product(vector)
        alpha = vector @ image
        image = image - alpha * vector - beta * before
        beta = image.norm()
        above = cosine * delta + sine * alpha
        diagonal = sine * delta - cosine * alpha
        delta = -cosine * beta
        radius = torch.hypot(diagonal, beta)
        if radius == 0:
            break
        done += 1
        step = (vector - above * old - epsilon * older) / radius
        epsilon = sine * beta
        cosine, sine = diagonal / radius, beta / radius
        solution = solution + cosine * residual * step
        residual = sine * residual
        older, old, before = old, step, vector
        vector = image / beta.clamp_min(torch.finfo(target.dtype).tiny)
    return Solution(solution, _relative(residual, target), done)


def neumann(product: Product, target: Tensor, *, terms: int, step: Tensor | float) -> Solution:
    """Terms of η Σ_k (I − η A)^k b, which tend to the solution for η below 2 / ‖A‖.

    Args:
        product: multiplies with A.
        target: b (P,).
        terms: their number.
        step: η.
    """
    term = target
    total = target.clone()
    for _ in range(terms - 1):
        term = term - step * product(term)
        total = total + term
    # A v − b = −(I − η A)^K b.
    last = term - step * product(term)
    return Solution(step * total, _relative(last.norm(), target), terms)


def _relative(residual: Tensor, target: Tensor) -> Tensor:
    relative: Tensor = residual / target.norm().clamp_min(torch.finfo(target.dtype).tiny)
    return relative


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """All entries (P,), one tensor after the other."""
    return torch.cat([t.reshape(-1) for t in tensors])


def hessian_product(
    loss_gradient: Tensor, parameters: Sequence[nn.Parameter], ctx: Context
) -> Product:
    """Products with the Hessian of a loss.

    Args:
        loss_gradient: of the loss (P,), with its graph.
        parameters: θ.
        ctx: averages over ranks.
    """

    def product(vector: Tensor) -> Tensor:
        return flatten(ctx.gradient(loss_gradient @ vector, parameters, retain_graph=True))

    return product


def gauss_newton_product(
    softmaxes: Sequence[Softmax], parameters: Sequence[nn.Parameter], ctx: Context
) -> Product:
    """Products with the Gauss-Newton matrix of a loss made of softmaxes, which is never negative.

    It is the Hessian without the second derivatives of the logits u: Σ Jᵀ (diag p − p pᵀ) J with
    J = du/dθ and p = softmax(u). That is the curvature of a cross-entropy in its logits, and of a
    divergence between two softmaxes where the other one stays as it is.

    Args:
        softmaxes: of the loss, with their graphs.
        parameters: θ.
        ctx: averages over ranks.
    """
    # The transposed product Jᵀ x is linear in x, so its derivative in x is the product J v.
    inputs = [torch.zeros_like(s.logits, requires_grad=True) for s in softmaxes]
    pairing = torch.stack([(s.logits * x).sum() for s, x in zip(softmaxes, inputs, strict=True)])
    transposed = flatten(ctx.gradient(pairing.sum(), parameters, create_graph=True))

    def product(vector: Tensor) -> Tensor:
        moved = torch.autograd.grad(
            transposed @ vector,
            inputs,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        total = vector.new_zeros(())
        for softmax, change in zip(softmaxes, moved, strict=True):
            p = softmax.logits.detach().softmax(1)
            curved = p * (change - (p * change).sum(1, keepdim=True))
            total = total + softmax.reduce((softmax.logits * curved).sum(1))
        return flatten(ctx.gradient(total, parameters, retain_graph=True))

    return product


def solve(
    solver: str, product: Product, target: Tensor, *, iterations: int, damping: float
) -> Solution:
    """Solve (A + δI) v = b, with δ a fraction of the largest curvature.

    Args:
        solver: "cg" and "neumann" for a positive matrix A, "minres" for any.
        product: multiplies with A.
        target: b (P,).
        iterations: at most.
        damping: δ over the largest curvature of A.
    """
    largest = largest_curvature(product, target)

    def damped(vector: Tensor) -> Tensor:
        return product(vector) + damping * largest * vector

    if solver == "cg":
        return conjugate_gradients(damped, target, iterations=iterations)
    if solver == "minres":
        return minimal_residual(damped, target, iterations=iterations)
    step = 1 / ((1 + damping) * largest).clamp_min(torch.finfo(target.dtype).tiny)
    return neumann(damped, target, terms=iterations, step=step)


def implicit_gradient(
    inner: tuple[Tensor, Tensor],
    softmaxes: tuple[Sequence[Softmax], Sequence[Softmax]],
    alpha: Tensor,
    outer: Tensor,
    parameters: Sequence[nn.Parameter],
    ctx: Context,
    *,
    solver: str = "cg",
    iterations: int = 10,
    damping: float = 0.1,
) -> tuple[Tensor, Solution]:
    """dα of Eq. 3: dL_out/dα for L = (1 − α) L_CLS + α L_MM, the same scalar on every rank.

    Args:
        inner: (L_CLS, L_MM) on a training batch, with their graphs.
        softmaxes: those of both.
        alpha: scalar.
        outer: L_CLS of Eq. 2, on other samples.
        parameters: θ.
        ctx: averages gradients and products over ranks.
        solver: "cg", "minres", "neumann", or "identity" (H ≈ I).
        iterations: K.
        damping: δ over the largest curvature.

    Returns:
        dα, and how the linear system was solved.
    """
    target = flatten(ctx.gradient(outer, parameters))
    exact = solver == "minres"
    classify, match = (
        flatten(ctx.gradient(loss, parameters, create_graph=exact, retain_graph=True))
        for loss in inner
    )
    if solver == "identity":
        solved = Solution(target, target.new_zeros(()), 0)
    else:
        if exact:
            product = hessian_product((1 - alpha) * classify + alpha * match, parameters, ctx)
        else:
            product = gauss_newton_product(_weighed(softmaxes, alpha), parameters, ctx)
        solved = solve(solver, product, target, iterations=iterations, damping=damping)
    return -((match - classify).detach() @ solved.value), solved


def _weighed(parts: tuple[Sequence[Softmax], Sequence[Softmax]], alpha: Tensor) -> list[Softmax]:
    """The softmaxes of L = (1 − α) L_CLS + α L_MM, from those of its two terms."""

    def scaled(softmax: Softmax, weight: Tensor) -> Softmax:
        return Softmax(softmax.logits, lambda rows: weight * softmax.reduce(rows))

    classify, match = parts
    return [scaled(s, 1 - alpha) for s in classify] + [scaled(s, alpha) for s in match]


class LFMLearned(Aligned):
    """LFM with α learned by bilevel optimisation.

    Args:
        hypergradient: how Eq. 3 is solved: "cg" (conjugate gradients on the Gauss-Newton matrix),
            "minres" (least residual with the Hessian itself), "neumann" (Neumann series of the
            Gauss-Newton matrix) or "identity" (the Hessian taken to be the identity).
        iterations: K, the largest number of iterations of the first three.
        damping: δ of the first three over the largest curvature.
        alpha_init: α at the start.
        alpha_bounds: [low, high], between which α stays.
        alpha_lr: η_α, the speed of α.
        alpha_halving: outer iterations after which η_α is halved; 0 for never.
        alpha_reach: the farthest that α can move in a whole run. An outer iteration moves it by at
            most this over the number of outer iterations; `.inf` for no limit.
        outer_data: samples of the outer loss: "holdout" (kept back from training) or "train" (the
            training samples, as Eq. 2 is printed).
        outer_every: steps from one outer iteration to the next; 0 for one at the end of each epoch.
        outer_batch_size: samples of the outer loss; 0 for as many as in a training batch.

    Attributes:
        alpha: ().
        outer_iterations: number of those done, int64 ().
    """

    effect: ClassVar[Effect] = {
        **Aligned.effect,
        "iterations": ("hypergradient", {"cg", "minres", "neumann"}),
        "damping": ("hypergradient", {"cg", "minres", "neumann"}),
    }

    # An outer iteration reads one batch: every further sample that is held out only trains less.
    holdout = 0.05
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
        damping: float = 0.1,
        alpha_init: float = 0.95,
        alpha_bounds: Sequence[float] = (0.0, 1.0),
        alpha_lr: float = 1.0,
        alpha_halving: int = 0,
        alpha_reach: float = 1.0,
        outer_data: str = "holdout",
        outer_every: int = 0,
        outer_batch_size: int = 0,
    ) -> None:
        super().__init__(alignment, temperature, loss_scale)
        require("LFMLearned", ("alpha_bounds", len(alpha_bounds) == 2, "two numbers", alpha_bounds))
        low, high = alpha_bounds
        ascending = 0 <= low <= high <= 1
        reaches = alpha_reach == math.inf or (is_number(alpha_reach) and alpha_reach > 0)
        require(
            "LFMLearned",
            choice("hypergradient", hypergradient, SOLVERS),
            integer("iterations", iterations, 1),
            not_negative("damping", damping),
            ("alpha_bounds", ascending, "two ascending numbers in [0, 1]", alpha_bounds),
            ("alpha_init", low <= alpha_init <= high, f"in [{low:g}, {high:g}]", alpha_init),
            not_negative("alpha_lr", alpha_lr),
            integer("alpha_halving", alpha_halving, 0),
            ("alpha_reach", reaches, "a positive number or .inf", alpha_reach),
            choice("outer_data", outer_data, OUTER_DATA),
            integer("outer_every", outer_every, 0),
            integer("outer_batch_size", outer_batch_size, 0),
        )
        self.solver = hypergradient
        self.iterations = iterations
        self.damping = damping
        self.alpha_bounds = (low, high)
        self.alpha_lr = alpha_lr
        self.alpha_halving = alpha_halving
        self.alpha_reach = alpha_reach
        self.outer_every = outer_every
        self.outer_batch_size = outer_batch_size
        self.needs_holdout = outer_data == "holdout"
        self.register_buffer("alpha", torch.tensor(float(alpha_init)))
        self.register_buffer("outer_iterations", torch.zeros((), dtype=torch.int64))

    def weight(self, ctx: Context) -> Tensor:
        # A copy: the buffer moves in place while a graph may still hold this value.
        return self.alpha.clone()

    def step(self, batch: Batch, ctx: Context) -> None:
        """Take a step on θ and, where an outer iteration ends, one on α."""
        super().step(batch, ctx)
        if (ctx.position.step + 1) % self.period(ctx) == 0:
            with ctx.passes.paused(), frozen_statistics(ctx.model), twice_differentiable():
                self.learn(ctx)

    def period(self, ctx: Context) -> int:
        """Steps from one outer iteration to the next."""
        return self.outer_every or len(ctx.train)

    def learn(self, ctx: Context) -> None:
        """Take a step on α by Eq. 3, on a training batch and a batch of the outer loss."""
        # Not the batch of the step before: that is the last of an epoch, which may be short.
        batch = self.draw(ctx.train, 0, ctx, stream=0)
        output = ctx.model(batch)
        classification = Softmax(
            output.fused, lambda rows: ctx.sample_mean(rows, None, batch.weight)
        )
        matching = alignment_softmaxes(self.alignment, output, batch, ctx, self.temperature)
        others = self.draw(self.outer_loader(ctx), self.outer_batch_size, ctx, stream=1)
        gradient, solved = implicit_gradient(
            self.terms(output, batch, ctx),
            ([classification], matching),
            self.alpha,
            fused_loss(ctx.model(others), others, ctx),
            [p for p in ctx.model.parameters() if p.requires_grad],
            ctx,
            solver=self.solver,
            iterations=self.iterations,
            damping=self.damping,
        )
        halved = self.outer_iterations // self.alpha_halving if self.alpha_halving else 0
        most = self.alpha_reach * self.period(ctx) / (ctx.epochs * len(ctx.train))
        move = (self.alpha_lr * 0.5**halved * gradient).clamp(-most, most)
        self.alpha.copy_((self.alpha - move).clamp(*self.alpha_bounds))
        self.outer_iterations += 1
        ctx.log(dalpha=gradient)
        if self.solver != "identity":
            ctx.log(residual=solved.residual, iterations=float(solved.iterations))

    def outer_loader(self, ctx: Context) -> Loader:
        """The samples of the outer loss.

        Raises:
            ConfigError: nothing was held out.
        """
        if not self.needs_holdout:
            return ctx.train
        if ctx.holdout is None:
            raise ConfigError(
                "method 'lfm-lb' learns α on held-out samples and there are none; set "
                "'data.holdout', or 'outer_data' to train"
            )
        return ctx.holdout

    def draw(self, loader: Loader, size: int, ctx: Context, stream: int) -> Batch:
        """A random batch of a table, another one at each outer iteration.

        Args:
            loader: of the table.
            size: of the batch; 0 for that of a training batch.
            ctx: knows the seed and the position.
            stream: batches of other streams are drawn independently.
        """
        fresh = loader.again(
            loader.table, size or ctx.train.batch_size, seed=ctx.seed + stream, shuffle=True
        )
        fresh.balanced = loader.balanced
        return next(ctx.batches(fresh, epoch=ctx.position.step))
