"""The loss of a trained network as a function of its weights, with its curvature.

Largest eigenvalue: Lanczos. An Iteration Method for the Solution of the Eigenvalue Problem. 1950.
Trace: Hutchinson. A Stochastic Estimator of the Trace of the Influence Matrix. 1990.
Worst loss nearby: Foret, Kleiner, Mobahi, Neyshabur. Sharpness-Aware Minimization. ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from equipoise.batch import Batch, Output
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.model import Model

FUSED = "fused"
BATCH = 256
"""Samples at a time."""

Loss = Callable[[], Tensor]
"""Computes a loss, with its graph, at the current weights."""
Product = Callable[[Sequence[Tensor]], list[Tensor]]
"""The product of a symmetric matrix with a vector, both as lists of tensors."""


class Objective:
    """Mean cross-entropy of a network over some samples, in evaluation mode.

    Args:
        model: the trained network; its weights are moved and put back.
        table: the samples, all with a label.
    """

    def __init__(self, model: Model, table: Table) -> None:
        self.model = model.eval()
        device = next(model.parameters()).device
        loader = Loader(table, BATCH, seed=0, shuffle=False)
        self.batches = [batch.to(device) for batch in loader.batches(epoch=0)]

    @property
    def parts(self) -> tuple[str, ...]:
        """The fused prediction, and the modalities that some sample has."""
        there = (m for m in self.model.modalities if any(b.counts[m] for b in self.batches))
        return (FUSED, *there)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """{"fused" or modality: mean loss}, in one pass."""
        totals = dict.fromkeys(self.parts, 0.0)
        counts = dict.fromkeys(self.parts, 0)
        for batch in self.batches:
            output = self.model(batch)
            for part in totals:
                found = _sample_losses(part, output, batch)
                totals[part] += float(found.double().sum())
                counts[part] += len(found)
        return {part: totals[part] / counts[part] for part in totals}

    def loss(self, part: str) -> Tensor:
        """The mean loss of one part, with its graph."""
        only = None if part == FUSED else (part,)
        found = [_sample_losses(part, self.model(b, only), b) for b in self.batches]
        return torch.cat(found).mean()

    def weights(self, part: str) -> list[nn.Parameter]:
        """The trained parameters that the loss of a part depends on."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(self.loss(part), trained, allow_unused=True)
        return [p for p, g in zip(trained, gradients, strict=True) if g is not None]


def _sample_losses(part: str, output: Output, batch: Batch) -> Tensor:
    """The losses (n,) of the samples that have the part."""
    if part == FUSED:
        return F.cross_entropy(output.fused, batch.label, reduction="none")
    here = batch.present[part]
    return F.cross_entropy(output.logits[part][here], batch.label[here], reduction="none")


@contextmanager
def moved(weights: Sequence[Tensor], offsets: Sequence[Tensor]) -> Iterator[None]:
    """Move weights for a while; afterwards they are what they were, bit for bit."""
    before = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for weight, offset in zip(weights, offsets, strict=True):
            weight.add_(offset)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Run attention and recurrent layers by kernels that have a second derivative."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def hessian_product(loss: Loss, weights: Sequence[nn.Parameter]) -> Product:
    """The product of the Hessian of a loss with vectors; its graph is built once."""
    with twice_differentiable():
        gradient = torch.autograd.grad(loss(), weights, create_graph=True)

    def product(vector: Sequence[Tensor]) -> list[Tensor]:
        with twice_differentiable():
            total = sum((g * v).sum() for g, v in zip(gradient, vector, strict=True))
            if not isinstance(total, Tensor) or not total.requires_grad:  # a linear loss
                return [torch.zeros_like(w) for w in weights]
            found = torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True)
        return [
            torch.zeros_like(w) if f is None else f for f, w in zip(found, weights, strict=True)
        ]

    return product


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return float(sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)))


def _combined(scale: float, a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """scale · a + b"""
    return [scale * x + y for x, y in zip(a, b, strict=True)]


def largest_eigenvalue(
    product: Product, like: Sequence[Tensor], generator: torch.Generator, iterations: int = 20
) -> float:
    """The largest eigenvalue of a symmetric matrix, by Lanczos with full reorthogonalisation.

    Args:
        product: multiplies with the matrix.
        like: tensors of the shapes of a vector.
        generator: draws the first vector.
        iterations: the largest number of products; more are closer.
    """
    vector = _normal(like, generator)
    vector = [v / max(_dot(vector, vector) ** 0.5, 1e-30) for v in vector]
    basis: list[list[Tensor]] = []
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(iterations, sum(t.numel() for t in like))):
        basis.append(vector)
        image = product(vector)
        diagonal.append(_dot(image, vector))
        for _ in range(2):  # twice is enough for vectors that are orthogonal to rounding
            for known in basis:
                image = _combined(-_dot(image, known), known, image)
        length = _dot(image, image) ** 0.5
        if length <= 1e-6 * max(abs(d) for d in diagonal) + 1e-30:
            break
        beside.append(length)
        vector = [x / length for x in image]
    size = len(diagonal)
    matrix = np.diag(diagonal) + np.diag(beside[: size - 1], 1) + np.diag(beside[: size - 1], -1)
    return float(np.linalg.eigvalsh(matrix)[-1])


def trace(
    product: Product, like: Sequence[Tensor], generator: torch.Generator, draws: int = 20
) -> tuple[float, float]:
    """The trace of a symmetric matrix by Hutchinson's estimate, and its standard error.

    Args:
        product: multiplies with the matrix.
        like: tensors of the shapes of a vector.
        generator: draws vectors of +1 and −1.
        draws: number of products.
    """
    found = []
    for _ in range(draws):
        signs = [
            (torch.randint(0, 2, t.shape, generator=generator) * 2 - 1).to(t.device, t.dtype)
            for t in like
        ]
        found.append(_dot(signs, product(signs)))
    error = float(np.std(found, ddof=1) / draws**0.5) if draws > 1 else float("nan")
    return float(np.mean(found)), error


def worst_nearby(
    loss: Loss,
    weights: Sequence[nn.Parameter],
    rho: float,
    generator: torch.Generator,
    steps: int = 10,
) -> float:
    """The largest loss that gradient ascent finds within a ball of radius ρ around the weights.

    Every step goes to the point of the ball in the direction of the gradient where it stands, the
    first one from a small random step. Of a quadratic bowl it finds the maximum, ½ ρ² times the
    largest eigenvalue above the minimum.

    Args:
        loss: at the current weights.
        weights: θ.
        rho: radius ρ, over all weights together.
        generator: draws the first step.
        steps: number of gradients.
    """
    offset = _normal(weights, generator)
    offset = [1e-2 * rho * o / max(_dot(offset, offset) ** 0.5, 1e-30) for o in offset]
    worst = float(loss().detach())
    for _ in range(steps):
        with moved(weights, offset):
            value = loss()
            gradient = torch.autograd.grad(value, weights)
        worst = max(worst, float(value.detach()))
        length = _dot(gradient, gradient) ** 0.5
        if length == 0:
            break
        offset = [rho * g / length for g in gradient]
    with moved(weights, offset), torch.no_grad():
        return max(worst, float(loss()))


def _normal(like: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    return [torch.randn(t.shape, generator=generator).to(t.device, t.dtype) for t in like]
