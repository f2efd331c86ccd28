"""The implicit gradient of an outer loss through the minimum of an inner one (LFM, Eq. 3).

With θ*(α) = argmin_θ L(θ, α), dL_out/dα = −(∂²L/∂α∂θ)ᵀ [∂²L/∂θ²]⁻¹ ∂L_out/∂θ. The Hessian is never
formed: its products with vectors come from differentiating twice, and the linear system is solved
by iteration.

Ghadimi, Wang. Approximation Methods for Bilevel Programming. arXiv:1802.02246, 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

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
    """dL_out/dα for L = (1 − α) L_CLS + α L_MM, a scalar that is the same on every rank.

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
