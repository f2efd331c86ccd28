"""Sharpness-aware minimisation: the gradient at the worst point nearby (MIE, Eq. 3-4).

Foret, Kleiner, Mobahi, Neyshabur. Sharpness-Aware Minimization for Efficiently Improving
Generalization. ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from equipoise.training.context import Context


def perturbation(
    gradients: Sequence[Tensor], rho: float, *, per_tensor: bool = False
) -> list[Tensor]:
    """ε* = ρ ∇L / ‖∇L‖₂; zero for a zero gradient.

    Args:
        gradients: ∇L, a tensor for each parameter.
        rho: ρ.
        per_tensor: the norm is that of each tensor by itself (MIE's published code), not that of
            all together.
    """
    norms = torch.stack([g.norm() for g in gradients])
    norms = norms if per_tensor else norms.norm().expand_as(norms)
    scales = rho / norms.clamp_min(torch.finfo(norms.dtype).tiny)
    return [g * scale for g, scale in zip(gradients, scales, strict=True)]


@contextmanager
def perturbed(parameters: Sequence[nn.Parameter], offsets: Sequence[Tensor]) -> Iterator[None]:
    """Move to θ + ε for a while; afterwards θ is what it was, bit for bit."""
    before = [p.data for p in parameters]
    # Other tensors take the place of the weights, which nobody changes meanwhile: that takes one
    # pass over them, where a copy and its way back take three.
    for parameter, value, offset in zip(parameters, before, offsets, strict=True):
        parameter.data = value + offset
    try:
        yield
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.data = value


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Normalise by the statistics of the batch without adding them to the running ones.

    A second pass over the same batch must not count twice.
    """
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
    *,
    per_tensor: bool = False,
) -> None:
    """Back-propagate the loss at θ + ε*.

    Args:
        loss: computes the loss at the current weights.
        parameters: θ.
        gradients: ∇L at θ, which give ε*.
        rho: radius ρ of the perturbation.
        ctx: takes the gradients.
        per_tensor: see `perturbation`.
    """
    offsets = perturbation(gradients, rho, per_tensor=per_tensor)
    with perturbed(parameters, offsets), frozen_statistics(ctx.model):
        ctx.backward(loss())
