"""The exponential moving average of a model's weights, which predicts better than the last ones.

Polyak, Juditsky. Acceleration of Stochastic Approximation by Averaging. SIAM Journal on Control and
Optimization 1992. The average of a group moves when the group does, so that a modality that waits
while others train keeps its average, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.model import Model
from equipoise.training.optimisers import SHARED
from equipoise.training.runtime import Runtime

# Running statistics belong to the weights that they were measured with, and are averaged alike.
# Other buffers are counts, memories and solutions, whose averages mean nothing.
NORMALISATION = nn.modules.batchnorm._BatchNorm


class WeightAverage:
    """The averages of the weights of a model's groups.

    After the t-th step of a group, from 0, its average is β average + (1 − β) weights with
    β = min(decay, (1 + t) / (10 + t)): the first weights, which are far from any that predict well,
    are soon forgotten. A group that has not moved has no average, and its weights stand for it.

    Args:
        model: whose weights are averaged.
        groups: {name: parameters}, those of the optimisers.
        decay: of the average; 0 for none.
    """

    def __init__(
        self, model: Model, groups: Mapping[str, Sequence[nn.Parameter]], decay: float
    ) -> None:
        self.decay = decay
        self._tensors: dict[str, list[Tensor]] = {name: list(p) for name, p in groups.items()}
        for modality in model.modalities:
            self._tensors[modality] += _statistics(model.encoders[modality])
        self._tensors[SHARED] += _statistics(model.head)
        self._averages: dict[str, list[Tensor]] = {}
        self._steps: dict[str, int] = {}

    @torch.no_grad()
    def update(self, names: Iterable[str]) -> None:
        """Take in the weights of the groups that have just moved."""
        if not self.decay:
            return
        for name in names:
            tensors = self._tensors[name]
            taken = self._steps.get(name, 0)
            if taken == 0:
                self._averages[name] = [tensor.detach().clone() for tensor in tensors]
            else:
                decay = min(self.decay, (1 + taken) / (10 + taken))
                torch._foreach_lerp_(self._averages[name], tensors, 1 - decay)
            self._steps[name] = taken + 1

    def restart(self, names: Iterable[str]) -> None:
        """Forget the averages of groups whose weights were replaced."""
        for name in names:
            self._averages.pop(name, None)
            self._steps.pop(name, None)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the place of the weights, and the weights back at the end."""
        pairs = [
            (tensor, average)
            for name, averages in self._averages.items()
            for tensor, average in zip(self._tensors[name], averages, strict=True)
        ]
        with torch.no_grad():
            weights = [tensor.detach().clone() for tensor, _ in pairs]
            for tensor, average in pairs:
                tensor.copy_(average)
        try:
            yield
        finally:
            with torch.no_grad():
                for (tensor, _), held in zip(pairs, weights, strict=True):
                    tensor.copy_(held)

    def synchronise(self, runtime: Runtime) -> None:
        """Average the averaged statistics over ranks; the averaged weights agree already."""
        for name, averages in self._averages.items():
            for tensor, average in zip(self._tensors[name], averages, strict=True):
                if not isinstance(tensor, nn.Parameter):
                    average.copy_(runtime.mean(average))

    def state_dict(self) -> dict[str, Any]:
        return {
            "averages": {name: list(held) for name, held in self._averages.items()},
            "steps": dict(self._steps),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._averages = {
            name: [
                average.to(tensor.device, copy=True)
                for tensor, average in zip(self._tensors[name], held, strict=True)
            ]
            for name, held in state["averages"].items()
        }
        self._steps = dict(state["steps"])


def _statistics(module: nn.Module) -> list[Tensor]:
    """The running means and variances of all batch normalisation layers."""
    return [
        buffer
        for layer in module.modules()
        if isinstance(layer, NORMALISATION)
        for buffer in layer.buffers()
        if buffer.is_floating_point()
    ]
