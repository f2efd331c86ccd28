"""One optimiser per parameter group (each modality, and what they share): stepping one leaves the
others be.

A step or cosine schedule counts the epochs in which its modality trains. The shared group trains
with every modality, M times as often as each where they take turns; a count of its own would run
through the schedule M times too fast. It follows the modalities that it trains with instead: all of
them meet the same learning rates in what they share.
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
        epochs: length of the cosine, in epochs of a modality; one that trains for longer stays at
            zero.
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
        """Fresh optimisers and schedules for these groups; what they had learned is forgotten."""
        for name in names:
            self._trained[name] = 0
            if self.groups[name]:
                optimiser = self._optimisers[name] = self._make(
                    self.groups[name], self._factors.get(name, 1.0)
                )
                if self.settings.schedule == "plateau":
                    s = self.settings
                    self._plateaus[name] = ReduceLROnPlateau(
                        optimiser, "max", factor=s.gamma, patience=s.step_size
                    )

    def forget(self, names: Iterable[str]) -> None:
        """Momentum and other averages of these groups start afresh; their learning-rate schedules go on."""
        for name in names:
            if name in self._optimisers:
                self._optimisers[name].state.clear()

    def scale(self, name: str, factor: float) -> None:
        """Multiply the learning rate of a group, and all that its schedule makes of it, by a factor from now on."""
        change = factor / self._factors.get(name, 1.0)
        self._factors[name] = factor
        if name in self._optimisers:
            for group in self._optimisers[name].param_groups:
                group["lr"] *= change

    def step(self, modalities: Sequence[str]) -> None:
        """Clip, step and clear the groups of these modalities and the shared one. None gradients do not move."""
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
        """Epochs that a group has trained for, since its last reset."""
        return self._trained[name]

    def end_epoch(self, modalities: Sequence[str], metric: float) -> None:
        """Advance the schedules of the groups that trained; `metric` is larger for better."""
        for name in modalities:
            self._advance(name, self._trained[name] + 1)
        self._follow(modalities)
        for name in (*modalities, SHARED):
            if name in self._plateaus:
                self._plateaus[name].step(metric)

    def forget_metric(self) -> None:
        """Another metric is shown to the schedules from now on: its best is yet to come."""
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
        rate = self.settings.lr * factor
        if s.name == "sgd":
            return torch.optim.SGD(
                parameters, lr=rate, momentum=s.momentum, weight_decay=s.weight_decay, fused=True
            )
        kind = torch.optim.Adam if s.name == "adam" else torch.optim.AdamW
        return kind(parameters, lr=rate, weight_decay=s.weight_decay, fused=True)

    def _follow(self, modalities: Sequence[str]) -> None:
        """The shared group stands where the furthest of these modalities does."""
        trained = max((self._trained[name] for name in modalities), default=self._trained[SHARED])
        if trained != self._trained[SHARED]:
            self._advance(SHARED, trained)

    def _advance(self, name: str, trained: int) -> None:
        """The learning rate of a group after so many epochs; plateaus see to theirs themselves."""
        self._trained[name] = trained
        if self.settings.schedule in ("step", "cosine") and name in self._optimisers:
            for group in self._optimisers[name].param_groups:
                group["lr"] = self.settings.lr * self._factors.get(name, 1.0) * self._decay(trained)

    def _decay(self, trained: int) -> float:
        s = self.settings
        if s.schedule == "step":
            return s.gamma ** (trained // s.step_size)
        return (1 + math.cos(math.pi * min(trained / self._epochs, 1.0))) / 2


def _join(optimiser: Optimizer) -> None:
    """Zero momentum for what moves later than the rest: fused SGD fails where only some parameters have any."""
    for group in optimiser.param_groups:
        moving = [p for p in group["params"] if p.grad is not None]
        if any(p in optimiser.state for p in moving):
            for parameter in moving:
                if parameter not in optimiser.state:
                    optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
