"""One optimiser per parameter group (each modality, and what they share): stepping one leaves the others be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau, StepLR

from equipoise.model import Model
from equipoise.settings import OptimiserSettings

SHARED = "shared"


class Optimisers:
    """The optimisers and learning-rate schedules of a model's groups.

    Args:
        model: its groups are those of the modalities, and "shared".
        settings: the same for every group.
        epochs: length of the training, for the cosine.
    """

    def __init__(self, model: Model, settings: OptimiserSettings, epochs: int) -> None:
        self.settings = settings
        self._epochs = epochs
        self._factors: dict[str, float] = {}
        self.groups: dict[str, list[nn.Parameter]] = {
            m: [p for p in (*model.group(m).encoder, *model.group(m).head) if p.requires_grad]
            for m in model.modalities
        }
        self.groups[SHARED] = [p for p in model.shared if p.requires_grad]
        self._optimisers: dict[str, Optimizer] = {}
        self._schedules: dict[str, LRScheduler | ReduceLROnPlateau] = {}
        self.reset(self.groups)

    def reset(self, names: Iterable[str]) -> None:
        """Fresh optimisers and schedules for these groups; what they had learned is forgotten."""
        for name in names:
            if self.groups[name]:
                self._optimisers[name] = self._make(self.groups[name], self._factors.get(name, 1.0))
                schedule = self._schedule(self._optimisers[name])
                if schedule is not None:
                    self._schedules[name] = schedule

    def forget(self, names: Iterable[str]) -> None:
        """Momentum and other averages of these groups start afresh; their learning-rate schedules go on."""
        for name in names:
            if name in self._optimisers:
                self._optimisers[name].state.clear()

    def scale(self, name: str, factor: float) -> None:
        """Multiply the learning rate of a group, and all that its schedule makes of it, by a factor from now on."""
        change = factor / self._factors.get(name, 1.0)
        self._factors[name] = factor
        if name not in self._optimisers:
            return
        for group in self._optimisers[name].param_groups:
            group["lr"] *= change
            if "initial_lr" in group:
                group["initial_lr"] *= change
        schedule = self._schedules.get(name)
        if schedule is not None and hasattr(schedule, "base_lrs"):
            schedule.base_lrs = [rate * change for rate in schedule.base_lrs]

    def step(self, modalities: Sequence[str]) -> None:
        """Clip, step and clear the groups of these modalities and the shared one. None gradients do not move."""
        names = [name for name in (*modalities, SHARED) if name in self._optimisers]
        if self.settings.clip:
            moving = [p for name in names for p in self.groups[name] if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(moving, self.settings.clip)
        for name in names:
            if self.settings.name == "sgd" and self.settings.momentum:
                _join(self._optimisers[name])
            self._optimisers[name].step()
            self._optimisers[name].zero_grad(set_to_none=True)

    def end_epoch(self, modalities: Sequence[str], metric: float) -> None:
        """Advance the schedules of the groups that trained; `metric` is larger for better."""
        for name in (*modalities, SHARED):
            schedule = self._schedules.get(name)
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(metric)
            elif schedule is not None:
                schedule.step()

    def forget_metric(self) -> None:
        """Another metric is shown to the schedules from now on: its best is yet to come."""
        for schedule in self._schedules.values():
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.best, schedule.num_bad_epochs = -math.inf, 0

    def learning_rate(self, name: str) -> float:
        """The current learning rate of a group."""
        return float(self._optimisers[name].param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimisers": {name: o.state_dict() for name, o in self._optimisers.items()},
            "schedules": {name: s.state_dict() for name, s in self._schedules.items()},
            "factors": dict(self._factors),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factors = dict(state["factors"])
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, schedule in self._schedules.items():
            schedule.load_state_dict(state["schedules"][name])

    def _make(self, parameters: list[nn.Parameter], factor: float) -> Optimizer:
        s, rate = self.settings, self.settings.lr * factor
        if s.name == "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=s.momentum, weight_decay=s.weight_decay, fused=True)
        kind = torch.optim.Adam if s.name == "adam" else torch.optim.AdamW
        return kind(parameters, lr=rate, weight_decay=s.weight_decay, fused=True)

    def _schedule(self, optimiser: Optimizer) -> LRScheduler | ReduceLROnPlateau | None:
        s = self.settings
        if s.schedule == "step":
            return StepLR(optimiser, s.step_size, s.gamma)
        if s.schedule == "cosine":
            return CosineAnnealingLR(optimiser, self._epochs)
        if s.schedule == "plateau":
            return ReduceLROnPlateau(optimiser, mode="max", factor=s.gamma, patience=s.step_size)
        return None


def _join(optimiser: Optimizer) -> None:
    """Zero momentum for what moves later than the rest: fused SGD fails where only some parameters have any."""
    for group in optimiser.param_groups:
        moving = [p for p in group["params"] if p.grad is not None]
        if any(p in optimiser.state for p in moving):
            for parameter in moving:
                if parameter not in optimiser.state:
                    optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
