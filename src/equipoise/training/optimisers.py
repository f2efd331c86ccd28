"""One optimiser per parameter group: a group for each modality, and a shared one.

Stepping one group does not affect the others.

A step or cosine schedule counts the epochs in which its modality trains. The shared group trains
with every modality: where M modalities take turns, M times as often as each of them. A count of its
own would run through the schedule M times too fast. Instead, the shared group takes the count of
the modalities that it trains with, so that every modality meets the same learning rates in the
shared group as in its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from equipoise.model import Model
from equipoise.settings import OptimiserSettings

SHARED = "shared"


class Optimisers:
    """The optimisers and learning-rate schedules of a model's groups.

    Args:
        model: its groups are those of the modalities, and "shared".
        settings: the same for every group.
        epochs: length of the cosine schedule, in epochs of a modality. The learning rate of a
            modality that trains for longer stays at zero.
    """

    def __init__(self, model: Model, settings: OptimiserSettings, epochs: int) -> None:
        self.settings = settings
        self._epochs = epochs
        self._factors: dict[str, float] = {}
        self._trained: dict[str, int] = {}
        self.groups: dict[str, list[nn.Parameter]] = {
            m: [p for p in (*model.group(m).encoder, *model.group(m).head) if p.requires_grad]
            for m in model.modalities
        }
        self.groups[SHARED] = [p for p in model.shared if p.requires_grad]
        self._optimisers: dict[str, Optimizer] = {}
        self._plateaus: dict[str, ReduceLROnPlateau] = {}
        self.reset(self.groups)

    def reset(self, names: Iterable[str]) -> None:
        """Give these groups fresh optimisers and schedules."""
        for name in names:
            self._trained[name] = 0
            if self.groups[name]:
                optimiser = self._make(self.groups[name], self._factors.get(name, 1.0))
                self._optimisers[name] = optimiser
                if self.settings.schedule == "plateau":
                    self._plateaus[name] = ReduceLROnPlateau(
                        optimiser,
                        "max",
                        factor=self.settings.gamma,
                        patience=self.settings.step_size,
                    )

    def forget(self, names: Iterable[str]) -> None:
        """Clear momentum and other averages of these groups; their schedules go on."""
        for name in names:
            if name in self._optimisers:
                self._optimisers[name].state.clear()

    def scale(self, name: str, factor: float) -> None:
        """Multiply the learning rate of a group, now and as its schedule changes it, by a factor.

        Args:
            name: of the group.
            factor: replaces an earlier factor.
        """
        change = factor / self._factors.get(name, 1.0)
        self._factors[name] = factor
        if name in self._optimisers:
            for group in self._optimisers[name].param_groups:
                group["lr"] *= change

    def step(self, modalities: Sequence[str]) -> None:
        """Clip, step and clear the groups of these modalities and the shared one.

        A parameter whose gradient is None does not move.
        """
        self._follow(modalities)
        names = [name for name in (*modalities, SHARED) if name in self._optimisers]
        if self.settings.clip:
            moving = [p for name in names for p in self.groups[name] if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(moving, self.settings.clip)
        for name in names:
            if self.settings.name == "sgd" and self.settings.momentum:
                _join(self._optimisers[name])
            self._optimisers[name].step()
            self._optimisers[name].zero_grad(set_to_none=True)

    def trained(self, name: str) -> int:
        """Epochs for which a group has trained since its last reset."""
        return self._trained[name]

    def end_epoch(self, modalities: Sequence[str], metric: float) -> None:
        """Advance the schedules of the groups that trained.

        Args:
            modalities: the modalities that trained.
            metric: of validation, larger is better; read by the plateau schedule.
        """
        for name in modalities:
            self._advance(name, self._trained[name] + 1)
        self._follow(modalities)
        for name in (*modalities, SHARED):
            if name in self._plateaus:
                self._plateaus[name].step(metric)

    def forget_metric(self) -> None:
        """Let plateau schedules start over, because they are given another metric from now on."""
        for plateau in self._plateaus.values():
            plateau.best = -math.inf
            plateau.num_bad_epochs = 0

    def learning_rate(self, name: str) -> float:
        """The current learning rate of a group."""
        return float(self._optimisers[name].param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimisers": {name: o.state_dict() for name, o in self._optimisers.items()},
            "plateaus": {name: p.state_dict() for name, p in self._plateaus.items()},
            "trained": dict(self._trained),
            "factors": dict(self._factors),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factors = dict(state["factors"])
        self._trained = dict(state["trained"])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, plateau in self._plateaus.items():
            plateau.load_state_dict(state["plateaus"][name])

    def _make(self, parameters: list[nn.Parameter], factor: float) -> Optimizer:
        s = self.settings
        rate = s.lr * factor
        if s.name == "sgd":
            return torch.optim.SGD(
                parameters, lr=rate, momentum=s.momentum, weight_decay=s.weight_decay, fused=True
            )
        kind = torch.optim.Adam if s.name == "adam" else torch.optim.AdamW
        return kind(parameters, lr=rate, weight_decay=s.weight_decay, fused=True)

    def _follow(self, modalities: Sequence[str]) -> None:
        """Set the shared group to the count of the modality that has trained for longest."""
        trained = max((self._trained[name] for name in modalities), default=self._trained[SHARED])
        if trained != self._trained[SHARED]:
            self._advance(SHARED, trained)

    def _advance(self, name: str, trained: int) -> None:
        """Set the count of a group, and the learning rate that a step or cosine schedule gives it.

        The rate is computed from the count, never from the rate before: a group that is advanced
        again, or restored from a checkpoint, has the same rate.
        """
        self._trained[name] = trained
        if self.settings.schedule in ("step", "cosine") and name in self._optimisers:
            for group in self._optimisers[name].param_groups:
                group["lr"] = self.settings.lr * self._factors.get(name, 1.0) * self._decay(trained)

    def _decay(self, trained: int) -> float:
        """The factor on the learning rate after so many epochs."""
        if self.settings.schedule == "step":
            return self.settings.gamma ** (trained // self.settings.step_size)
        return (1 + math.cos(math.pi * min(trained / self._epochs, 1.0))) / 2


def _join(optimiser: Optimizer) -> None:
    """Give zero momentum to parameters that move later than the rest of their group.

    Fused SGD fails where only some of the parameters that it moves have momentum.
    """
    for group in optimiser.param_groups:
        moving = [p for p in group["params"] if p.grad is not None]
        if any(p in optimiser.state for p in moving):
            for parameter in moving:
                if parameter not in optimiser.state:
                    optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
