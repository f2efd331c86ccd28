"""Update rules: SGD with momentum, Adam and AdamW, by PyTorch's fused kernels.

The kernels are called directly. An optimiser of `torch.optim` moves one set of parameters with one
memory; a step would need one for each modality, and each costs as much as a small layer. Making the
first one also imports `torch._dynamo`, which takes two seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equipoise.settings import OptimiserSettings

Memory = dict[str, Tensor]
"""The memory of a rule for one parameter; empty until it first moves."""

Rule = Callable[[list[Tensor], list[Tensor], list[Memory], float], None]
"""Moves parameters, given their gradients, their memories and the learning rate.

All are of one device and type.
"""

EPSILON = 1e-8


def update_rule(settings: OptimiserSettings) -> Rule:
    """The rule that the settings name."""
    return {"sgd": _sgd, "adam": _adam, "adamw": _adam}[settings.name](settings)


def _sgd(settings: OptimiserSettings) -> Rule:
    """v ← μ v + g + λ w, w ← w − η v."""

    def move(
        parameters: list[Tensor], gradients: list[Tensor], memories: list[Memory], rate: float
    ) -> None:
        velocities = []
        if settings.momentum:
            for parameter, memory in zip(parameters, memories, strict=True):
                if not memory:
                    memory["velocity"] = torch.zeros_like(parameter)
                velocities.append(memory["velocity"])
        torch._fused_sgd_(
            parameters,
            gradients,
            velocities,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    return move


def _adam(settings: OptimiserSettings) -> Rule:
    """Adam, whose weight decay is a part of the gradient, or AdamW, where it is not."""
    kernel = torch._fused_adam_ if settings.name == "adam" else torch._fused_adamw_
    first, second = settings.betas

    def move(
        parameters: list[Tensor], gradients: list[Tensor], memories: list[Memory], rate: float
    ) -> None:
        for parameter, memory in zip(parameters, memories, strict=True):
            if not memory:
                memory["mean"] = torch.zeros_like(parameter)
                memory["square"] = torch.zeros_like(parameter)
                memory["steps"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        steps = [memory["steps"] for memory in memories]
        torch._foreach_add_(steps, 1)
        kernel(
            parameters,
            gradients,
            [memory["mean"] for memory in memories],
            [memory["square"] for memory in memories],
            [],
            steps,
            lr=rate,
            beta1=first,
            beta2=second,
            weight_decay=settings.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    return move
