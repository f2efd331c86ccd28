"""Gradients of the whole batch, whichever rank holds its samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from equipoise.training.runtime import Runtime


def average_gradients(parameters: Iterable[nn.Parameter], runtime: Runtime) -> None:
    """Replace every `grad` by its mean over ranks.

    A gradient that is None on every rank stays None, so that the optimiser does not move its
    parameter: momentum and weight decay would.

    Args:
        parameters: the same on every rank, in the same order.
        runtime: this process among the ranks.
    """
    if runtime.world == 1:
        return
    asked = [p for p in parameters if p.requires_grad]
    # Every rank must take part in every exchange, whatever its samples lack. The ranks therefore
    # first agree on the parameters that any of them reached, and then exchange one flat tensor.
    reached = runtime.sum(torch.tensor([p.grad is not None for p in asked], device=runtime.device))
    moving = [p for p, count in zip(asked, reached.tolist(), strict=True) if count]
    if not moving:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in moving]
    flat = runtime.sum(torch.cat([g.reshape(-1) for g in gradients])) / runtime.world
    sizes = [g.numel() for g in gradients]
    for parameter, average in zip(moving, torch.split(flat, sizes), strict=True):
        parameter.grad = average.view_as(parameter).clone()


def gradient(
    loss: Tensor,
    parameters: Sequence[nn.Parameter],
    runtime: Runtime,
    create_graph: bool,
    retain_graph: bool,
) -> tuple[Tensor, ...]:
    """`torch.autograd.grad` averaged over ranks; see `Context.gradient`."""
    if loss.requires_grad:
        local = torch.autograd.grad(
            loss,
            parameters,
            create_graph=create_graph,
            retain_graph=create_graph or retain_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    else:
        local = tuple(torch.zeros_like(p) for p in parameters)
    if runtime.world == 1:
        return local
    # One exchange for all parameters: with one each, a rank whose loss does not reach a parameter
    # would skip its exchange when the result is differentiated again, and the others would wait.
    flat = torch.cat([g.reshape(-1) for g in local])
    if create_graph and not flat.requires_grad:
        # A rank whose loss has no graph must take part in the second differentiation too.
        flat = flat + 0 * parameters[0].sum()
    sizes = [p.numel() for p in parameters]
    averaged = torch.split(runtime.mean(flat), sizes)
    return tuple(g.view_as(p) for g, p in zip(averaged, parameters, strict=True))


def sample_mean(
    values: Tensor, where: Tensor | None, runtime: Runtime, weight: Tensor | None = None
) -> Tensor:
    """Mean over the samples of all ranks; see `Context.sample_mean`."""
    if weight is not None:
        weight = weight.to(values.dtype).view(-1, *(1,) * (values.dim() - 1))
        # Not a product alone: a value of a sample that does not count may be NaN.
        values = torch.where(weight > 0, weight * values, 0)
    if where is None:
        if runtime.world == 1 and len(values):
            return values.mean(0)
        total = values.sum(0)
        count = values.new_full((), len(values))
    else:
        mask = where.view(-1, *(1,) * (values.dim() - 1))
        # Not a product with the mask: values of hidden samples may be NaN, and 0 · NaN is NaN.
        total = torch.where(mask, values, 0).sum(0)
        count = where.sum().to(values.dtype)
    return _divided(total, count, runtime)


def _divided(total: Tensor, count: Tensor, runtime: Runtime) -> Tensor:
    """The part of the mean over all ranks that this rank adds."""
    if runtime.world > 1:
        # Gradients are averaged over ranks later. Dividing by the mean count of a rank makes that
        # average the gradient of the mean over all samples, also when ranks hold unequally many.
        count = runtime.sum(count) / runtime.world
    # `total` is 0 without samples. The smallest positive number keeps 0 / 0 from becoming NaN.
    return total / count.clamp_min(torch.finfo(total.dtype).tiny)
