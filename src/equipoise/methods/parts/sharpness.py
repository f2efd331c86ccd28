"""Sharpness-aware minimisation: the gradient at the worst point nearby (Foret et al. 2021; MIE Eq. 3-4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from equipoise.training.context import Context


def perturbation(gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    """ε* = ρ ∇L / ‖∇L‖₂ with the norm over all parameters together; zero where the gradient is."""
    norm = torch.stack([g.norm() for g in gradients]).norm()
    scale = rho / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    return [g * scale for g in gradients]


@contextmanager
def perturbed(parameters: Sequence[nn.Parameter], offsets: Sequence[Tensor]) -> Iterator[None]:
    """Stand at θ + ε; afterwards θ is what it was, bit for bit."""
    before = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter, offset in zip(parameters, offsets, strict=True):
            parameter.add_(offset)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch normalisation uses the batch's statistics without remembering them: the second pass must not count."""
    norms = [
        m
        for m in module.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def backward_nearby(
    loss: Callable[[], Tensor],
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor],
    rho: float,
    ctx: Context,
) -> None:
    """The backward pass of the loss at θ + ε*, where ε* follows these gradients of these parameters at θ."""
    with perturbed(parameters, perturbation(gradients, rho)), frozen_statistics(ctx.model):
        ctx.backward(loss())
